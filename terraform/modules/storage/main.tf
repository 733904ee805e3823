# The bucket of a grid. Its policy keeps the rule that everything stands on, also against a worker gone mad: a manifest is
# written once.

locals {
  # jobs/{job}/{stage}/done/{two hash digits}/{first item, ten digits}.{attempt}.json; no other object is named like this,
  # not even those of a stage that is called `done`.
  manifests = "${aws_s3_bucket.this.arn}/*/done/??/??????????.*.json"
}

resource "aws_s3_bucket" "this" {
  #checkov:skip=CKV2_AWS_62:nobody waits for objects, reports say what was written
  #checkov:skip=CKV_AWS_18:access logs cost as much as the requests, CloudTrail can be turned on for the bucket
  #checkov:skip=CKV_AWS_144:results can be computed again, and a second region would double their cost
  bucket        = var.bucket
  force_destroy = var.force_destroy
}

resource "aws_s3_bucket_public_access_block" "this" {
  bucket = aws_s3_bucket.this.id

  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    bucket_key_enabled = var.kms_key_arn != null

    apply_server_side_encryption_by_default {
      sse_algorithm     = var.kms_key_arn == null ? "AES256" : "aws:kms"
      kms_master_key_id = var.kms_key_arn
    }
  }
}

resource "aws_s3_bucket_versioning" "this" {
  bucket = aws_s3_bucket.this.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  # What a worker that died had begun to upload.
  rule {
    id     = "incomplete-uploads"
    status = "Enabled"
    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = 2
    }
  }

  rule {
    id     = "noncurrent-versions"
    status = "Enabled"
    filter {}

    noncurrent_version_expiration {
      noncurrent_days = var.noncurrent_expiry_days
    }

    expiration {
      expired_object_delete_marker = true
    }
  }

  dynamic "rule" {
    for_each = var.expire_jobs_days > 0 ? toset(["jobs", "uploads"]) : toset([])

    content {
      id     = "old-${rule.key}"
      status = "Enabled"

      filter {
        prefix = "${rule.key}/"
      }

      expiration {
        days = var.expire_jobs_days
      }
    }
  }

  depends_on = [aws_s3_bucket_versioning.this]
}

resource "aws_s3_bucket_policy" "this" {
  bucket = aws_s3_bucket.this.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "TlsOnly"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [aws_s3_bucket.this.arn, "${aws_s3_bucket.this.arn}/*"]
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
      {
        # A multipart upload of a manifest is refused, too: it could only be made conditional at its end.
        Sid       = "ManifestsAreCreatedOnce"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:PutObject"
        Resource  = local.manifests
        Condition = { Null = { "s3:if-none-match" = "true" } }
      },
    ]
  })

  depends_on = [aws_s3_bucket_public_access_block.this]
}
