variable "name" {
  type        = string
  description = "Name of the grid; resources are named after it."
}

variable "alarm_email" {
  type        = string
  default     = null
  description = "Who hears of alarms; AWS asks the address for its consent. Nobody without it: subscribe to the topic."
}

variable "oldest_task_age_s" {
  type        = number
  default     = 3600
  description = "Age of the oldest waiting task that is an alarm."
}

variable "monthly_budget_usd" {
  type        = number
  default     = 0
  description = "What the grid may cost a month; 0 sets no budget. Needs the tag `grid` as a cost-allocation tag."
}

variable "queue_names" {
  type        = map(string)
  description = "The grid's queues by what they hold."
}

variable "events_queue_arn" {
  type        = string
  description = "Queue that gets what happens to instances."
}

variable "table" {
  type        = string
  description = "The grid's table."
}

variable "manager_group_name" {
  type        = string
  description = "Auto Scaling group of the manager."
}

variable "worker_groups" {
  type = map(object({
    name      = string
    max_vcpus = number
  }))
  description = "Auto Scaling groups of the workers, by market."
}

variable "kms_key_arn" {
  type        = string
  default     = null
  description = "Key of the topic; its policy must let CloudWatch and Budgets use it."
}
