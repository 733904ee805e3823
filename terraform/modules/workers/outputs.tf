output "group_names" {
  description = "Auto Scaling group of each market."
  value       = local.groups
}

output "role_arn" {
  description = "Role of the instances."
  value       = aws_iam_role.this.arn
}

output "user_data" {
  description = "The boot script of each market."
  value       = local.boot
}
