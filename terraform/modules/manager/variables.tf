variable "name" {
  type        = string
  description = "Name of the grid; resources are named after it."
}

variable "tags" {
  type        = map(string)
  default     = {}
  description = "Tags of instances, volumes and network interfaces."
}

variable "instance_type" {
  type        = string
  default     = "t4g.small"
  description = "Type of the instance, of the AMI's architecture."
}

variable "ami_id" {
  type        = string
  description = "Amazon Linux 2023, of the program's architecture."
}

variable "root_gib" {
  type        = number
  default     = 16
  description = "Size of the root volume, in GiB."
}

variable "port" {
  type        = number
  default     = 8470
  description = "Port of the API on the instance itself, which no security group opens."
}

variable "api_port" {
  type        = number
  default     = null
  description = "Port of the API with TLS for others. Without it there is none, and people come through Session Manager."
}

variable "subnet_ids" {
  type        = list(string)
  description = "Public subnets; the instance is in one of them."
}

variable "security_group_id" {
  type        = string
  description = "Security group of the instance."
}

variable "binary" {
  type = object({
    bucket = string
    key    = string
    sha256 = string
  })
  description = "The program job-manager in S3."
}

variable "settings" {
  type        = map(string)
  description = "Environment of the program."
}

variable "bucket_arn" {
  type        = string
  description = "The grid's bucket."
}

variable "table_arn" {
  type        = string
  description = "The grid's table."
}

variable "queue_arns" {
  type        = map(string)
  description = "The grid's queues by what they hold: tasks, dead-tasks, reports, events."
}

variable "worker_group_names" {
  type        = list(string)
  description = "Auto Scaling groups that the manager grows and shrinks."
}

variable "input_buckets" {
  type        = list(string)
  default     = []
  description = "Other buckets that jobs may read."
}

variable "notify_queue_arns" {
  type        = list(string)
  default     = []
  description = "Queues of others that jobs may notify."
}

variable "log_retention_days" {
  type        = number
  default     = 30
  description = "How long the program's log is kept."
}

variable "kms_key_arn" {
  type        = string
  default     = null
  description = "Key of bucket, table and log, if it is a customer's; its policy must let CloudWatch Logs use it."
}

variable "permissions_boundary_arn" {
  type        = string
  default     = null
  description = "Permissions boundary of the role."
}

variable "iam_path" {
  type        = string
  default     = "/"
  description = "Path of role and instance profile."
}
