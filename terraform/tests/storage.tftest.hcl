mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  bucket = "grid-123456789012"
}

run "nothing_is_public" {
  module { source = "./modules/storage" }

  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.this.block_public_acls,
      aws_s3_bucket_public_access_block.this.block_public_policy,
      aws_s3_bucket_public_access_block.this.ignore_public_acls,
      aws_s3_bucket_public_access_block.this.restrict_public_buckets,
      aws_s3_bucket_public_access_block.this.bucket == aws_s3_bucket.this.id,
    ])
    error_message = "all four blocks of public access are set on the bucket"
  }

  assert {
    condition     = aws_s3_bucket_ownership_controls.this.rule[0].object_ownership == "BucketOwnerEnforced"
    error_message = "there are no ACLs"
  }

  assert {
    condition = [for statement in jsondecode(aws_s3_bucket_policy.this.policy).Statement : statement if statement.Sid == "TlsOnly"] == [{
      Sid       = "TlsOnly"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = ["arn:aws:s3:::grid-123456789012", "arn:aws:s3:::grid-123456789012/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
    error_message = "nobody comes without TLS"
  }

  assert {
    condition     = alltrue([for statement in jsondecode(aws_s3_bucket_policy.this.policy).Statement : statement.Effect == "Deny"])
    error_message = "the bucket's policy lets nobody in"
  }
}

run "manifests_are_created_once" {
  module { source = "./modules/storage" }

  assert {
    condition = [for statement in jsondecode(aws_s3_bucket_policy.this.policy).Statement : statement if statement.Sid == "ManifestsAreCreatedOnce"] == [{
      Sid       = "ManifestsAreCreatedOnce"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:PutObject"
      Resource  = "arn:aws:s3:::grid-123456789012/*/done/??/??????????.*.json"
      Condition = { Null = { "s3:if-none-match" = "true" } }
    }]
    error_message = "a manifest is written with If-None-Match only, by whoever it is"
  }

  assert {
    condition     = aws_s3_bucket_policy.this.bucket == aws_s3_bucket.this.id
    error_message = "the policy is the bucket's"
  }
}

run "objects_are_encrypted_and_can_be_had_back" {
  module { source = "./modules/storage" }

  assert {
    condition     = one(one(aws_s3_bucket_server_side_encryption_configuration.this.rule).apply_server_side_encryption_by_default).sse_algorithm == "AES256"
    error_message = "objects are encrypted by S3"
  }

  assert {
    condition     = aws_s3_bucket_versioning.this.versioning_configuration[0].status == "Enabled"
    error_message = "what was deleted can be had back"
  }

  assert {
    condition     = !aws_s3_bucket.this.force_destroy
    error_message = "destroy stops at a bucket that is not empty"
  }
}

run "a_given_key_encrypts" {
  module { source = "./modules/storage" }

  variables {
    kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/1"
  }

  assert {
    condition = one(one(aws_s3_bucket_server_side_encryption_configuration.this.rule).apply_server_side_encryption_by_default) == {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = "arn:aws:kms:eu-central-1:123456789012:key/1"
    }
    error_message = "objects are encrypted with the given key"
  }

  assert {
    condition     = one(aws_s3_bucket_server_side_encryption_configuration.this.rule).bucket_key_enabled
    error_message = "one key of the bucket saves a request to KMS for every object"
  }
}

run "leftovers_go" {
  module { source = "./modules/storage" }

  variables {
    expire_jobs_days = 30
  }

  assert {
    condition = [for rule in aws_s3_bucket_lifecycle_configuration.this.rule : rule.abort_incomplete_multipart_upload[0].days_after_initiation
    if rule.id == "incomplete-uploads" && rule.status == "Enabled"] == [2]
    error_message = "uploads that were not completed go after two days"
  }

  assert {
    condition = [for rule in aws_s3_bucket_lifecycle_configuration.this.rule : rule.noncurrent_version_expiration[0].noncurrent_days
    if rule.id == "noncurrent-versions" && rule.status == "Enabled"] == [7]
    error_message = "old versions go after a week"
  }

  assert {
    condition = { for rule in aws_s3_bucket_lifecycle_configuration.this.rule : rule.filter[0].prefix => rule.expiration[0].days
    if startswith(rule.id, "old-") } == { "jobs/" = 30, "uploads/" = 30 }
    error_message = "old jobs go when they are told to"
  }
}

run "jobs_stay_without_a_word" {
  module { source = "./modules/storage" }

  assert {
    condition     = length([for rule in aws_s3_bucket_lifecycle_configuration.this.rule : rule if startswith(rule.id, "old-")]) == 0
    error_message = "nobody's outputs are removed unasked"
  }
}
