variable "name" {
  type        = string
  description = "Name of the grid; resources are named after it."
}

variable "tags" {
  type        = map(string)
  default     = {}
  description = "Tags of instances, volumes and network interfaces."
}

variable "markets" {
  type = map(object({
    min_vcpus = number
    max_vcpus = number
  }))
  description = "The groups to make: spot, on-demand, or both, and how many vCPUs each has at least and at most."

  validation {
    condition     = length(setsubtract(keys(var.markets), ["spot", "on-demand"])) == 0 && length(var.markets) > 0
    error_message = "A market is spot or on-demand."
  }
}

variable "vcpus_per_instance" {
  type = object({
    min = number
    max = number
  })
  description = "vCPUs of an instance."
}

variable "memory_mib_per_instance" {
  type = object({
    min = number
    max = optional(number)
  })
  description = "Memory of an instance."
}

variable "max_spot_price_percentage" {
  type        = number
  default     = 100
  description = "Spot instances that cost more than this share of the best on-demand price are left out."
}

variable "ami_id" {
  type        = string
  description = "Amazon Linux 2023, of the program's architecture."
}

variable "root_gib" {
  type        = number
  default     = 40
  description = "Size of the root volume, in GiB: the scratch folders of tasks are there."
}

variable "drain_timeout_s" {
  type        = number
  default     = 300
  description = "How long a worker whose group terminates it may go on with the items in hand."
}

variable "max_lifetime_days" {
  type        = number
  default     = 0
  description = "Age at which the group replaces an instance, busy or not; 0 never."
}

variable "subnet_ids" {
  type        = list(string)
  description = "Subnets of the instances; several zones, several pools of spot capacity."
}

variable "public_ip" {
  type        = bool
  default     = true
  description = "Whether instances have public addresses. Nothing comes in by them."
}

variable "security_group_id" {
  type        = string
  description = "Security group of the instances."
}

variable "binary" {
  type = object({
    bucket = string
    key    = string
    sha256 = string
  })
  description = "The program grid-worker in S3."
}

variable "settings" {
  type        = map(string)
  description = "Environment of the program."
}

variable "bucket_arn" {
  type        = string
  description = "The grid's bucket."
}

variable "queue_arns" {
  type        = map(string)
  description = "The grid's queues by what they hold: tasks, reports."
}

variable "input_buckets" {
  type        = list(string)
  default     = []
  description = "Other buckets that jobs may read."
}

variable "log_retention_days" {
  type        = number
  default     = 30
  description = "How long the program's log is kept."
}

variable "kms_key_arn" {
  type        = string
  default     = null
  description = "Key of bucket and log, if it is a customer's; its policy must let CloudWatch Logs use it."
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
