variable "name" {
  type        = string
  description = "Name of the grid; everything is named after it."

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,23}$", var.name)) && !endswith(var.name, "-")
    error_message = "name has 3 to 24 characters, begins with a letter and holds lower-case letters, digits and dashes: buckets and roles are named after it."
  }
}

variable "tags" {
  type        = map(string)
  default     = {}
  description = "Tags of instances, volumes and network interfaces; other resources take the provider's default_tags."
}

variable "network" {
  type = object({
    vpc_id              = optional(string)
    manager_subnet_ids  = optional(list(string), [])
    worker_subnet_ids   = optional(list(string), [])
    route_table_ids     = optional(list(string), [])
    cidr                = optional(string, "10.83.0.0/16")
    az_count            = optional(number, 3)
    worker_egress       = optional(string, "public")
    egress_ports        = optional(list(number), [443])
    interface_endpoints = optional(list(string), [])
    api_cidrs           = optional(list(string), [])
  })
  default     = {}
  nullable    = false
  description = "A VPC that exists with its subnets, or the addresses of one to make; and api_cidrs, from where the API is reached (nobody: then people come through Session Manager)."

  validation {
    condition     = var.network.vpc_id == null ? length(concat(var.network.manager_subnet_ids, var.network.worker_subnet_ids, var.network.route_table_ids)) == 0 : length(var.network.manager_subnet_ids) > 0 && length(var.network.worker_subnet_ids) > 0
    error_message = "network: with vpc_id give manager_subnet_ids and worker_subnet_ids; without it give neither of them nor route_table_ids."
  }

  validation {
    condition     = can(cidrnetmask(var.network.cidr)) && try(tonumber(split("/", var.network.cidr)[1]) >= 16 && tonumber(split("/", var.network.cidr)[1]) <= 22, false)
    error_message = "network.cidr is an IPv4 block between /16 and /22, such as 10.83.0.0/16."
  }

  validation {
    condition     = var.network.az_count >= 1 && var.network.az_count <= 6 && floor(var.network.az_count) == var.network.az_count
    error_message = "network.az_count is 1 to 6."
  }

  validation {
    condition     = contains(["public", "nat"], var.network.worker_egress)
    error_message = "network.worker_egress is public or nat."
  }

  validation {
    condition     = alltrue([for port in var.network.egress_ports : port >= 1 && port <= 65535]) && contains(var.network.egress_ports, 443)
    error_message = "network.egress_ports are ports between 1 and 65535, 443 among them: without it workers cannot reach AWS."
  }

  validation {
    condition     = alltrue([for cidr in var.network.api_cidrs : can(cidrnetmask(cidr)) && try(tonumber(split("/", cidr)[1]) >= 8, false)])
    error_message = "network.api_cidrs are IPv4 blocks such as 198.51.100.0/24, none wider than /8: the API runs what it is told to, and is not for the whole internet."
  }
}

variable "queues" {
  type = object({
    visibility_timeout_s     = optional(number, 120)
    max_receive_count        = optional(number, 5)
    report_max_receive_count = optional(number, 20)
    retention_days           = optional(number, 14)
  })
  default     = {}
  nullable    = false
  description = "Settings of the queues. The defaults are what gridmill is tested with."

  validation {
    condition     = var.queues.visibility_timeout_s >= 30 && var.queues.visibility_timeout_s <= 43200
    error_message = "queues.visibility_timeout_s is 30 to 43200."
  }

  validation {
    condition     = alltrue([for count in [var.queues.max_receive_count, var.queues.report_max_receive_count] : count >= 3 && count <= 1000])
    error_message = "queues: a message is received at least 3 times, at most 1000, before it is dead: each spot reclaim costs one."
  }

  validation {
    condition     = var.queues.retention_days >= 1 && var.queues.retention_days <= 14
    error_message = "queues.retention_days is 1 to 14."
  }
}

variable "storage" {
  type = object({
    bucket_name            = optional(string)
    noncurrent_expiry_days = optional(number, 7)
    expire_jobs_days       = optional(number, 0)
    kms_key_arn            = optional(string)
    force_destroy          = optional(bool, false)
    deletion_protection    = optional(bool, true)
  })
  default     = {}
  nullable    = false
  description = "Bucket and table. expire_jobs_days removes jobs of that age with their outputs (0 keeps them); force_destroy and deletion_protection decide whether destroy may take data with it."

  validation {
    condition     = var.storage.noncurrent_expiry_days >= 1
    error_message = "storage.noncurrent_expiry_days is at least 1."
  }

  validation {
    condition     = var.storage.expire_jobs_days == 0 || var.storage.expire_jobs_days >= 15
    error_message = "storage.expire_jobs_days is 0 (never) or at least 15: a paused job may go on after 14 days."
  }

  validation {
    condition     = var.storage.kms_key_arn == null || can(regex("^arn:[a-z-]+:kms:", var.storage.kms_key_arn))
    error_message = "storage.kms_key_arn is the ARN of a key."
  }
}

