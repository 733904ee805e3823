mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name = "grid"
  binaries = {
    bucket         = "releases"
    manager_key    = "gridmill/job-manager"
    manager_sha256 = "0000000000000000000000000000000000000000000000000000000000000001"
    worker_key     = "gridmill/grid-worker"
    worker_sha256  = "0000000000000000000000000000000000000000000000000000000000000002"
  }
}

run "programs_are_told_where_the_grid_is" {
  assert {
    condition     = toset(keys(output.settings)) == toset(["GRIDMILL_BUCKET", "GRIDMILL_TASK_QUEUE", "GRIDMILL_DEAD_TASK_QUEUE", "GRIDMILL_REPORT_QUEUE", "GRIDMILL_TABLE"])
    error_message = "these are the settings of infra::aws::Settings"
  }

  assert {
    condition     = output.settings["GRIDMILL_BUCKET"] == "grid-123456789012" && output.settings["GRIDMILL_TABLE"] == "grid"
    error_message = "bucket and table are named after grid and account"
  }

  assert {
    condition     = alltrue([for name, value in output.settings : strcontains(output.user_data["manager"], "\n${name}=\"${value}\"\n")])
    error_message = "the manager is told all of them"
  }

  assert {
    condition     = alltrue([for market in ["spot", "on-demand"] : strcontains(output.user_data[market], "\nGRIDMILL_TASK_QUEUE=") && !strcontains(output.user_data[market], "GRIDMILL_TABLE") && !strcontains(output.user_data[market], "GRIDMILL_DEAD_TASK_QUEUE")])
    error_message = "workers are not told of the table"
  }

  assert {
    condition     = strcontains(output.user_data["manager"], "\nGRIDMILL_LISTEN=\"0.0.0.0:8470\"\n")
    error_message = "the manager asks for tokens, which it would not do on the loopback"
  }

  assert {
    condition     = strcontains(output.user_data["spot"], "\nGRIDMILL_DRAIN_SECS=\"280\"\n")
    error_message = "a worker has drained before it is killed"
  }

  assert {
    condition     = strcontains(output.user_data["spot"], "\nGRIDMILL_INSTANCE_METADATA=\"127.0.0.1:8471\"\n") && strcontains(output.user_data["spot"], "\nGRIDMILL_ORPHAN_SECS=\"1800\"\n")
    error_message = "a worker hears that its instance goes, and goes when nobody looks after it"
  }

  assert {
    condition = alltrue([for line in [
      "GRIDMILL_FLEET=\"aws\"", "GRIDMILL_GROUPS=\"grid-workers-spot=0.032:0.03,grid-workers-on-demand=0.08\"", "GRIDMILL_MACHINE_SLOTS=\"2\"", "GRIDMILL_MIN_MACHINES=\"0\"", "GRIDMILL_MAX_MACHINES=\"64\"",
      "GRIDMILL_USD_PER_SLOT_HOUR=\"0.040000\"", "GRIDMILL_LATE_RISK=\"0.02\"",
    ] : strcontains(output.user_data["manager"], "\n${line}\n")])
    error_message = "the manager knows its groups, what they cost, and how large they may be"
  }

  assert {
    condition     = strcontains(output.user_data["manager"], "\nGRIDMILL_EVENT_QUEUE=\"${output.queue_urls["events"]}\"\n") && !strcontains(output.user_data["spot"], "GRIDMILL_EVENT_QUEUE")
    error_message = "the manager hears of its instances, and no worker does"
  }

  assert {
    condition     = output.api_url == null
    error_message = "the API is nobody's unless somebody is named"
  }
}

run "data_is_kept_unless_somebody_says_otherwise" {
  command = plan

  assert {
    condition     = var.storage.deletion_protection && !var.storage.force_destroy && var.storage.expire_jobs_days == 0
    error_message = "neither destroy nor time takes data away unasked"
  }

  assert {
    condition     = var.queues.max_receive_count == 5 && var.queues.retention_days == 14
    error_message = "the queues are what the programs are tested with"
  }

  assert {
    condition     = var.workers.min_vcpus == 0 && length(var.network.api_cidrs) == 0
    error_message = "an idle grid has no workers, and nobody reaches it"
  }
}

