# A worker runs strangers' commands: it may take tasks, read objects, write what a task writes, and report. It knows neither
# the table, nor other queues, nor EC2.

resource "aws_iam_role" "this" {
  name                 = "${var.name}-worker"
  path                 = var.iam_path
  description          = "Workers of the grid ${var.name}"
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
  name = "${var.name}-worker"
  path = var.iam_path
  role = aws_iam_role.this.name
}

locals {
  arn = "arn:${local.partition}"

  bucket_statements = [
    {
      Sid      = "ReadObjects"
      Effect   = "Allow"
      Action   = "s3:GetObject"
      Resource = "${var.bucket_arn}/*"
    },
    {
      # Without it S3 says 403 of an object that is not there, and a missing manifest could not be told from a hidden one.
      Sid      = "ObjectNames"
      Effect   = "Allow"
      Action   = "s3:ListBucket"
      Resource = var.bucket_arn
    },
    {
      Sid      = "Commit"
      Effect   = "Allow"
      Action   = "s3:PutObject"
      Resource = [for folder in ["data", "done", "logs", "checkpoints"] : "${var.bucket_arn}/jobs/*/${folder}/*"]
    },
    {
      # What lost the race to the manifest is taken away again, and checkpoints once their item is committed. Manifests and logs stay.
      Sid      = "ThrowAway"
      Effect   = "Allow"
      Action   = ["s3:DeleteObject", "s3:AbortMultipartUpload"]
      Resource = [for folder in ["data", "checkpoints"] : "${var.bucket_arn}/jobs/*/${folder}/*"]
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
      Sid      = "TakeTasks"
      Effect   = "Allow"
      Action   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"]
      Resource = var.queue_arns["tasks"]
    },
    {
      Sid      = "Report"
      Effect   = "Allow"
      Action   = "sqs:SendMessage"
      Resource = var.queue_arns["reports"]
    },
  ]

  other_statements = [
    {
      Sid    = "Drain"
      Effect = "Allow"
      Action = ["autoscaling:CompleteLifecycleAction", "autoscaling:RecordLifecycleActionHeartbeat"]
      Resource = [for _, group in local.groups :
      "${local.arn}:autoscaling:${local.region}:${local.account}:autoScalingGroup:*:autoScalingGroupName/${group}"]
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
  name = "worker"
  role = aws_iam_role.this.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      local.bucket_statements, local.input_statements, local.queue_statements, local.other_statements, local.key_statements,
    )
  })
}
