output "public_ip" {
  description = "The fixed address."
  value       = aws_eip.this.public_ip
}

output "group_name" {
  description = "The group of one."
  value       = aws_autoscaling_group.this.name
}

output "role_arn" {
  description = "Role of the instance."
  value       = aws_iam_role.this.arn
}

output "user_data" {
  description = "The boot script."
  value       = local.boot
}
