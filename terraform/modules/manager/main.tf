# The job manager: one instance with a fixed address, in a group of one that replaces it. Its state is in the table and the
# bucket; workers go on without it.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.region

  tags = merge(var.tags, { Name = "${var.name}-manager", grid = var.name, component = "manager" })

  boot = templatefile("${path.module}/../../templates/boot.sh.tftpl", {
    program  = "job-manager"
    region   = local.region
    bucket   = var.binary.bucket
    key      = var.binary.key
    sha256   = var.binary.sha256
    settings = merge(var.settings, { AWS_REGION = local.region })
    unit     = trimspace(templatefile("${path.module}/../../templates/job-manager.service.tftpl", {}))
    agent = jsonencode({ logs = { logs_collected = { files = { collect_list = [{
      file_path       = "/var/log/gridmill/job-manager.log"
      log_group_name  = aws_cloudwatch_log_group.this.name
      log_stream_name = "{instance_id}"
    }] } } } })
    before = ""
    setup = trimspace(templatefile("${path.module}/../../templates/manager.sh.tftpl", {
      name       = var.name
      port       = var.port
      api_port   = var.api_port
      address    = aws_eip.this.public_ip
      allocation = aws_eip.this.allocation_id
    }))
  })
}

resource "aws_eip" "this" {
  #checkov:skip=CKV2_AWS_19:whoever is the manager takes the address at boot
  domain = "vpc"

  tags = merge(var.tags, { Name = "${var.name}-manager", grid = var.name })
}

resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_338:what must be kept is in the bucket, and people set how long logs are
  name              = "/gridmill/${var.name}/manager"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_launch_template" "this" {
  #checkov:skip=CKV_AWS_88:it needs an address of its own to ask EC2 for the fixed one, and nothing comes in by it
  name          = "${var.name}-manager"
  description   = "Manager of the grid ${var.name}"
  image_id      = var.ami_id
  instance_type = var.instance_type
  user_data     = base64encode(local.boot)

  instance_initiated_shutdown_behavior = "terminate"

  iam_instance_profile {
    arn = aws_iam_instance_profile.this.arn
  }

  # A public address of its own, by which it asks EC2 for the fixed one.
  network_interfaces {
    associate_public_ip_address = true
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
      tags          = local.tags
    }
  }

  lifecycle {
    precondition {
      condition     = length(local.boot) <= 16384
      error_message = "The manager's user data has more than 16 KiB: give it fewer or shorter settings."
    }
  }
}

resource "aws_autoscaling_group" "this" {
  name                      = "${var.name}-manager"
  min_size                  = 1
  max_size                  = 1
  desired_capacity          = 1
  vpc_zone_identifier       = var.subnet_ids
  health_check_type         = "EC2"
  health_check_grace_period = 120
  enabled_metrics           = ["GroupInServiceInstances"]
  metrics_granularity       = "1Minute"
  wait_for_capacity_timeout = "0"

  launch_template {
    id      = aws_launch_template.this.id
    version = aws_launch_template.this.latest_version
  }

  # A new version of the template is a new manager: `terraform apply` is the release. There is never more than one.
  instance_refresh {
    strategy = "Rolling"

    preferences {
      min_healthy_percentage = 0
      max_healthy_percentage = 100
    }
  }

  tag {
    key                 = "grid"
    value               = var.name
    propagate_at_launch = false
  }

  # Without the role's rights the first boot would fail.
  depends_on = [aws_iam_role_policy.this]
}
