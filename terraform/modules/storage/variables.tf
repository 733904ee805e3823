variable "bucket" {
  type        = string
  description = "Name of the bucket, of which there is one in the world."
}

variable "kms_key_arn" {
  type        = string
  default     = null
  description = "Key that encrypts the objects; SSE-S3 without it."
}

variable "noncurrent_expiry_days" {
  type        = number
  default     = 7
  description = "How long an object that was deleted or replaced can be had back."
}

variable "expire_jobs_days" {
  type        = number
  default     = 0
  description = "Age at which jobs and uploads are removed, outputs included; 0 keeps them."
}

variable "force_destroy" {
  type        = bool
  default     = false
  description = "Whether destroy removes a bucket that is not empty."
}
