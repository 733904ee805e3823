mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name               = "grid"
  ami_id             = "ami-1"
  subnet_ids         = ["subnet-1"]
  security_group_id  = "sg-1"
  binary             = { bucket = "releases", key = "gridmill/job-manager", sha256 = "0a" }
  settings           = { GRIDMILL_TABLE = "grid" }
  bucket_arn         = "arn:aws:s3:::grid"
  table_arn          = "arn:aws:dynamodb:eu-central-1:123456789012:table/grid"
  worker_group_names = ["grid-workers-spot", "grid-workers-on-demand"]
  queue_arns = {
    tasks      = "arn:aws:sqs:eu-central-1:123456789012:grid-tasks"
    dead-tasks = "arn:aws:sqs:eu-central-1:123456789012:grid-dead-tasks"
    reports    = "arn:aws:sqs:eu-central-1:123456789012:grid-reports"
    events     = "arn:aws:sqs:eu-central-1:123456789012:grid-events"
  }
}

run "there_is_one_manager" {
  module { source = "./modules/manager" }

  assert {
    condition     = [aws_autoscaling_group.this.min_size, aws_autoscaling_group.this.max_size, aws_autoscaling_group.this.desired_capacity] == [1, 1, 1]
    error_message = "a group of one replaces a manager that is lost"
  }

  assert {
    condition     = aws_autoscaling_group.this.launch_template[0].version == "3" && length(aws_autoscaling_group.this.instance_refresh) == 1
    error_message = "a new version of the template is a new manager"
  }

  assert {
    condition     = output.public_ip == "192.0.2.7" && strcontains(output.user_data, "associate-address --allocation-id \"eipalloc-0123456789abcdef0\"")
    error_message = "whoever is the manager takes the fixed address"
  }
}

run "the_instance_is_closed" {
  module { source = "./modules/manager" }

  assert {
    condition = [for options in aws_launch_template.this.metadata_options :
    [options.http_tokens, options.http_put_response_hop_limit, options.http_endpoint]] == [["required", 1, "enabled"]]
    error_message = "metadata is read with a token, and on the instance only"
  }

  assert {
    condition     = [for device in aws_launch_template.this.block_device_mappings : [device.ebs[0].encrypted, device.ebs[0].delete_on_termination]] == [["true", "true"]]
    error_message = "the volume is encrypted and goes with the instance"
  }

  assert {
    condition     = aws_launch_template.this.key_name == null && one(aws_launch_template.this.network_interfaces).security_groups == toset(["sg-1"])
    error_message = "there is no key for SSH, and one security group"
  }

  assert {
    condition     = toset([for tags in aws_launch_template.this.tag_specifications : tags.resource_type if tags.tags["component"] == "manager" && tags.tags["grid"] == "grid"]) == toset(["instance", "volume", "network-interface"])
    error_message = "the role and the bill go by these tags"
  }
}

