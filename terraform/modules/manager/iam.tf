resource "aws_iam_role" "this" {
  name                 = "${var.name}-manager"
  path                 = var.iam_path
  description          = "Job manager of the grid ${var.name}"
  permissions_boundary = var.permissions_boundary_arn

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "ec2.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_instance_profile" "this" {
  name = "${var.name}-manager"
  path = var.iam_path
  role = aws_iam_role.this.name
}

locals {
  arn     = "arn:${local.partition}"
  reading = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"]

  bucket_statements = [
    {
      Sid      = "Objects"
      Effect   = "Allow"
      Action   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
      Resource = "${var.bucket_arn}/*"
    },
    {
      Sid      = "ObjectNames"
      Effect   = "Allow"
      Action   = "s3:ListBucket"
      Resource = var.bucket_arn
    },
    {
      Sid      = "Binary"
      Effect   = "Allow"
      Action   = "s3:GetObject"
      Resource = "${local.arn}:s3:::${var.binary.bucket}/${var.binary.key}"
    },
  ]

  input_statements = length(var.input_buckets) == 0 ? [] : [{
    Sid      = "Inputs"
    Effect   = "Allow"
    Action   = ["s3:GetObject", "s3:ListBucket"]
    Resource = flatten([for bucket in var.input_buckets : ["${local.arn}:s3:::${bucket}", "${local.arn}:s3:::${bucket}/*"]])
  }]

  queue_statements = [
    {
      Sid      = "HandOut"
      Effect   = "Allow"
      Action   = ["sqs:SendMessage", "sqs:GetQueueAttributes"]
      Resource = var.queue_arns["tasks"]
    },
    {
      Sid      = "DeadTasksAndEvents"
      Effect   = "Allow"
      Action   = local.reading
      Resource = [var.queue_arns["dead-tasks"], var.queue_arns["events"]]
    },
    {
      # It sends, too: a hint to the leader that somebody's wish was written.
      Sid      = "Reports"
      Effect   = "Allow"
      Action   = concat(local.reading, ["sqs:SendMessage"])
      Resource = var.queue_arns["reports"]
    },
  ]

  notify_statements = length(var.notify_queue_arns) == 0 ? [] : [{
    Sid      = "Notify"
    Effect   = "Allow"
    Action   = ["sqs:SendMessage", "sqs:GetQueueUrl"]
    Resource = var.notify_queue_arns
  }]

  table_statements = [{
    Sid      = "Rows"
    Effect   = "Allow"
    Action   = ["dynamodb:GetItem", "dynamodb:Query", "dynamodb:PutItem", "dynamodb:DeleteItem", "dynamodb:DescribeTimeToLive"]
    Resource = var.table_arn
  }]

  fleet_statements = [
    {
      Sid    = "Fleet"
      Effect = "Allow"
      Action = [
        "autoscaling:SetDesiredCapacity",
        "autoscaling:TerminateInstanceInAutoScalingGroup",
      ]
      Resource = [for group in var.worker_group_names :
      "${local.arn}:autoscaling:${local.region}:${local.account}:autoScalingGroup:*:autoScalingGroupName/${group}"]
    },
    {
      # These know no resources.
      Sid    = "FleetInSight"
      Effect = "Allow"
      Action = [
        "autoscaling:DescribeAutoScalingGroups",
        "autoscaling:DescribeScalingActivities",
      ]
      Resource = "*"
    },
    {
      Sid      = "OwnAddress"
      Effect   = "Allow"
      Action   = "ec2:AssociateAddress"
      Resource = aws_eip.this.arn
    },
    {
      Sid       = "OwnAddressForManagers"
      Effect    = "Allow"
      Action    = "ec2:AssociateAddress"
      Resource  = [for kind in ["instance", "network-interface"] : "${local.arn}:ec2:${local.region}:${local.account}:${kind}/*"]
      Condition = { StringEquals = { "aws:ResourceTag/grid" = var.name, "aws:ResourceTag/component" = "manager" } }
    },
  ]

  person_statements = [
    {
      # Session Manager, by which people reach a manager that has no inbound rule. These know no resources.
      Sid    = "Sessions"
      Effect = "Allow"
      Action = [
        "ssmmessages:CreateControlChannel",
        "ssmmessages:CreateDataChannel",
        "ssmmessages:OpenControlChannel",
        "ssmmessages:OpenDataChannel",
      ]
      Resource = "*"
    },
    {
      Sid      = "SessionsOfInstances"
      Effect   = "Allow"
      Action   = "ssm:UpdateInstanceInformation"
      Resource = "${local.arn}:ec2:${local.region}:${local.account}:instance/*"
    },
    {
      Sid      = "Certificate"
      Effect   = "Allow"
      Action   = ["ssm:GetParameter", "ssm:PutParameter"]
      Resource = "${local.arn}:ssm:${local.region}:${local.account}:parameter/${var.name}/api/*"
    },
    {
      Sid      = "Log"
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
      Resource = "${local.arn}:logs:${local.region}:${local.account}:log-group:${aws_cloudwatch_log_group.this.name}:*"
    },
  ]

  key_statements = var.kms_key_arn == null ? [] : [{
    Sid      = "Key"
    Effect   = "Allow"
    Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
    Resource = var.kms_key_arn
  }]
}

resource "aws_iam_role_policy" "this" {
  name = "manager"
  role = aws_iam_role.this.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      local.bucket_statements, local.input_statements, local.queue_statements, local.notify_statements,
      local.table_statements, local.fleet_statements, local.person_statements, local.key_statements,
    )
  })
}
