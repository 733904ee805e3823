# A VPC or a given one, gateway endpoints, and the security groups. Workers have no inbound rule at all.

data "aws_region" "current" {}

data "aws_availability_zones" "available" {
  #checkov:skip=CKV_AWS_394:az_count bounds how many are used, in the order of their names
  state = "available"

  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

locals {
  made    = var.vpc_id == null
  nat     = local.made && var.worker_egress == "nat"
  vpc_id  = local.made ? aws_vpc.this[0].id : var.vpc_id
  zones   = local.made ? toset([for index in range(var.az_count) : tostring(index)]) : toset([])
  private = local.nat ? local.zones : toset([])

  manager_subnet_ids = local.made ? [for subnet in aws_subnet.public : subnet.id] : var.manager_subnet_ids
  made_worker_ids    = local.nat ? [for subnet in aws_subnet.private : subnet.id] : [for subnet in aws_subnet.public : subnet.id]
  worker_subnet_ids  = local.made ? local.made_worker_ids : var.worker_subnet_ids
  made_route_tables  = concat(aws_route_table.public[*].id, aws_route_table.private[*].id)
  route_table_ids    = local.made ? local.made_route_tables : var.route_table_ids
  gateways           = local.made || length(var.route_table_ids) > 0 ? toset(["s3", "dynamodb"]) : toset([])
}

resource "aws_vpc" "this" {
  #checkov:skip=CKV2_AWS_11:nothing comes in, and flow logs of bulk data cost more than the grid
  count = local.made ? 1 : 0

  cidr_block           = var.cidr
  enable_dns_support   = true
  enable_dns_hostnames = true

  tags = { Name = var.name }
}

# Closed: who forgets to name a security group gets no traffic.
resource "aws_default_security_group" "closed" {
  count = local.made ? 1 : 0

  vpc_id = aws_vpc.this[0].id

  tags = { Name = "${var.name}-closed" }
}

resource "aws_internet_gateway" "this" {
  count = local.made ? 1 : 0

  vpc_id = aws_vpc.this[0].id

  tags = { Name = var.name }
}

resource "aws_subnet" "public" {
  for_each = local.zones

  vpc_id                  = aws_vpc.this[0].id
  availability_zone       = data.aws_availability_zones.available.names[tonumber(each.key)]
  cidr_block              = cidrsubnet(var.cidr, 4, tonumber(each.key))
  map_public_ip_on_launch = false

  tags = { Name = "${var.name}-public-${each.key}" }
}

resource "aws_route_table" "public" {
  count = local.made ? 1 : 0

  vpc_id = aws_vpc.this[0].id

  tags = { Name = "${var.name}-public" }
}

resource "aws_route" "internet" {
  count = local.made ? 1 : 0

  route_table_id         = aws_route_table.public[0].id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.this[0].id
}

resource "aws_route_table_association" "public" {
  for_each = local.zones

  subnet_id      = aws_subnet.public[each.key].id
  route_table_id = aws_route_table.public[0].id
}

resource "aws_subnet" "private" {
  for_each = local.private

  vpc_id                  = aws_vpc.this[0].id
  availability_zone       = data.aws_availability_zones.available.names[tonumber(each.key)]
  cidr_block              = cidrsubnet(var.cidr, 4, 8 + tonumber(each.key))
  map_public_ip_on_launch = false

  tags = { Name = "${var.name}-private-${each.key}" }
}

resource "aws_eip" "nat" {
  count = local.nat ? 1 : 0

  domain = "vpc"

  tags = { Name = "${var.name}-nat" }
}

# One for all zones: bulk data goes through the gateway endpoints, so that what is left is small.
resource "aws_nat_gateway" "this" {
  count = local.nat ? 1 : 0

  allocation_id = aws_eip.nat[0].id
  subnet_id     = aws_subnet.public["0"].id

  tags = { Name = var.name }

  depends_on = [aws_internet_gateway.this]
}

resource "aws_route_table" "private" {
  count = local.nat ? 1 : 0

  vpc_id = aws_vpc.this[0].id

  tags = { Name = "${var.name}-private" }
}

resource "aws_route" "nat" {
  count = local.nat ? 1 : 0

  route_table_id         = aws_route_table.private[0].id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.this[0].id
}

resource "aws_route_table_association" "private" {
  for_each = local.private

  subnet_id      = aws_subnet.private[each.key].id
  route_table_id = aws_route_table.private[0].id
}

# Free, and bulk data never crosses a NAT gateway.
resource "aws_vpc_endpoint" "gateway" {
  for_each = local.gateways

  vpc_id            = local.vpc_id
  service_name      = "com.amazonaws.${data.aws_region.current.region}.${each.key}"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = local.route_table_ids

  tags = { Name = "${var.name}-${each.key}" }
}

resource "aws_vpc_endpoint" "interface" {
  for_each = toset(var.interface_endpoints)

  vpc_id              = local.vpc_id
  service_name        = "com.amazonaws.${data.aws_region.current.region}.${each.key}"
  vpc_endpoint_type   = "Interface"
  subnet_ids          = local.worker_subnet_ids
  security_group_ids  = [aws_security_group.endpoints[0].id]
  private_dns_enabled = true

  tags = { Name = "${var.name}-${each.key}" }
}
