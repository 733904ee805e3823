# A grid: network, storage, queues, state; the manager, the workers; who hears of what. Names of bucket, queues and table are
# those of localstack/, and a test compares them.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

data "aws_ssm_parameter" "ami" {
  name = var.ami_ssm_parameter
}

locals {
  bucket = coalesce(var.storage.bucket_name, "${var.name}-${data.aws_caller_identity.current.account_id}")
  # Read here, so that a plan shows when the image changes and both kinds of instances run what was planned.
  ami_id = data.aws_ssm_parameter.ami.insecure_value

  # The manager's own port. No security group opens it: people come through Session Manager, or by TLS through the port
  # that is opened to them. It listens on all interfaces all the same, because on the loopback it would ask nobody for a token.
  inner_port = 8470

  worker_settings = {
    GRIDMILL_BUCKET       = module.storage.bucket
    GRIDMILL_TASK_QUEUE   = module.queues.urls["tasks"]
    GRIDMILL_REPORT_QUEUE = module.queues.urls["reports"]
  }
  manager_settings = merge(local.worker_settings, {
    GRIDMILL_DEAD_TASK_QUEUE = module.queues.urls["dead-tasks"]
    GRIDMILL_TABLE           = module.state.table
  })

  # Pipelines name a queue by its ARN, and one of this account and region by its name, too.
  own_queues    = "arn:${data.aws_partition.current.partition}:sqs:${data.aws_region.current.region}:${data.aws_caller_identity.current.account_id}:"
  notify_queues = concat(var.notify_queue_arns, [for arn in var.notify_queue_arns : trimprefix(arn, local.own_queues) if startswith(arn, local.own_queues)])

  # How they go about it, beside where the grid is.
  manager_ways = merge(
    { GRIDMILL_LISTEN = "0.0.0.0:${local.inner_port}", GRIDMILL_LOG_FORMAT = "json" },
    local.fleet_ways,
    length(var.input_buckets) == 0 ? {} : { GRIDMILL_ALLOWED_INPUTS = join(",", [for bucket in var.input_buckets : "s3://${bucket}/"]) },
    length(var.notify_queue_arns) == 0 ? {} : { GRIDMILL_NOTIFY_QUEUES = join(",", local.notify_queues) },
  )
  worker_ways = {
    GRIDMILL_LOG_FORMAT = "json"
    # Ahead of systemd, which kills what is stopped for longer.
    GRIDMILL_DRAIN_SECS  = max(10, var.workers.drain_timeout_s - 20)
    GRIDMILL_ORPHAN_SECS = var.workers.orphan_timeout_s
  }

  # What reclaims would make late is bought on demand, whole jobs of it: with fewer there than on spot such jobs would wait for each other.
  markets = {
    spot      = { min_vcpus = var.workers.min_vcpus, max_vcpus = var.workers.max_vcpus }
    on-demand = { min_vcpus = 0, max_vcpus = coalesce(var.workers.on_demand_max_vcpus, var.workers.max_vcpus) }
  }

  # The fleet as the manager is told of it. A group that may have no machine is none, and without any people start workers.
  # Instances differ in size: most are of the smaller ones, and each says itself how many slots it has.
  fleet  = { for market, sizes in local.markets : market => sizes if sizes.max_vcpus > 0 }
  vcpus  = var.workers.vcpus_per_instance.min
  usd    = { for market, usd in var.workers.usd_per_vcpu_hour : market => format("%.6g", usd * local.vcpus) }
  groups = { for market, _ in local.fleet : market => module.workers.group_names[market] }
  fleet_ways = length(local.fleet) == 0 ? {} : merge(local.fleet_basics, var.workers.daily_vcpu_hours == null ? {} : {
    GRIDMILL_DAILY_MACHINE_HOURS = format("%.6g", var.workers.daily_vcpu_hours / local.vcpus)
  })
  fleet_basics = length(local.fleet) == 0 ? {} : {
    GRIDMILL_FLEET       = "aws"
    GRIDMILL_EVENT_QUEUE = module.queues.urls["events"]
    GRIDMILL_GROUPS = join(",", [for market in ["spot", "on-demand"] :
      "${local.groups[market]}=${local.usd[market]}${market == "spot" ? format(":%g", var.workers.spot_taken_per_hour) : ""}" if contains(keys(local.fleet), market)
    ])
    # Receipts and budgets take the dearest for granted: nobody knows beforehand which items run on spot instances.
    GRIDMILL_USD_PER_SLOT_HOUR = format("%.6f", max([for market, _ in local.fleet : var.workers.usd_per_vcpu_hour[market]]...))

    GRIDMILL_LATE_RISK     = format("%g", var.workers.late_risk)
    GRIDMILL_MACHINE_SLOTS = local.vcpus
    GRIDMILL_MIN_MACHINES  = ceil(var.workers.min_vcpus / local.vcpus)
    GRIDMILL_MAX_MACHINES  = max(1, floor(sum([for _, sizes in local.fleet : sizes.max_vcpus]) / local.vcpus))
  }
}

