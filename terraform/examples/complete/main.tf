# Everything said: an office that reaches the API, private workers behind a NAT gateway, a customer's key, inputs in a
# bucket of their own, somebody who hears of alarms, a budget.

terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.0, < 7.0"
    }
  }
}

variable "region" {
  type        = string
  default     = "eu-central-1"
  description = "Where the grid is."
}

variable "binaries" {
  type = object({
    bucket         = string
    manager_key    = string
    manager_sha256 = string
    worker_key     = string
    worker_sha256  = string
  })
  description = "What terraform/publish has printed."
}

variable "office_cidr" {
  type        = string
  default     = "198.51.100.0/24"
  description = "From where the API is reached."
}

variable "input_bucket" {
  type        = string
  default     = "example-ledgers"
  description = "A bucket that jobs read."
}

variable "kms_key_arn" {
  type        = string
  default     = null
  description = "A key of yours. Its policy lets the account's roles use it, and logs.REGION.amazonaws.com, cloudwatch.amazonaws.com and budgets.amazonaws.com."
}

provider "aws" {
  region = var.region

  default_tags {
    tags = { grid = "year-end" }
  }
}

module "grid" {
  source = "../.."

  name     = "year-end"
  tags     = { cost-centre = "4711" }
  binaries = var.binaries

  network = {
    cidr          = "10.90.0.0/18"
    worker_egress = "nat"
    egress_ports  = [443, 80]
    api_cidrs     = [var.office_cidr]
  }

  storage = {
    kms_key_arn            = var.kms_key_arn
    expire_jobs_days       = 90
    noncurrent_expiry_days = 14
  }

  manager = { instance_type = "t4g.medium" }

  workers = {
    max_vcpus               = 512
    on_demand_max_vcpus     = 128
    vcpus_per_instance      = { min = 4, max = 32 }
    memory_mib_per_instance = { min = 8192, max = 131072 }
    root_gib                = 100
    drain_timeout_s         = 600
  }

  input_buckets = [var.input_bucket]

  observability = {
    log_retention_days = 90
    alarm_email        = "grid@example.com"
    oldest_task_age_s  = 1800
    monthly_budget_usd = 500
  }
}

output "grid" {
  description = "Everything that people need to know of the grid."
  value       = module.grid
}