variable "binaries" {
  type = object({
    bucket         = string
    manager_key    = string
    manager_sha256 = string
    worker_key     = string
    worker_sha256  = string
  })
  description = "The programs job-manager and grid-worker in S3, and what they must be; terraform/publish uploads them and prints this."

  validation {
    condition     = alltrue([for digest in [var.binaries.manager_sha256, var.binaries.worker_sha256] : can(regex("^[0-9a-f]{64}$", digest))])
    error_message = "binaries: a sha256 has 64 lower-case hex digits."
  }

  validation {
    condition     = alltrue([for key in [var.binaries.manager_key, var.binaries.worker_key] : can(regex("^[A-Za-z0-9._/+=-]+$", key)) && !startswith(key, "/")])
    error_message = "binaries: a key holds letters, digits and . _ / + = - and does not begin with a slash."
  }
}

variable "ami_ssm_parameter" {
  type        = string
  default     = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64"
  description = "Parameter that names the AMI of all instances: Amazon Linux 2023, of the binaries' architecture."

  validation {
    condition     = startswith(var.ami_ssm_parameter, "/")
    error_message = "ami_ssm_parameter is the name of a parameter and begins with a slash."
  }
}

variable "manager" {
  type = object({
    instance_type = optional(string, "t4g.small")
    port          = optional(number, 8443)
    root_gib      = optional(number, 16)
    settings      = optional(map(string), {})
  })
  default     = {}
  nullable    = false
  description = "The manager's instance, the port of its API, and further settings of the program (GRIDMILL_..)."

  validation {
    condition     = var.manager.port >= 1 && var.manager.port <= 65535 && var.manager.port != 8470
    error_message = "manager.port is 1 to 65535, and not 8470, which the manager itself has behind it."
  }

  validation {
    condition     = var.manager.root_gib >= 8
    error_message = "manager.root_gib is at least 8: the image is no smaller."
  }

  validation {
    condition     = alltrue([for name, value in var.manager.settings : can(regex("^[A-Z][A-Z0-9_]*$", name)) && can(regex("^[^\"\\\\\\n]*$", value))])
    error_message = "manager.settings are variables of the environment; values hold no quotes, backslashes or line ends."
  }
}

