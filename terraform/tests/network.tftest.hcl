mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name = "grid"
}

run "nothing_comes_in" {
  module { source = "./modules/network" }

  assert {
    condition     = length(aws_vpc_security_group_ingress_rule.api) == 0 && length(aws_vpc_security_group_ingress_rule.endpoints) == 0
    error_message = "without api_cidrs there is no inbound rule at all"
  }

  assert {
    condition     = alltrue([for group in [aws_security_group.manager, aws_security_group.workers] : length(coalesce(group.ingress, [])) == 0]) && length(coalesce(aws_default_security_group.closed[0].ingress, [])) == 0
    error_message = "no group brings inbound rules of its own"
  }

  assert {
    condition     = alltrue([for subnet in aws_subnet.public : !subnet.map_public_ip_on_launch])
    error_message = "nothing gets a public address unasked"
  }

  assert {
    condition     = [for rule in aws_vpc_security_group_egress_rule.workers : [rule.ip_protocol, rule.from_port, rule.to_port]] == [["tcp", 443, 443]]
    error_message = "workers speak HTTPS and nothing else"
  }

  assert {
    condition     = [aws_vpc_security_group_egress_rule.manager.ip_protocol, aws_vpc_security_group_egress_rule.manager.from_port, aws_vpc_security_group_egress_rule.manager.to_port] == ["tcp", 443, 443]
    error_message = "the manager speaks HTTPS and nothing else"
  }

  assert {
    condition     = aws_vpc_security_group_egress_rule.manager.security_group_id == aws_security_group.manager.id && alltrue([for rule in aws_vpc_security_group_egress_rule.workers : rule.security_group_id == aws_security_group.workers.id])
    error_message = "each rule is in the group of whom it is about"
  }
}

run "the_api_is_for_named_addresses" {
  module { source = "./modules/network" }

  variables {
    api_cidrs = ["198.51.100.0/24"]
  }

  assert {
    condition = [for rule in aws_vpc_security_group_ingress_rule.api : [rule.cidr_ipv4, rule.ip_protocol, rule.from_port, rule.to_port]] == [
      ["198.51.100.0/24", "tcp", 8443, 8443],
    ]
    error_message = "the API's port is open to the named addresses, and no other is"
  }

  assert {
    condition     = alltrue([for rule in aws_vpc_security_group_ingress_rule.api : rule.security_group_id == aws_security_group.manager.id])
    error_message = "only the manager is reached"
  }
}

run "bulk_data_goes_through_gateway_endpoints" {
  module { source = "./modules/network" }

  variables {
    worker_egress = "nat"
  }

  assert {
    condition = { for key, endpoint in aws_vpc_endpoint.gateway : endpoint.service_name => [endpoint.vpc_endpoint_type, length(endpoint.route_table_ids)] } == {
      "com.amazonaws.eu-central-1.s3"       = ["Gateway", 2]
      "com.amazonaws.eu-central-1.dynamodb" = ["Gateway", 2]
    }
    error_message = "S3 and DynamoDB are reached without NAT, from public and private subnets"
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 1 && length(aws_subnet.private) == 3 && toset(output.worker_subnet_ids) == toset([for subnet in aws_subnet.private : subnet.id])
    error_message = "private workers share one NAT gateway"
  }

  assert {
    condition     = !output.worker_public_ip
    error_message = "private workers have no public address"
  }
}

run "subnets_do_not_overlap" {
  command = plan
  module { source = "./modules/network" }

  variables {
    cidr          = "10.90.0.0/22"
    worker_egress = "nat"
  }

  assert {
    condition     = length(distinct([for subnet in concat(values(aws_subnet.public), values(aws_subnet.private)) : subnet.cidr_block])) == 6
    error_message = "every subnet has addresses of its own"
  }
}

run "a_given_vpc_is_left_as_it_is" {
  module { source = "./modules/network" }

  variables {
    vpc_id             = "vpc-1"
    manager_subnet_ids = ["subnet-1"]
    worker_subnet_ids  = ["subnet-2", "subnet-3"]
  }

  assert {
    condition     = length(aws_vpc.this) == 0 && length(aws_subnet.public) == 0 && length(aws_vpc_endpoint.gateway) == 0 && length(aws_default_security_group.closed) == 0
    error_message = "nothing is made in it but security groups"
  }

  assert {
    condition     = join(" ", concat([output.vpc_id], output.manager_subnet_ids, output.worker_subnet_ids)) == "vpc-1 subnet-1 subnet-2 subnet-3"
    error_message = "what was given is used"
  }
}

run "a_given_vpc_gets_endpoints_where_it_is_told" {
  module { source = "./modules/network" }

  variables {
    vpc_id              = "vpc-1"
    manager_subnet_ids  = ["subnet-1"]
    worker_subnet_ids   = ["subnet-2"]
    route_table_ids     = ["rtb-1"]
    interface_endpoints = ["sqs"]
  }

  assert {
    condition     = alltrue([for endpoint in aws_vpc_endpoint.gateway : endpoint.route_table_ids == toset(["rtb-1"])]) && length(aws_vpc_endpoint.gateway) == 2
    error_message = "the named route tables get the gateway endpoints"
  }

  assert {
    condition     = aws_vpc_endpoint.interface["sqs"].private_dns_enabled && length(aws_vpc_security_group_ingress_rule.endpoints) == 2
    error_message = "manager and workers reach an interface endpoint by the service's own name"
  }
}