module "network" {
  source = "./modules/network"

  name                = var.name
  vpc_id              = var.network.vpc_id
  manager_subnet_ids  = var.network.manager_subnet_ids
  worker_subnet_ids   = var.network.worker_subnet_ids
  route_table_ids     = var.network.route_table_ids
  cidr                = var.network.cidr
  az_count            = var.network.az_count
  worker_egress       = var.network.worker_egress
  egress_ports        = var.network.egress_ports
  interface_endpoints = var.network.interface_endpoints
  api_cidrs           = var.network.api_cidrs
  api_port            = var.manager.port
}

module "storage" {
  source = "./modules/storage"

  bucket                 = local.bucket
  kms_key_arn            = var.storage.kms_key_arn
  noncurrent_expiry_days = var.storage.noncurrent_expiry_days
  expire_jobs_days       = var.storage.expire_jobs_days
  force_destroy          = var.storage.force_destroy
}

module "queues" {
  source = "./modules/queues"

  name                     = var.name
  visibility_timeout_s     = var.queues.visibility_timeout_s
  max_receive_count        = var.queues.max_receive_count
  report_max_receive_count = var.queues.report_max_receive_count
  retention_days           = var.queues.retention_days
}

module "state" {
  source = "./modules/state"

  name                = var.name
  kms_key_arn         = var.storage.kms_key_arn
  deletion_protection = var.storage.deletion_protection
}

module "manager" {
  source = "./modules/manager"

  name               = var.name
  tags               = var.tags
  instance_type      = var.manager.instance_type
  ami_id             = local.ami_id
  root_gib           = var.manager.root_gib
  port               = local.inner_port
  api_port           = length(var.network.api_cidrs) > 0 ? var.manager.port : null
  subnet_ids         = module.network.manager_subnet_ids
  security_group_id  = module.network.manager_security_group_id
  settings           = merge(local.manager_settings, local.manager_ways, var.manager.settings)
  bucket_arn         = module.storage.bucket_arn
  table_arn          = module.state.table_arn
  queue_arns         = module.queues.arns
  worker_group_names = values(module.workers.group_names)
  input_buckets      = var.input_buckets
  notify_queue_arns  = var.notify_queue_arns
  log_retention_days = var.observability.log_retention_days
  kms_key_arn        = var.storage.kms_key_arn

  binary = {
    bucket = var.binaries.bucket
    key    = var.binaries.manager_key
    sha256 = var.binaries.manager_sha256
  }

  permissions_boundary_arn = var.permissions_boundary_arn
  iam_path                 = var.iam_path
}

module "workers" {
  source = "./modules/workers"

  name                      = var.name
  tags                      = var.tags
  markets                   = local.markets
  vcpus_per_instance        = var.workers.vcpus_per_instance
  memory_mib_per_instance   = var.workers.memory_mib_per_instance
  max_spot_price_percentage = var.workers.max_spot_price_percentage
  ami_id                    = local.ami_id
  root_gib                  = var.workers.root_gib
  drain_timeout_s           = var.workers.drain_timeout_s
  max_lifetime_days         = var.workers.max_lifetime_days
  subnet_ids                = module.network.worker_subnet_ids
  public_ip                 = module.network.worker_public_ip
  security_group_id         = module.network.worker_security_group_id
  settings                  = merge(local.worker_settings, local.worker_ways, var.workers.settings)
  bucket_arn                = module.storage.bucket_arn
  queue_arns                = module.queues.arns
  input_buckets             = var.input_buckets
  log_retention_days        = var.observability.log_retention_days
  kms_key_arn               = var.storage.kms_key_arn

  binary = {
    bucket = var.binaries.bucket
    key    = var.binaries.worker_key
    sha256 = var.binaries.worker_sha256
  }

  permissions_boundary_arn = var.permissions_boundary_arn
  iam_path                 = var.iam_path
}

module "observability" {
  source = "./modules/observability"

  name               = var.name
  alarm_email        = var.observability.alarm_email
  oldest_task_age_s  = var.observability.oldest_task_age_s
  monthly_budget_usd = var.observability.monthly_budget_usd
  queue_names        = module.queues.names
  events_queue_arn   = module.queues.arns["events"]
  table              = module.state.table
  manager_group_name = module.manager.group_name
  kms_key_arn        = var.storage.kms_key_arn

  worker_groups = { for market, group in module.workers.group_names : market => {
    name      = group
    max_vcpus = local.markets[market].max_vcpus
  } }
}
