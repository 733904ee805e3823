mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name                    = "grid"
  ami_id                  = "ami-1"
  markets                 = { spot = { min_vcpus = 0, max_vcpus = 64 }, on-demand = { min_vcpus = 0, max_vcpus = 8 } }
  vcpus_per_instance      = { min = 2, max = 16 }
  memory_mib_per_instance = { min = 4096 }
  subnet_ids              = ["subnet-1", "subnet-2"]
  security_group_id       = "sg-1"
  binary                  = { bucket = "releases", key = "gridmill/grid-worker", sha256 = "0b" }
  settings                = { GRIDMILL_BUCKET = "grid" }
  bucket_arn              = "arn:aws:s3:::grid"
  queue_arns = {
    tasks   = "arn:aws:sqs:eu-central-1:123456789012:grid-tasks"
    reports = "arn:aws:sqs:eu-central-1:123456789012:grid-reports"
  }
}

run "nothing_takes_a_busy_worker_away" {
  module { source = "./modules/workers" }

  assert {
    condition     = alltrue([for group in aws_autoscaling_group.this : group.protect_from_scale_in])
    error_message = "the group never chooses whom to terminate"
  }

  assert {
    condition     = alltrue([for group in aws_autoscaling_group.this : group.suspended_processes == toset(["AZRebalance", "AlarmNotification", "ScheduledActions"])])
    error_message = "balancing zones would end running work"
  }

  assert {
    condition     = alltrue([for group in aws_autoscaling_group.this : !group.capacity_rebalance && group.max_instance_lifetime == 0])
    error_message = "a risk, or an age, is no reason to end running work"
  }

  assert {
    condition = alltrue([for group in aws_autoscaling_group.this : [for hook in group.initial_lifecycle_hook :
      [hook.name, hook.lifecycle_transition, hook.default_result, hook.heartbeat_timeout]
    ] == [["drain", "autoscaling:EC2_INSTANCE_TERMINATING", "CONTINUE", 120]]])
    error_message = "a worker that is terminated may drain first"
  }
}

run "groups_are_of_one_market_and_count_vcpus" {
  module { source = "./modules/workers" }

  assert {
    condition = { for market, group in aws_autoscaling_group.this : market => one([for policy in group.mixed_instances_policy : [
      policy.instances_distribution[0].on_demand_base_capacity, policy.instances_distribution[0].on_demand_percentage_above_base_capacity,
      policy.instances_distribution[0].spot_allocation_strategy, policy.instances_distribution[0].on_demand_allocation_strategy,
      ]]) } == {
      spot      = [0, 0, "price-capacity-optimized", "lowest-price"]
      on-demand = [0, 100, "price-capacity-optimized", "lowest-price"]
    }
    error_message = "each group is all spot or all on demand"
  }

  assert {
    condition = { for market, group in aws_autoscaling_group.this : group.name => [group.min_size, group.max_size, group.desired_capacity_type] } == {
      grid-workers-spot      = [0, 64, "vcpu"]
      grid-workers-on-demand = [0, 8, "vcpu"]
    }
    error_message = "sizes are vCPUs"
  }

  assert {
    condition = alltrue([for group in aws_autoscaling_group.this : alltrue([for needs in group.mixed_instances_policy[0].launch_template[0].override[0].instance_requirements :
      [needs.vcpu_count[0].min, needs.vcpu_count[0].max, needs.memory_mib[0].min] == [2, 16, 4096] && needs.instance_generations == toset(["current"]) &&
      needs.burstable_performance == "excluded" && needs.bare_metal == "excluded"
    ]) && length(group.mixed_instances_policy[0].launch_template[0].override) == 1])
    error_message = "instances are chosen by what they have"
  }

  assert {
    condition     = alltrue([for group in aws_autoscaling_group.this : group.mixed_instances_policy[0].launch_template[0].launch_template_specification[0].version == "3"])
    error_message = "new workers are of the newest version"
  }
}

# The second run changes the first one's resources, as the next apply would.
run "a_fleet_starts_at_its_least" {
  module { source = "./modules/workers" }

  assert {
    condition     = aws_autoscaling_group.this["spot"].desired_capacity == 0
    error_message = "an idle grid has no workers"
  }
}

run "an_apply_does_not_reset_the_fleet" {
  module { source = "./modules/workers" }

  variables {
    markets = { spot = { min_vcpus = 16, max_vcpus = 64 }, on-demand = { min_vcpus = 0, max_vcpus = 8 } }
  }

  assert {
    condition     = aws_autoscaling_group.this["spot"].min_size == 16 && aws_autoscaling_group.this["spot"].desired_capacity == 0
    error_message = "the desired capacity is the manager's"
  }
}

run "instances_are_closed" {
  module { source = "./modules/workers" }

  assert {
    condition = alltrue([for template in aws_launch_template.this : [for options in template.metadata_options :
    [options.http_tokens, options.http_put_response_hop_limit, options.http_endpoint]] == [["required", 1, "enabled"]]])
    error_message = "metadata is read with a token, and on the instance only"
  }

  assert {
    condition     = alltrue([for template in aws_launch_template.this : [for device in template.block_device_mappings : [device.ebs[0].encrypted, device.ebs[0].delete_on_termination]] == [["true", "true"]]])
    error_message = "the volume is encrypted and goes with the instance"
  }

  assert {
    condition     = alltrue([for template in aws_launch_template.this : template.instance_initiated_shutdown_behavior == "terminate" && template.key_name == null])
    error_message = "a worker that turns itself off is gone, and there is no key for SSH"
  }
}

