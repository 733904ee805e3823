output "api_url" {
  description = "The manager's API, for those in network.api_cidrs; null where there is none and people come through Session Manager."
  value       = length(var.network.api_cidrs) > 0 ? "https://${module.manager.public_ip}:${var.manager.port}" : null
}

output "manager_public_ip" {
  description = "The manager's fixed address."
  value       = module.manager.public_ip
}

output "settings" {
  description = "Environment of a program that acts as a manager does, such as `gridmill token` and `gridmill doctor`."
  value       = local.manager_settings
}

output "bucket_name" {
  description = "The grid's bucket."
  value       = module.storage.bucket
}

output "table_name" {
  description = "The grid's table."
  value       = module.state.table
}

output "queue_urls" {
  description = "URL of each queue by what it holds."
  value       = module.queues.urls
}

output "task_queue_url" {
  description = "Queue of the tasks."
  value       = module.queues.urls["tasks"]
}

output "report_queue_url" {
  description = "Queue of the workers' reports."
  value       = module.queues.urls["reports"]
}

output "manager_group_name" {
  description = "Auto Scaling group of the manager, a group of one."
  value       = module.manager.group_name
}

output "worker_group_names" {
  description = "Auto Scaling group of the workers of each market."
  value       = module.workers.group_names
}

output "alarm_topic_arn" {
  description = "Topic of all alarms."
  value       = module.observability.topic_arn
}

output "user_data" {
  description = "The boot scripts, for a look at what instances run."
  value       = merge({ manager = module.manager.user_data }, module.workers.user_data)
}
