mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name = "grid"
}

run "the_table_is_what_the_programs_know" {
  module { source = "./modules/state" }

  assert {
    condition     = [aws_dynamodb_table.this.name, aws_dynamodb_table.this.hash_key, aws_dynamodb_table.this.range_key] == ["grid", "pk", "sk"]
    error_message = "rows are found by pk and sk"
  }

  assert {
    condition     = { for attribute in aws_dynamodb_table.this.attribute : attribute.name => attribute.type } == { pk = "S", sk = "S" }
    error_message = "both are text"
  }

  assert {
    condition     = aws_dynamodb_table.this.billing_mode == "PAY_PER_REQUEST"
    error_message = "an idle table costs nothing"
  }
}

run "the_table_is_not_lost" {
  module { source = "./modules/state" }

  assert {
    condition     = aws_dynamodb_table.this.deletion_protection_enabled
    error_message = "the table refuses to be deleted"
  }

  assert {
    condition     = aws_dynamodb_table.this.point_in_time_recovery[0].enabled
    error_message = "every second of five weeks can be had back"
  }

  assert {
    condition     = aws_dynamodb_table.this.server_side_encryption[0].enabled
    error_message = "the table is encrypted with a key of the account"
  }

  assert {
    condition     = aws_dynamodb_table.this.ttl[0].enabled && aws_dynamodb_table.this.ttl[0].attribute_name == "expires"
    error_message = "rows that say so go by themselves"
  }
}

run "a_given_key_encrypts" {
  module { source = "./modules/state" }

  variables {
    kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/1"
  }

  assert {
    condition     = aws_dynamodb_table.this.server_side_encryption[0].kms_key_arn == "arn:aws:kms:eu-central-1:123456789012:key/1"
    error_message = "the table is encrypted with the given key"
  }
}
