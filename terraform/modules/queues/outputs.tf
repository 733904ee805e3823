output "urls" {
  description = "URL of each queue: tasks, dead-tasks, reports, dead-reports, events, dead-events."
  value       = { for key, queue in local.all : key => queue.url }
}

output "arns" {
  description = "ARN of each queue."
  value       = { for key, queue in local.all : key => queue.arn }
}

output "names" {
  description = "Name of each queue."
  value       = local.queues
}
