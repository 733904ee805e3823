locals {
  to = [aws_sns_topic.alarms.arn]

  # Of one metric each. A sum is that of all minutes, else every one of them must be above. `dead-tasks` are read by the manager, the other dead
  # letters by nobody. The age of the oldest task leaves out messages that were received three times: poison is seen in
  # the dead letters only.
  alarms = merge(
    {
      dead-tasks = {
        description = "Dead tasks are not taken up: does the manager run?"
        namespace   = "AWS/SQS", metric = "ApproximateNumberOfMessagesVisible", statistic = "Minimum"
        dimensions  = { QueueName = var.queue_names["dead-tasks"] }
        above       = 0, minutes = 15, missing = "notBreaching"
      }
      oldest-task = {
        description = "A task has waited for long: is the fleet at its maximum, or does it not start?"
        namespace   = "AWS/SQS", metric = "ApproximateAgeOfOldestMessage", statistic = "Maximum"
        dimensions  = { QueueName = var.queue_names["tasks"] }
        above       = var.oldest_task_age_s, minutes = 5, missing = "notBreaching"
      }
      oldest-report = {
        description = "Reports are not collected: does the manager run?"
        namespace   = "AWS/SQS", metric = "ApproximateAgeOfOldestMessage", statistic = "Maximum"
        dimensions  = { QueueName = var.queue_names["reports"] }
        above       = 300, minutes = 5, missing = "notBreaching"
      }
      in-flight = {
        description = "SQS hands out no more than 120,000 tasks of a queue at a time, and does not say so."
        namespace   = "AWS/SQS", metric = "ApproximateNumberOfMessagesNotVisible", statistic = "Maximum"
        dimensions  = { QueueName = var.queue_names["tasks"] }
        above       = 100000, minutes = 5, missing = "notBreaching"
      }
      throttled-writes = {
        description = "The table refuses writes."
        namespace   = "AWS/DynamoDB", metric = "WriteThrottleEvents", statistic = "Sum"
        dimensions  = { TableName = var.table }
        above       = 0, minutes = 5, missing = "notBreaching"
      }
      throttled-reads = {
        description = "The table refuses reads."
        namespace   = "AWS/DynamoDB", metric = "ReadThrottleEvents", statistic = "Sum"
        dimensions  = { TableName = var.table }
        above       = 0, minutes = 5, missing = "notBreaching"
      }
      launch-failures = {
        description = "Instances cannot be started: no capacity, a quota, or a wrong setting."
        namespace   = "AWS/Events", metric = "TriggeredRules", statistic = "Sum"
        dimensions  = { RuleName = aws_cloudwatch_event_rule.fleet["launch-failures"].name }
        above       = 2, minutes = 15, missing = "notBreaching"
      }
    },
    { for kind in ["dead-reports", "dead-events"] : kind => {
      description = "There are ${kind}: something reads them again and again, and fails. Look at one."
      namespace   = "AWS/SQS", metric = "ApproximateNumberOfMessagesVisible", statistic = "Minimum"
      dimensions  = { QueueName = var.queue_names[kind] }
      above       = 0, minutes = 1, missing = "notBreaching"
    } },
    { for market, group in var.worker_groups : "at-maximum-${market}" => {
      description = "The group has been at its maximum for half an hour."
      namespace   = "AWS/AutoScaling", metric = "GroupDesiredCapacity", statistic = "Minimum"
      dimensions  = { AutoScalingGroupName = group.name }
      above       = group.max_vcpus - 1, minutes = 30, missing = "notBreaching"
    } if group.max_vcpus > 0 },
  )
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.description
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.above
  period              = each.value.statistic == "Sum" ? 60 * each.value.minutes : 60
  evaluation_periods  = each.value.statistic == "Sum" ? 1 : each.value.minutes
  treat_missing_data  = each.value.missing
  alarm_actions       = local.to
  ok_actions          = local.to
}

# Whoever leads renews its claim to the lead by a write to the table, several times a minute. No writes, no leader.
resource "aws_cloudwatch_metric_alarm" "no_leader" {
  alarm_name          = "${var.name}-no-leader"
  alarm_description   = "No manager leads: for five minutes nobody has written to the table."
  namespace           = "AWS/DynamoDB"
  metric_name         = "ConsumedWriteCapacityUnits"
  dimensions          = { TableName = var.table }
  statistic           = "Sum"
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  period              = 60
  evaluation_periods  = 5
  treat_missing_data  = "breaching"
  alarm_actions       = local.to
  ok_actions          = local.to
}

# A manager that is dead or wrong must not leave a fleet running.
resource "aws_cloudwatch_metric_alarm" "idle_fleet" {
  alarm_name          = "${var.name}-idle-fleet"
  alarm_description   = "Workers have run for half an hour without a task."
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  evaluation_periods  = 30
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.to
  ok_actions          = local.to

  metric_query {
    id          = "idle"
    label       = "vCPUs without work"
    expression  = "IF(FILL(waiting, 0) + FILL(running, 0) == 0, ${join(" + ", [for market, _ in var.worker_groups : "FILL(${replace(market, "-", "_")}, 0)"])}, 0)"
    return_data = true
  }

  dynamic "metric_query" {
    for_each = { waiting = "ApproximateNumberOfMessagesVisible", running = "ApproximateNumberOfMessagesNotVisible" }

    content {
      id = metric_query.key

      metric {
        namespace   = "AWS/SQS"
        metric_name = metric_query.value
        dimensions  = { QueueName = var.queue_names["tasks"] }
        period      = 60
        stat        = "Maximum"
      }
    }
  }

  dynamic "metric_query" {
    for_each = var.worker_groups

    content {
      id = replace(metric_query.key, "-", "_")

      metric {
        namespace   = "AWS/AutoScaling"
        metric_name = "GroupInServiceCapacity"
        dimensions  = { AutoScalingGroupName = metric_query.value.name }
        period      = 60
        stat        = "Minimum"
      }
    }
  }
}