run "the_manager_may_tell_the_queues_that_it_has_the_right_to" {
  variables {
    notify_queue_arns = ["arn:aws:sqs:eu-central-1:123456789012:news", "arn:aws:sqs:eu-central-1:210987654321:theirs", "arn:aws:sqs:us-east-1:123456789012:far"]
  }

  assert {
    condition     = strcontains(output.user_data["manager"], "\nGRIDMILL_NOTIFY_QUEUES=\"arn:aws:sqs:eu-central-1:123456789012:news,arn:aws:sqs:eu-central-1:210987654321:theirs,arn:aws:sqs:us-east-1:123456789012:far,news\"\n")
    error_message = "what it has the right to it admits: all of them by ARN, its own by name, too"
  }

  assert {
    condition     = !strcontains(output.user_data["spot"], "GRIDMILL_NOTIFY_QUEUES")
    error_message = "workers tell nobody"
  }
}

run "nobody_is_told_unless_somebody_is_named" {
  assert {
    condition     = !strcontains(output.user_data["manager"], "GRIDMILL_NOTIFY_QUEUES")
    error_message = "an empty list is no setting"
  }
}

run "a_group_that_may_have_no_machine_is_none" {
  variables {
    workers = { on_demand_max_vcpus = 0, min_vcpus = 8, vcpus_per_instance = { min = 4, max = 8 } }
  }

  assert {
    condition = alltrue([for line in [
      "GRIDMILL_GROUPS=\"grid-workers-spot=0.064:0.03\"", "GRIDMILL_MACHINE_SLOTS=\"4\"", "GRIDMILL_MIN_MACHINES=\"2\"", "GRIDMILL_MAX_MACHINES=\"16\"",
      "GRIDMILL_USD_PER_SLOT_HOUR=\"0.016000\"",
    ] : strcontains(output.user_data["manager"], "\n${line}\n")])
    error_message = "the manager asks only where it can get something, and leaves the least that the group must have"
  }
}

run "as_many_may_stay_as_may_be_taken_away" {
  variables {
    workers = { max_vcpus = 512, vcpus_per_instance = { min = 4, max = 8 }, late_risk = 0.1, daily_vcpu_hours = 1000 }
  }

  assert {
    condition     = alltrue([for line in ["GRIDMILL_MAX_MACHINES=\"256\"", "GRIDMILL_LATE_RISK=\"0.1\"", "GRIDMILL_DAILY_MACHINE_HOURS=\"250\""] : strcontains(output.user_data["manager"], "\n${line}\n")])
    error_message = "the on-demand group grows with the spot group, and the manager is told what it may risk and spend"
  }
}

run "nothing_is_spent_up_to_a_limit_unless_somebody_sets_one" {
  assert {
    condition     = !strcontains(output.user_data["manager"], "GRIDMILL_DAILY_MACHINE_HOURS")
    error_message = "no limit is no setting"
  }
}

run "a_risk_is_a_chance" {
  command = plan
  variables {
    workers = { late_risk = 2 }
  }
  expect_failures = [var.workers]
}

run "a_day_has_hours" {
  command = plan
  variables {
    workers = { daily_vcpu_hours = 0 }
  }
  expect_failures = [var.workers]
}

run "a_group_has_no_fewer_than_none" {
  command = plan
  variables {
    workers = { on_demand_max_vcpus = -1 }
  }
  expect_failures = [var.workers]
}

run "workers_wait_for_several_signs" {
  command = plan
  variables {
    workers = { orphan_timeout_s = 600 }
  }
  expect_failures = [var.workers]
}

run "the_api_has_a_fixed_address" {
  variables {
    network = { api_cidrs = ["198.51.100.0/24"] }
  }

  assert {
    condition     = output.api_url == "https://192.0.2.7:8443" && output.manager_public_ip == "192.0.2.7"
    error_message = "the API is reached by TLS at the fixed address"
  }
}

