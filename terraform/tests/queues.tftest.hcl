mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name = "grid"
}

run "every_queue_has_one_for_its_dead_letters" {
  module { source = "./modules/queues" }

  assert {
    condition = { for key, queue in aws_sqs_queue.source : queue.name => [aws_sqs_queue.dead[key].name, jsondecode(queue.redrive_policy)] } == {
      grid-tasks   = ["grid-dead-tasks", { deadLetterTargetArn = "arn:aws:sqs:eu-central-1:123456789012:grid-dead-tasks", maxReceiveCount = 5 }]
      grid-reports = ["grid-dead-reports", { deadLetterTargetArn = "arn:aws:sqs:eu-central-1:123456789012:grid-dead-reports", maxReceiveCount = 20 }]
      grid-events  = ["grid-dead-events", { deadLetterTargetArn = "arn:aws:sqs:eu-central-1:123456789012:grid-dead-events", maxReceiveCount = 20 }]
    }
    error_message = "a task is set aside after five receives; reports and events outlive changes of the leader"
  }

  assert {
    condition = { for key, policy in aws_sqs_queue_redrive_allow_policy.dead : key => jsondecode(policy.redrive_allow_policy) } == {
      for key in ["tasks", "reports", "events"] : key => { redrivePermission = "byQueue", sourceQueueArns = ["arn:aws:sqs:eu-central-1:123456789012:grid-${key}"] }
    }
    error_message = "only its own queue sends to a queue of dead letters"
  }
}

run "messages_are_kept_as_long_as_sqs_keeps_any" {
  module { source = "./modules/queues" }

  assert {
    condition     = alltrue([for queue in concat(values(aws_sqs_queue.source), values(aws_sqs_queue.dead)) : queue.message_retention_seconds == 14 * 86400])
    error_message = "a paused job may wait for two weeks"
  }

  assert {
    condition     = alltrue([for queue in concat(values(aws_sqs_queue.source), values(aws_sqs_queue.dead)) : queue.visibility_timeout_seconds == 120 && queue.receive_wait_time_seconds == 20])
    error_message = "a receive waits for long, and takes for two minutes"
  }
}

run "dead_letters_are_never_kept_for_less_than_others" {
  module { source = "./modules/queues" }

  variables {
    retention_days = 3
  }

  assert {
    condition     = alltrue([for queue in aws_sqs_queue.source : queue.message_retention_seconds == 3 * 86400])
    error_message = "the setting is that of the queues"
  }

  assert {
    condition     = alltrue([for queue in aws_sqs_queue.dead : queue.message_retention_seconds == 14 * 86400])
    error_message = "a message brings its age along to the dead letters"
  }
}

run "messages_are_encrypted_and_come_by_tls" {
  module { source = "./modules/queues" }

  assert {
    condition     = alltrue([for queue in concat(values(aws_sqs_queue.source), values(aws_sqs_queue.dead)) : queue.sqs_managed_sse_enabled])
    error_message = "every queue is encrypted"
  }

  assert {
    condition     = toset(keys(aws_sqs_queue_policy.this)) == toset(["tasks", "reports", "events", "dead-tasks", "dead-reports", "dead-events"])
    error_message = "every queue has a policy"
  }

  assert {
    condition = alltrue([for key, policy in aws_sqs_queue_policy.this : jsondecode(policy.policy).Statement[0] == {
      Sid       = "TlsOnly"
      Effect    = "Deny"
      Principal = "*"
      Action    = "sqs:*"
      Resource  = "arn:aws:sqs:eu-central-1:123456789012:grid-${key}"
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }])
    error_message = "nobody comes without TLS"
  }

  assert {
    condition = { for key, policy in aws_sqs_queue_policy.this : key => [for statement in jsondecode(policy.policy).Statement : statement.Condition
      if statement.Effect == "Allow"] if length(jsondecode(policy.policy).Statement) > 1 } == {
      events = [{ ArnLike = { "aws:SourceArn" = "arn:aws:events:eu-central-1:123456789012:rule/grid-*" } }]
    }
    error_message = "only the grid's own rules are let in, to the queue of events"
  }
}