run "rights_name_what_they_are_for" {
  module { source = "./modules/manager" }

  assert {
    condition = { for statement in jsondecode(aws_iam_role_policy.this.policy).Statement : statement.Sid => { may = statement.Action, on = statement.Resource } } == {
      Objects     = { may = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"], on = "arn:aws:s3:::grid/*" }
      ObjectNames = { may = "s3:ListBucket", on = "arn:aws:s3:::grid" }
      Binary      = { may = "s3:GetObject", on = "arn:aws:s3:::releases/gridmill/job-manager" }
      HandOut     = { may = ["sqs:SendMessage", "sqs:GetQueueAttributes"], on = "arn:aws:sqs:eu-central-1:123456789012:grid-tasks" }
      DeadTasksAndEvents = {
        may = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"]
        on  = ["arn:aws:sqs:eu-central-1:123456789012:grid-dead-tasks", "arn:aws:sqs:eu-central-1:123456789012:grid-events"]
      }
      Reports = {
        may = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes", "sqs:SendMessage"]
        on  = "arn:aws:sqs:eu-central-1:123456789012:grid-reports"
      }
      Rows = { may = ["dynamodb:GetItem", "dynamodb:Query", "dynamodb:PutItem", "dynamodb:DeleteItem", "dynamodb:DescribeTimeToLive"], on = "arn:aws:dynamodb:eu-central-1:123456789012:table/grid" }
      Fleet = {
        may = ["autoscaling:SetDesiredCapacity", "autoscaling:TerminateInstanceInAutoScalingGroup"]
        on = [
          "arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:*:autoScalingGroupName/grid-workers-spot",
          "arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:*:autoScalingGroupName/grid-workers-on-demand",
        ]
      }
      FleetInSight = {
        may = ["autoscaling:DescribeAutoScalingGroups", "autoscaling:DescribeScalingActivities"]
        on  = "*"
      }
      OwnAddress            = { may = "ec2:AssociateAddress", on = "arn:aws:ec2:eu-central-1:123456789012:elastic-ip/eipalloc-0123456789abcdef0" }
      OwnAddressForManagers = { may = "ec2:AssociateAddress", on = ["arn:aws:ec2:eu-central-1:123456789012:instance/*", "arn:aws:ec2:eu-central-1:123456789012:network-interface/*"] }
      Sessions = {
        may = ["ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel", "ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel"]
        on  = "*"
      }
      SessionsOfInstances = { may = "ssm:UpdateInstanceInformation", on = "arn:aws:ec2:eu-central-1:123456789012:instance/*" }
      Certificate         = { may = ["ssm:GetParameter", "ssm:PutParameter"], on = "arn:aws:ssm:eu-central-1:123456789012:parameter/grid/api/*" }
      Log                 = { may = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"], on = "arn:aws:logs:eu-central-1:123456789012:log-group:/gridmill/grid/manager:*" }
    }
    error_message = "it hands out tasks and takes none, has its own bucket, table, groups and address, and only what knows no resources is allowed on all"
  }

  assert {
    condition     = one([for statement in jsondecode(aws_iam_role_policy.this.policy).Statement : statement.Condition if statement.Sid == "OwnAddressForManagers"]) == { StringEquals = { "aws:ResourceTag/grid" = "grid", "aws:ResourceTag/component" = "manager" } }
    error_message = "the address goes to this grid's managers only"
  }
}

run "others_are_read_or_told_by_name" {
  module { source = "./modules/manager" }

  variables {
    input_buckets     = ["ledgers"]
    notify_queue_arns = ["arn:aws:sqs:eu-central-1:123456789012:news"]
  }

  assert {
    condition = { for statement in jsondecode(aws_iam_role_policy.this.policy).Statement : statement.Sid => [statement.Action, statement.Resource] if contains(["Inputs", "Notify"], statement.Sid) } == {
      Inputs = [["s3:GetObject", "s3:ListBucket"], ["arn:aws:s3:::ledgers", "arn:aws:s3:::ledgers/*"]]
      Notify = [["sqs:SendMessage", "sqs:GetQueueUrl"], ["arn:aws:sqs:eu-central-1:123456789012:news"]]
    }
    error_message = "other buckets are read, other queues are told"
  }
}

run "it_installs_what_was_named_or_nothing" {
  module { source = "./modules/manager" }

  assert {
    condition     = base64decode(aws_launch_template.this.user_data) == output.user_data
    error_message = "this is what the instance runs"
  }

  assert {
    condition     = strcontains(output.user_data, "aws s3 cp --only-show-errors \"s3://releases/gridmill/job-manager\"") && strcontains(output.user_data, "echo \"0a  /opt/gridmill/download\" | sha256sum --check --status\n")
    error_message = "the program is checked by its digest"
  }

  assert {
    condition     = strcontains(output.user_data, "\nGRIDMILL_TABLE=\"grid\"\n") && strcontains(output.user_data, "\nAWS_REGION=\"eu-central-1\"\n")
    error_message = "the program gets its settings"
  }

  assert {
    condition = alltrue([for line in ["DynamicUser=yes", "NoNewPrivileges=yes", "ProtectSystem=strict", "ProtectHome=yes", "PrivateTmp=yes", "CapabilityBoundingSet=",
    "RestrictSUIDSGID=yes", "SystemCallFilter=@system-service"] : strcontains(output.user_data, "\n${line}\n")])
    error_message = "the program runs hardened"
  }

  assert {
    condition     = !strcontains(output.user_data, "nginx")
    error_message = "without addresses that may come there is no server for them"
  }
}

run "others_come_by_tls" {
  module { source = "./modules/manager" }

  variables {
    api_port = 8443
  }

  assert {
    condition     = strcontains(output.user_data, "listen 8443 ssl;") && strcontains(output.user_data, "ssl_protocols TLSv1.2 TLSv1.3;") && strcontains(output.user_data, "subjectAltName=IP:192.0.2.7")
    error_message = "the API has TLS"
  }
}

run "the_log_is_kept_for_a_month" {
  module { source = "./modules/manager" }

  assert {
    condition     = aws_cloudwatch_log_group.this.retention_in_days == 30 && aws_cloudwatch_log_group.this.kms_key_id == null
    error_message = "logs do not pile up for ever"
  }
}

run "an_account_has_its_rules" {
  module { source = "./modules/manager" }

  variables {
    kms_key_arn              = "arn:aws:kms:eu-central-1:123456789012:key/1"
    permissions_boundary_arn = "arn:aws:iam::123456789012:policy/boundary"
    iam_path                 = "/grids/"
  }

  assert {
    condition     = one([for statement in jsondecode(aws_iam_role_policy.this.policy).Statement : statement.Action if statement.Resource == "arn:aws:kms:eu-central-1:123456789012:key/1"]) == ["kms:Decrypt", "kms:GenerateDataKey"]
    error_message = "a given key may be used, and that one only"
  }

  assert {
    condition     = aws_cloudwatch_log_group.this.kms_key_id == "arn:aws:kms:eu-central-1:123456789012:key/1"
    error_message = "the log is encrypted with the given key"
  }

  assert {
    condition     = [aws_iam_role.this.permissions_boundary, aws_iam_role.this.path, aws_iam_instance_profile.this.path] == ["arn:aws:iam::123456789012:policy/boundary", "/grids/", "/grids/"]
    error_message = "boundary and path are those of the account"
  }

  assert {
    condition     = jsondecode(aws_iam_role.this.assume_role_policy).Statement == [{ Effect = "Allow", Principal = { Service = "ec2.amazonaws.com" }, Action = "sts:AssumeRole" }]
    error_message = "only instances take the role"
  }
}
