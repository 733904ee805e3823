# The smallest grid: a VPC of its own, workers from nothing to 64 vCPUs on spot, no inbound rule anywhere.

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

provider "aws" {
  region = var.region

  default_tags {
    tags = { grid = "gridmill" }
  }
}

module "grid" {
  source = "../.."

  name     = "gridmill"
  binaries = var.binaries
}

output "grid" {
  description = "Everything that people need to know of the grid."
  value       = module.grid
}
