mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name               = "grid"
  queue_names        = { tasks = "grid-tasks", dead-tasks = "grid-dead-tasks", reports = "grid-reports", dead-reports = "grid-dead-reports", events = "grid-events", dead-events = "grid-dead-events" }
  events_queue_arn   = "arn:aws:sqs:eu-central-1:123456789012:grid-events"
  table              = "grid"
  manager_group_name = "grid-manager"
  worker_groups      = { spot = { name = "grid-workers-spot", max_vcpus = 64 }, on-demand = { name = "grid-workers-on-demand", max_vcpus = 0 } }
}

run "somebody_hears_of_what_goes_wrong" {
  module { source = "./modules/observability" }

  assert {
    condition = toset(keys(aws_cloudwatch_metric_alarm.this)) == toset([
      "dead-tasks", "dead-reports", "dead-events", "oldest-task", "oldest-report", "in-flight", "throttled-writes", "throttled-reads", "launch-failures", "at-maximum-spot",
    ])
    error_message = "these are the alarms; a group that may have no instance is always at its maximum, and has none"
  }

  assert {
    condition     = alltrue([for alarm in concat(values(aws_cloudwatch_metric_alarm.this), [aws_cloudwatch_metric_alarm.no_leader, aws_cloudwatch_metric_alarm.idle_fleet]) : alarm.alarm_actions == toset([aws_sns_topic.alarms.arn])])
    error_message = "every alarm is sent"
  }

  assert {
    condition = { for key, alarm in aws_cloudwatch_metric_alarm.this : key => [alarm.metric_name, alarm.threshold, alarm.period, alarm.evaluation_periods]
      if contains(["dead-tasks", "oldest-task", "in-flight", "launch-failures", "at-maximum-spot"], key) } == {
      dead-tasks      = ["ApproximateNumberOfMessagesVisible", 0, 60, 15]
      oldest-task     = ["ApproximateAgeOfOldestMessage", 3600, 60, 5]
      in-flight       = ["ApproximateNumberOfMessagesNotVisible", 100000, 60, 5]
      launch-failures = ["TriggeredRules", 2, 900, 1]
      at-maximum-spot = ["GroupDesiredCapacity", 63, 60, 30]
    }
    error_message = "they say so neither too early nor too late"
  }

  assert {
    condition     = alltrue([for alarm in concat(values(aws_cloudwatch_metric_alarm.this), [aws_cloudwatch_metric_alarm.idle_fleet]) : alarm.comparison_operator == "GreaterThanThreshold"])
    error_message = "too much is what they are about"
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.no_leader.treat_missing_data == "breaching" && aws_cloudwatch_metric_alarm.no_leader.comparison_operator == "LessThanThreshold"
    error_message = "silence of the manager is an alarm"
  }

  assert {
    condition     = strcontains(jsonencode([for query in aws_cloudwatch_metric_alarm.idle_fleet.metric_query : query.expression]), "FILL(on_demand, 0) + FILL(spot, 0)")
    error_message = "both groups count as idle"
  }
}

run "the_manager_hears_of_its_fleet" {
  module { source = "./modules/observability" }

  assert {
    condition     = alltrue([for target in aws_cloudwatch_event_target.queue : target.arn == "arn:aws:sqs:eu-central-1:123456789012:grid-events"]) && length(aws_cloudwatch_event_target.queue) == 3
    error_message = "all events go to the queue of events"
  }

  assert {
    condition     = alltrue([for rule in aws_cloudwatch_event_rule.fleet : startswith(rule.name, "grid-")])
    error_message = "the queue lets in rules by this name"
  }

  assert {
    condition = { for key, rule in aws_cloudwatch_event_rule.fleet : key => jsondecode(rule.event_pattern) } == {
      spot = { source = ["aws.ec2"], detail-type = ["EC2 Spot Instance Interruption Warning", "EC2 Instance Rebalance Recommendation"] }
      instances = {
        source      = ["aws.autoscaling"]
        detail-type = ["EC2 Instance Launch Successful", "EC2 Instance-terminate Lifecycle Action", "EC2 Instance Terminate Successful"]
        detail      = { AutoScalingGroupName = ["grid-workers-on-demand", "grid-workers-spot"] }
      }
      launch-failures = {
        source      = ["aws.autoscaling"]
        detail-type = ["EC2 Instance Launch Unsuccessful"]
        detail      = { AutoScalingGroupName = ["grid-workers-on-demand", "grid-workers-spot", "grid-manager"] }
      }
    }
    error_message = "each event comes once, and what names a group is of this grid's"
  }
}

run "nobody_else_sends_alarms" {
  module { source = "./modules/observability" }

  assert {
    condition = [for statement in jsondecode(aws_sns_topic_policy.alarms.policy).Statement : statement.Condition] == [
      { StringEquals = { "aws:SourceAccount" = "123456789012" } }, { Bool = { "aws:SecureTransport" = "false" } },
    ]
    error_message = "alarms come from this account, by TLS"
  }

  assert {
    condition     = length(aws_budgets_budget.monthly) == 0 && length(aws_sns_topic_subscription.email) == 0
    error_message = "no budget and no mail without a word"
  }
}

run "a_budget_counts_this_grid" {
  module { source = "./modules/observability" }

  variables {
    monthly_budget_usd = 250
    kms_key_arn        = "arn:aws:kms:eu-central-1:123456789012:key/1"
    alarm_email        = "grid@example.com"
  }

  assert {
    condition     = toset(one(aws_budgets_budget.monthly[0].cost_filter).values) == toset(["user:grid$grid"])
    error_message = "the bill is that of the tag"
  }

  assert {
    condition     = { for notification in aws_budgets_budget.monthly[0].notification : notification.notification_type => notification.threshold } == { ACTUAL = 80, FORECASTED = 100 }
    error_message = "it warns at 80 % spent and 100 % to be expected"
  }

  assert {
    condition     = aws_sns_topic.alarms.kms_master_key_id == "arn:aws:kms:eu-central-1:123456789012:key/1"
    error_message = "the topic is encrypted with the given key"
  }

  assert {
    condition     = aws_sns_topic_subscription.email[0].endpoint == "grid@example.com"
    error_message = "the address hears of alarms"
  }
}