run "names_are_short_and_plain" {
  command = plan
  variables {
    name = "Grid_of_the_department_of_finance"
  }
  expect_failures = [var.name]
}

run "the_api_is_not_for_the_internet" {
  command = plan
  variables {
    network = { api_cidrs = ["0.0.0.0/0"] }
  }
  expect_failures = [var.network]
}

run "half_the_internet_is_the_internet" {
  command = plan
  variables {
    network = { api_cidrs = ["0.0.0.0/1", "128.0.0.0/1"] }
  }
  expect_failures = [var.network]
}

run "an_address_block_is_one" {
  command = plan
  variables {
    network = { api_cidrs = ["office"] }
  }
  expect_failures = [var.network]
}

run "a_given_vpc_needs_subnets" {
  command = plan
  variables {
    network = { vpc_id = "vpc-1", manager_subnet_ids = ["subnet-1"] }
  }
  expect_failures = [var.network]
}

run "subnets_need_their_vpc" {
  command = plan
  variables {
    network = { worker_subnet_ids = ["subnet-1"] }
  }
  expect_failures = [var.network]
}

run "egress_is_public_or_nat" {
  command = plan
  variables {
    network = { worker_egress = "vpn" }
  }
  expect_failures = [var.network]
}

run "workers_must_reach_aws" {
  command = plan
  variables {
    network = { egress_ports = [80] }
  }
  expect_failures = [var.network]
}

run "a_vpc_has_room_for_its_subnets" {
  command = plan
  variables {
    network = { cidr = "10.0.0.0/26" }
  }
  expect_failures = [var.network]
}

run "a_task_is_not_set_aside_with_its_first_workers" {
  command = plan
  variables {
    queues = { max_receive_count = 2 }
  }
  expect_failures = [var.queues]
}

run "sqs_keeps_nothing_for_longer_than_two_weeks" {
  command = plan
  variables {
    queues = { retention_days = 15 }
  }
  expect_failures = [var.queues]
}

run "a_digest_has_64_digits" {
  command = plan
  variables {
    binaries = { bucket = "releases", manager_key = "m", manager_sha256 = "latest", worker_key = "w", worker_sha256 = "latest" }
  }
  expect_failures = [var.binaries]
}

run "half_a_digest_is_none" {
  command = plan
  variables {
    binaries = { bucket = "releases", manager_key = "m", manager_sha256 = "00ff", worker_key = "w", worker_sha256 = "00ff" }
  }
  expect_failures = [var.binaries]
}

run "jobs_outlive_a_pause" {
  command = plan
  variables {
    storage = { expire_jobs_days = 7 }
  }
  expect_failures = [var.storage]
}

run "the_least_is_not_more_than_the_most" {
  command = plan
  variables {
    workers = { min_vcpus = 8, max_vcpus = 4 }
  }
  expect_failures = [var.workers]
}

run "a_drain_has_time" {
  command = plan
  variables {
    workers = { drain_timeout_s = 10 }
  }
  expect_failures = [var.workers]
}

run "settings_are_one_line_each" {
  command = plan
  variables {
    workers = { settings = { GRIDMILL_POOL = "a\nb" } }
  }
  expect_failures = [var.workers]
}

run "settings_are_variables" {
  command = plan
  variables {
    manager = { settings = { "rm -rf" = "x" } }
  }
  expect_failures = [var.manager]
}

run "the_manager_keeps_its_own_port" {
  command = plan
  variables {
    manager = { port = 8470 }
  }
  expect_failures = [var.manager]
}

run "retention_is_one_that_cloudwatch_knows" {
  command = plan
  variables {
    observability = { log_retention_days = 31 }
  }
  expect_failures = [var.observability]
}

run "buckets_are_names" {
  command = plan
  variables {
    input_buckets = ["s3://ledgers"]
  }
  expect_failures = [var.input_buckets]
}

run "queues_of_others_are_arns_without_patterns" {
  command = plan
  variables {
    notify_queue_arns = ["arn:aws:sqs:eu-central-1:123456789012:*"]
  }
  expect_failures = [var.notify_queue_arns]
}