run "commands_have_no_way_to_the_role" {
  module { source = "./modules/workers" }

  assert {
    condition     = alltrue([for script in output.user_data : strcontains(script, "\nIPAddressDeny=169.254.169.254 fd00:ec2::254\n") && strcontains(script, "\nProtectControlGroups=yes\n")])
    error_message = "the worker's unit, and with it every command, has no way to the metadata, and none leaves the unit"
  }

  assert {
    condition     = alltrue([for script in output.user_data : strcontains(script, "\nAWS_CONTAINER_CREDENTIALS_FULL_URI=\"http://127.0.0.1:8471/credentials\"\n") && strcontains(script, "\nExecStart=/opt/gridmill/grid-worker metadata --listen 127.0.0.1:8471\n")])
    error_message = "the worker has its role from the service that may ask"
  }

  assert {
    condition     = alltrue([for script in output.user_data : strcontains(script, "    umask 077\n    echo \"AWS_CONTAINER_AUTHORIZATION_TOKEN=") && strcontains(script, "\nUser=grid-metadata\n")])
    error_message = "nobody else reads the secret, and the service is another user's"
  }
}

run "private_workers_have_no_public_address" {
  module { source = "./modules/workers" }

  variables {
    public_ip = false
  }

  assert {
    condition     = alltrue([for template in aws_launch_template.this : one(template.network_interfaces).associate_public_ip_address == "false"])
    error_message = "behind a NAT gateway no worker has a public address"
  }
}

run "a_worker_may_do_its_work_and_nothing_else" {
  module { source = "./modules/workers" }

  assert {
    condition = { for statement in jsondecode(aws_iam_role_policy.this.policy).Statement : statement.Sid => { may = statement.Action, on = statement.Resource } } == {
      ReadObjects = { may = "s3:GetObject", on = "arn:aws:s3:::grid/*" }
      ObjectNames = { may = "s3:ListBucket", on = "arn:aws:s3:::grid" }
      Commit      = { may = "s3:PutObject", on = ["arn:aws:s3:::grid/jobs/*/data/*", "arn:aws:s3:::grid/jobs/*/done/*", "arn:aws:s3:::grid/jobs/*/logs/*", "arn:aws:s3:::grid/jobs/*/checkpoints/*"] }
      ThrowAway   = { may = ["s3:DeleteObject", "s3:AbortMultipartUpload"], on = ["arn:aws:s3:::grid/jobs/*/data/*", "arn:aws:s3:::grid/jobs/*/checkpoints/*"] }
      Binary      = { may = "s3:GetObject", on = "arn:aws:s3:::releases/gridmill/grid-worker" }
      TakeTasks   = { may = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"], on = "arn:aws:sqs:eu-central-1:123456789012:grid-tasks" }
      Report      = { may = "sqs:SendMessage", on = "arn:aws:sqs:eu-central-1:123456789012:grid-reports" }
      Drain = { may = ["autoscaling:CompleteLifecycleAction", "autoscaling:RecordLifecycleActionHeartbeat"], on = [
        "arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:*:autoScalingGroupName/grid-workers-on-demand",
        "arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:*:autoScalingGroupName/grid-workers-spot",
      ] }
      Log = { may = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"], on = "arn:aws:logs:eu-central-1:123456789012:log-group:/gridmill/grid/workers:*" }
    }
    error_message = "a worker has no table, no other queue, no EC2, and never replaces or removes a manifest"
  }
}

run "inputs_of_others_are_only_read" {
  module { source = "./modules/workers" }

  variables {
    input_buckets = ["ledgers"]
  }

  assert {
    condition = one([for statement in jsondecode(aws_iam_role_policy.this.policy).Statement : [statement.Action, statement.Resource] if statement.Sid == "Inputs"]) == [
      ["s3:GetObject", "s3:ListBucket"], ["arn:aws:s3:::ledgers", "arn:aws:s3:::ledgers/*"],
    ]
    error_message = "other buckets are read, by name"
  }
}

run "it_installs_what_was_named_or_nothing" {
  module { source = "./modules/workers" }

  assert {
    condition     = { for market, template in aws_launch_template.this : market => base64decode(template.user_data) } == { for market, boot in output.user_data : market => boot }
    error_message = "this is what instances run"
  }

  assert {
    condition = alltrue([for market, boot in output.user_data : strcontains(boot, "echo \"0b  /opt/gridmill/download\" | sha256sum --check --status\n") &&
    strcontains(boot, "s3://releases/gridmill/grid-worker") && strcontains(boot, "\nGRIDMILL_BUCKET=\"grid\"\n") && strcontains(boot, "\nGRIDMILL_GROUP=\"grid-workers-${market}\"\n") && strcontains(boot, "\nGRIDMILL_HOOK=\"drain\"\n")])
    error_message = "the program is checked by its digest, gets its settings, and knows the group that waits for it"
  }

  assert {
    condition = alltrue([for line in ["DynamicUser=yes", "NoNewPrivileges=yes", "ProtectSystem=strict", "ProtectHome=yes", "PrivateTmp=yes", "CapabilityBoundingSet=",
    "RestrictSUIDSGID=yes", "KillMode=mixed", "OOMPolicy=continue", "TimeoutStopSec=300", "RestartPreventExitStatus=6", "ExecStopPost=+/bin/sh -c 'if [ \"$EXIT_STATUS\" = 6 ]; then systemctl poweroff; fi'"] : strcontains(output.user_data["spot"], "\n${line}\n")])
    error_message = "the program runs hardened, has its time to drain, and takes the instance along when nobody needs it"
  }
}

run "the_log_is_kept_for_a_month" {
  module { source = "./modules/workers" }

  assert {
    condition     = aws_cloudwatch_log_group.this.retention_in_days == 30 && aws_cloudwatch_log_group.this.kms_key_id == null
    error_message = "logs do not pile up for ever"
  }
}

run "an_account_has_its_rules" {
  module { source = "./modules/workers" }

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
