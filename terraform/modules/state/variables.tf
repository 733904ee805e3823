variable "name" {
  type        = string
  description = "Name of the table."
}

variable "kms_key_arn" {
  type        = string
  default     = null
  description = "Key that encrypts the table; the account's key of DynamoDB without it."
}

variable "deletion_protection" {
  type        = bool
  default     = true
  description = "Whether the table refuses to be deleted."
}
