variable "name" {
  type        = string
  description = "Name of the grid; queues are named after it."
}

variable "visibility_timeout_s" {
  type        = number
  default     = 120
  description = "Visibility timeout of receives that do not say how long they take; gridmill's do."
}

variable "max_receive_count" {
  type        = number
  default     = 5
  description = "Receives of a task message before it goes to the dead tasks, where the manager judges what became of it. Drains count, too."
}

variable "report_max_receive_count" {
  type        = number
  default     = 20
  description = "Receives of a report before it is a dead report: each change of the leader may cost one."
}

variable "retention_days" {
  type        = number
  default     = 14
  description = "How long a message is kept: a paused job may wait for as long. Dead letters are always kept for 14 days."
}
