variable "name" {
  type        = string
  description = "Name of the grid; resources are named after it."
}

variable "vpc_id" {
  type        = string
  default     = null
  description = "A VPC that exists. Without it one is made."
}

variable "manager_subnet_ids" {
  type        = list(string)
  default     = []
  description = "Public subnets of vpc_id for the manager."
}

variable "worker_subnet_ids" {
  type        = list(string)
  default     = []
  description = "Subnets of vpc_id for the workers."
}

variable "route_table_ids" {
  type        = list(string)
  default     = []
  description = "Route tables of vpc_id that shall get the gateway endpoints; none are made without it."
}

variable "cidr" {
  type        = string
  default     = "10.83.0.0/16"
  description = "Addresses of the VPC that is made."
}

variable "az_count" {
  type        = number
  default     = 3
  description = "Availability zones of the VPC that is made. More zones, more spot capacity."
}

variable "worker_egress" {
  type        = string
  default     = "public"
  description = "How workers reach AWS: by a public address (free of hourly gateways), or through one NAT gateway (nat)."
}

variable "egress_ports" {
  type        = list(number)
  default     = [443]
  description = "TCP ports to which instances may connect. What tasks need beside HTTPS is added here."
}

variable "interface_endpoints" {
  type        = list(string)
  default     = []
  description = "Services with an interface endpoint in the workers' subnets, such as sqs; billed per zone and hour."
}

variable "api_cidrs" {
  type        = list(string)
  default     = []
  description = "From where the manager's API is reached. With none it has no inbound rule, and people come through Session Manager."
}

variable "api_port" {
  type        = number
  default     = 8443
  description = "Port of the manager's API."
}
