resource "aws_security_group" "manager" {
  #checkov:skip=CKV2_AWS_5:the launch template of another module has it
  name        = "${var.name}-manager"
  description = "Manager of the grid ${var.name}: its API from named addresses, or from nowhere"
  vpc_id      = local.vpc_id

  tags = { Name = "${var.name}-manager" }
}

resource "aws_security_group" "workers" {
  #checkov:skip=CKV2_AWS_5:the launch templates of another module have it
  name        = "${var.name}-workers"
  description = "Workers of the grid ${var.name}: nothing comes in"
  vpc_id      = local.vpc_id

  tags = { Name = "${var.name}-workers" }
}

resource "aws_vpc_security_group_ingress_rule" "api" {
  for_each = toset(var.api_cidrs)

  security_group_id = aws_security_group.manager.id
  description       = "The API, with TLS and tokens"
  ip_protocol       = "tcp"
  from_port         = var.api_port
  to_port           = var.api_port
  cidr_ipv4         = each.key
}

resource "aws_vpc_security_group_egress_rule" "manager" {
  security_group_id = aws_security_group.manager.id
  description       = "AWS, by HTTPS"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_vpc_security_group_egress_rule" "workers" {
  for_each = toset([for port in var.egress_ports : tostring(port)])

  security_group_id = aws_security_group.workers.id
  description       = "AWS by HTTPS, and what tasks need"
  ip_protocol       = "tcp"
  from_port         = tonumber(each.key)
  to_port           = tonumber(each.key)
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_security_group" "endpoints" {
  count = length(var.interface_endpoints) > 0 ? 1 : 0

  name        = "${var.name}-endpoints"
  description = "Interface endpoints of the grid ${var.name}: HTTPS from manager and workers"
  vpc_id      = local.vpc_id

  tags = { Name = "${var.name}-endpoints" }
}

resource "aws_vpc_security_group_ingress_rule" "endpoints" {
  for_each = length(var.interface_endpoints) > 0 ? {
    manager = aws_security_group.manager.id
    workers = aws_security_group.workers.id
  } : {}

  security_group_id            = aws_security_group.endpoints[0].id
  description                  = "HTTPS from ${each.key}"
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
  referenced_security_group_id = each.value
}
