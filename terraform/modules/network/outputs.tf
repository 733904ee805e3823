output "vpc_id" {
  description = "The VPC."
  value       = local.vpc_id
}

output "manager_subnet_ids" {
  description = "Where the manager runs."
  value       = local.manager_subnet_ids
}

output "worker_subnet_ids" {
  description = "Where workers run."
  value       = local.worker_subnet_ids
}

output "worker_public_ip" {
  description = "Whether workers need a public address to reach AWS."
  value       = var.worker_egress == "public"
}

output "manager_security_group_id" {
  description = "Security group of the manager."
  value       = aws_security_group.manager.id
}

output "worker_security_group_id" {
  description = "Security group of the workers."
  value       = aws_security_group.workers.id
}
