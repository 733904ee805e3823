# Standard queues, each with one for its dead letters. Programs name their lease with every receive; what is set here is
# for other readers.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  day = 86400
  # Of a message's age the time in its first queue counts, so that nothing may be kept for less here than there.
  longest = 14 * local.day

  # A queue and what its dead letters are called. The names are those of localstack/grid.env.
  sources = {
    tasks   = { dead = "dead-tasks", receives = var.max_receive_count }
    reports = { dead = "dead-reports", receives = var.report_max_receive_count }
    events  = { dead = "dead-events", receives = var.report_max_receive_count }
  }
  queues = merge(
    { for key, _ in local.sources : key => "${var.name}-${key}" },
    { for _, source in local.sources : source.dead => "${var.name}-${source.dead}" },
  )
  arn = { for key, queue in local.queues : key => join(":", [
    "arn", data.aws_partition.current.partition, "sqs", data.aws_region.current.region,
    data.aws_caller_identity.current.account_id, queue,
  ]) }
  all = merge(
    { for key, queue in aws_sqs_queue.source : key => queue },
    { for key, source in local.sources : source.dead => aws_sqs_queue.dead[key] },
  )
}

resource "aws_sqs_queue" "dead" {
  for_each = local.sources

  name                       = local.queues[each.value.dead]
  message_retention_seconds  = local.longest
  visibility_timeout_seconds = var.visibility_timeout_s
  receive_wait_time_seconds  = 20
  sqs_managed_sse_enabled    = true
}

resource "aws_sqs_queue" "source" {
  for_each = local.sources

  name                       = local.queues[each.key]
  message_retention_seconds  = var.retention_days * local.day
  visibility_timeout_seconds = var.visibility_timeout_s
  receive_wait_time_seconds  = 20
  sqs_managed_sse_enabled    = true

  redrive_policy = jsonencode({
    deadLetterTargetArn = local.arn[each.value.dead]
    maxReceiveCount     = each.value.receives
  })

  depends_on = [aws_sqs_queue.dead]
}

# Not within the queue: the two would wait for each other.
resource "aws_sqs_queue_redrive_allow_policy" "dead" {
  for_each = local.sources

  queue_url = aws_sqs_queue.dead[each.key].id

  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [local.arn[each.key]]
  })

  depends_on = [aws_sqs_queue.source]
}

resource "aws_sqs_queue_policy" "this" {
  for_each = local.queues

  queue_url = local.all[each.key].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [{
        Sid       = "TlsOnly"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sqs:*"
        Resource  = local.arn[each.key]
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      }],
      each.key != "events" ? [] : [{
        Sid       = "EventsOfTheFleet"
        Effect    = "Allow"
        Principal = { Service = "events.amazonaws.com" }
        Action    = "sqs:SendMessage"
        Resource  = local.arn[each.key]
        Condition = { ArnLike = { "aws:SourceArn" = join(":", [
          "arn", data.aws_partition.current.partition, "events", data.aws_region.current.region,
          data.aws_caller_identity.current.account_id, "rule/${var.name}-*",
        ]) } }
      }],
    )
  })
}