variable "workers" {
  type = object({
    min_vcpus                 = optional(number, 0)
    max_vcpus                 = optional(number, 64)
    on_demand_max_vcpus       = optional(number)
    vcpus_per_instance        = optional(object({ min = number, max = number }), { min = 2, max = 16 })
    memory_mib_per_instance   = optional(object({ min = number, max = optional(number) }), { min = 4096 })
    max_spot_price_percentage = optional(number, 100)
    root_gib                  = optional(number, 40)
    usd_per_vcpu_hour         = optional(object({ spot = number, on-demand = number }), { spot = 0.016, on-demand = 0.04 })
    spot_taken_per_hour       = optional(number, 0.03)
    late_risk                 = optional(number, 0.02)
    daily_vcpu_hours          = optional(number)
    drain_timeout_s           = optional(number, 300)
    orphan_timeout_s          = optional(number, 1800)
    max_lifetime_days         = optional(number, 0)
    settings                  = optional(map(string), {})
  })
  default     = {}
  nullable    = false
  description = "The workers: a spot group of min_vcpus to max_vcpus and an on-demand group of 0 to on_demand_max_vcpus (as many as max_vcpus unless said), which instances they take, what a vCPU-hour costs in each, how many spot instances of all are taken away in an hour and how likely a job may be late by that (by which the manager buys), after how many vCPU-hours of a day it asks for no more, how long they may drain, after how long without task and manager they turn themselves off, and further settings of the program (GRIDMILL_..)."

  validation {
    condition     = var.workers.min_vcpus >= 0 && var.workers.min_vcpus <= var.workers.max_vcpus && coalesce(var.workers.on_demand_max_vcpus, 0) >= 0
    error_message = "workers: 0 <= min_vcpus <= max_vcpus, and on_demand_max_vcpus is not negative."
  }

  validation {
    condition     = var.workers.vcpus_per_instance.min >= 1 && var.workers.vcpus_per_instance.min <= var.workers.vcpus_per_instance.max
    error_message = "workers.vcpus_per_instance: 1 <= min <= max."
  }

  validation {
    condition     = var.workers.memory_mib_per_instance.min >= 512 && var.workers.memory_mib_per_instance.min <= coalesce(var.workers.memory_mib_per_instance.max, var.workers.memory_mib_per_instance.min)
    error_message = "workers.memory_mib_per_instance: 512 <= min <= max."
  }

  validation {
    condition     = var.workers.max_spot_price_percentage >= 1 && var.workers.max_spot_price_percentage <= 999
    error_message = "workers.max_spot_price_percentage is 1 to 999."
  }

  validation {
    condition     = var.workers.root_gib >= 8
    error_message = "workers.root_gib is at least 8: the image is no smaller."
  }

  validation {
    condition     = var.workers.drain_timeout_s >= 30 && var.workers.drain_timeout_s <= 7200
    error_message = "workers.drain_timeout_s is 30 to 7200."
  }

  validation {
    condition     = var.workers.usd_per_vcpu_hour.spot > 0 && var.workers.usd_per_vcpu_hour.on-demand > 0 && var.workers.spot_taken_per_hour >= 0 && var.workers.spot_taken_per_hour <= 1
    error_message = "workers.usd_per_vcpu_hour is positive, spot_taken_per_hour is 0 to 1."
  }

  validation {
    condition     = var.workers.late_risk >= 0 && var.workers.late_risk <= 1
    error_message = "workers.late_risk is a chance, 0 to 1: 0.02 is 2 %, and 1 buys the cheapest, always."
  }

  validation {
    condition     = coalesce(var.workers.daily_vcpu_hours, 1) > 0
    error_message = "workers.daily_vcpu_hours is positive, or null for no limit."
  }

  validation {
    condition     = var.workers.orphan_timeout_s >= 900
    error_message = "workers.orphan_timeout_s is at least 900: the manager gives a sign every five minutes."
  }

  validation {
    condition     = var.workers.max_lifetime_days >= 0 && var.workers.max_lifetime_days <= 365
    error_message = "workers.max_lifetime_days is 0 (for ever) to 365."
  }

  validation {
    condition     = alltrue([for name, value in var.workers.settings : can(regex("^[A-Z][A-Z0-9_]*$", name)) && can(regex("^[^\"\\\\\\n]*$", value))])
    error_message = "workers.settings are variables of the environment; values hold no quotes, backslashes or line ends."
  }
}

variable "input_buckets" {
  type        = list(string)
  default     = []
  description = "Other buckets that jobs may read by s3://."

  validation {
    condition     = alltrue([for bucket in var.input_buckets : can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", bucket))])
    error_message = "input_buckets are names of buckets, without s3:// and without a path."
  }
}

variable "notify_queue_arns" {
  type        = list(string)
  default     = []
  description = "Queues of others that jobs may notify. Pipelines name them by ARN; those of this account and region by name, too."

  validation {
    condition     = alltrue([for arn in var.notify_queue_arns : can(regex("^arn:[a-z-]+:sqs:[a-z0-9-]+:[0-9]{12}:[^*]+$", arn))])
    error_message = "notify_queue_arns are ARNs of queues."
  }
}

variable "observability" {
  type = object({
    log_retention_days = optional(number, 30)
    alarm_email        = optional(string)
    oldest_task_age_s  = optional(number, 3600)
    monthly_budget_usd = optional(number, 0)
  })
  default     = {}
  nullable    = false
  description = "Logs, alarms, budget. monthly_budget_usd 0 sets no budget; others need `grid` as a cost-allocation tag."

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.observability.log_retention_days)
    error_message = "observability.log_retention_days is one that CloudWatch knows: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, or years up to 3653."
  }

  validation {
    condition     = var.observability.alarm_email == null || can(regex("^[^@ ]+@[^@ ]+$", var.observability.alarm_email))
    error_message = "observability.alarm_email is an address."
  }

  validation {
    condition     = var.observability.oldest_task_age_s >= 60 && var.observability.monthly_budget_usd >= 0
    error_message = "observability: oldest_task_age_s is at least 60, monthly_budget_usd not negative."
  }
}

variable "permissions_boundary_arn" {
  type        = string
  default     = null
  description = "Permissions boundary of both roles, where an account asks for one."
}

variable "iam_path" {
  type        = string
  default     = "/"
  description = "Path of roles and instance profiles."

  validation {
    condition     = can(regex("^/([A-Za-z0-9.,+@=_-]+/)*$", var.iam_path))
    error_message = "iam_path begins and ends with a slash."
  }
}
