# Workers: a group for each market. Nothing but the manager's own choice, the hardware and the spot market takes an instance
# away: groups do not scale in by themselves, nor balance their zones.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.region

  # The worker holds it while it drains, so that it is short: what an instance whose worker is dead costs after its end.
  hook      = "drain"
  hook_wait = 120

  # Before the instance's metadata stands a service, on this port of the loopback.
  metadata = "127.0.0.1:8471"

  groups = { for market, _ in var.markets : market => "${var.name}-workers-${market}" }
  tags   = merge(var.tags, { Name = "${var.name}-worker", grid = var.name, component = "worker" })

  boot = { for market, group in local.groups : market => templatefile("${path.module}/../../templates/boot.sh.tftpl", {
    program = "grid-worker"
    region  = local.region
    bucket  = var.binary.bucket
    key     = var.binary.key
    sha256  = var.binary.sha256
    settings = merge(var.settings, {
      AWS_REGION                         = local.region
      AWS_CONTAINER_CREDENTIALS_FULL_URI = "http://${local.metadata}/credentials"
      GRIDMILL_GROUP                     = group
      GRIDMILL_HOOK                      = local.hook
      GRIDMILL_INSTANCE_METADATA         = local.metadata
    })
    before = trimspace(templatefile("${path.module}/../../templates/metadata.sh.tftpl", { address = local.metadata }))
    unit = trimspace(templatefile("${path.module}/../../templates/grid-worker.service.tftpl", {
      drain_timeout_s = var.drain_timeout_s
    }))
    agent = jsonencode({ logs = { logs_collected = { files = { collect_list = [{
      file_path       = "/var/log/gridmill/grid-worker.log"
      log_group_name  = aws_cloudwatch_log_group.this.name
      log_stream_name = "{instance_id}"
    }] } } } })
    setup = ""
  }) }
}

resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_338:what must be kept is in the bucket, and people set how long logs are
  name              = "/gridmill/${var.name}/workers"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_launch_template" "this" {
  for_each = local.groups

  name        = each.value
  description = "Worker of the grid ${var.name}"
  image_id    = var.ami_id
  user_data   = base64encode(local.boot[each.key])

  # A worker that turns itself off costs nothing any more.
  instance_initiated_shutdown_behavior = "terminate"

  iam_instance_profile {
    arn = aws_iam_instance_profile.this.arn
  }

  network_interfaces {
    associate_public_ip_address = var.public_ip
    delete_on_termination       = true
    security_groups             = [var.security_group_id]
  }

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
    instance_metadata_tags      = "disabled"
  }

  block_device_mappings {
    device_name = "/dev/xvda"

    ebs {
      volume_type           = "gp3"
      volume_size           = var.root_gib
      encrypted             = true
      delete_on_termination = true
    }
  }

  dynamic "tag_specifications" {
    for_each = toset(["instance", "volume", "network-interface"])

    content {
      resource_type = tag_specifications.key
      tags          = merge(local.tags, { market = each.key })
    }
  }

  lifecycle {
    precondition {
      condition     = length(local.boot[each.key]) <= 16384
      error_message = "The workers' user data has more than 16 KiB: give them fewer or shorter settings."
    }
  }
}

# A group of its own for each market: which of them grows is the manager's decision.
resource "aws_autoscaling_group" "this" {
  for_each = var.markets

  name                      = local.groups[each.key]
  min_size                  = each.value.min_vcpus
  max_size                  = each.value.max_vcpus
  desired_capacity          = each.value.min_vcpus
  desired_capacity_type     = "vcpu"
  vpc_zone_identifier       = var.subnet_ids
  health_check_type         = "EC2"
  health_check_grace_period = 120
  default_instance_warmup   = 0
  capacity_rebalance        = false
  protect_from_scale_in     = true
  suspended_processes       = ["AZRebalance", "AlarmNotification", "ScheduledActions"]
  max_instance_lifetime     = var.max_lifetime_days * 86400
  enabled_metrics           = ["GroupDesiredCapacity", "GroupInServiceCapacity", "GroupPendingCapacity"]
  metrics_granularity       = "1Minute"
  wait_for_capacity_timeout = "0"

  # Within the group, not a resource of its own: the first instances would miss it. Spot reclaims do not wait for it.
  initial_lifecycle_hook {
    name                 = local.hook
    lifecycle_transition = "autoscaling:EC2_INSTANCE_TERMINATING"
    default_result       = "CONTINUE"
    heartbeat_timeout    = local.hook_wait
  }

  mixed_instances_policy {
    instances_distribution {
      on_demand_base_capacity                  = 0
      on_demand_percentage_above_base_capacity = each.key == "spot" ? 0 : 100
      on_demand_allocation_strategy            = "lowest-price"
      spot_allocation_strategy                 = "price-capacity-optimized"
    }

    launch_template {
      launch_template_specification {
        launch_template_id = aws_launch_template.this[each.key].id
        version            = aws_launch_template.this[each.key].latest_version
      }

      override {
        instance_requirements {
          instance_generations  = ["current"]
          burstable_performance = "excluded"
          bare_metal            = "excluded"

          max_spot_price_as_percentage_of_optimal_on_demand_price = each.key == "spot" ? var.max_spot_price_percentage : null

          vcpu_count {
            min = var.vcpus_per_instance.min
            max = var.vcpus_per_instance.max
          }

          memory_mib {
            min = var.memory_mib_per_instance.min
            max = var.memory_mib_per_instance.max
          }
        }
      }
    }
  }

  tag {
    key                 = "grid"
    value               = var.name
    propagate_at_launch = false
  }

  timeouts {
    delete = "20m"
  }

  lifecycle {
    # The manager's: an apply must not reset the fleet.
    ignore_changes = [desired_capacity]
  }

  # Without the role's rights the first boot would fail.
  depends_on = [aws_iam_role_policy.this]
}
