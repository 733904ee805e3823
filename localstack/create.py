"""Makes what a grid needs, with the settings that terraform gives it; what is there already is brought to these settings.

Reads GRIDMILL_* and the AWS SDK's variables. LocalStack's container runs this file itself once it is ready.
"""

import json
import os

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

DAY = 86_400
# Receives of a message before it is a dead letter. Of a task: as many deaths of workers as gridmill forgives.
TASK_RECEIVES = 5
# Of a report: each change of the leader may cost one, and a report that is lost is found out by reconciling.
REPORT_RECEIVES = 20

# Patient with a server that has just started: its first answer takes seconds.
CONFIG = Config(retries={"mode": "standard", "total_max_attempts": 5}, connect_timeout=3, read_timeout=60)
# The SDKs of other languages read AWS_REGION, boto3 reads AWS_DEFAULT_REGION; within the container there is neither.
REGION = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"


def client(service):
    # Within LocalStack's container nothing says where it is, nor who asks.
    return boto3.client(
        service,
        config=CONFIG,
        region_name=REGION,
        endpoint_url=os.environ.get("AWS_ENDPOINT_URL", "http://127.0.0.1:4566"),
        aws_access_key_id=os.environ.get("AWS_ACCESS_KEY_ID", "test"),
        aws_secret_access_key=os.environ.get("AWS_SECRET_ACCESS_KEY", "test"),
    )


def bucket(name):
    s3 = client("s3")
    try:
        s3.head_bucket(Bucket=name)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
            raise
        place = {} if REGION == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": REGION}}
        s3.create_bucket(Bucket=name, **place)
    blocks = ["BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"]
    s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=dict.fromkeys(blocks, True))
    # What a worker that died had begun to upload.
    leftovers = {
        "ID": "incomplete-uploads",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 2},
    }
    s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": [leftovers]})
    print(f"bucket  {name}")


def queue(name, dead_letters=None):
    """Returns the queue's ARN. `dead_letters` is the ARN of where messages go, and after how many receives."""
    sqs = client("sqs")
    try:
        url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    except sqs.exceptions.QueueDoesNotExist:
        url = sqs.create_queue(QueueName=name)["QueueUrl"]
    settings = {
        # As long as SQS keeps anything: a paused job may wait for two weeks.
        "MessageRetentionPeriod": str(14 * DAY),
        # Programs of ours say with each receive how long it takes; this is for others.
        "VisibilityTimeout": "120",
        "ReceiveMessageWaitTimeSeconds": "20",
        "SqsManagedSseEnabled": "true",
    }
    if dead_letters:
        arn, receives = dead_letters
        settings["RedrivePolicy"] = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": receives})
    sqs.set_queue_attributes(QueueUrl=url, Attributes=settings)
    print(f"queue   {name}")
    return sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def table(name):
    dynamodb = client("dynamodb")
    try:
        dynamodb.create_table(
            TableName=name,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk")],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        )
    except dynamodb.exceptions.ResourceInUseException:
        pass
    dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    # Rows of uploads and idempotency keys say when they mean nothing any more. To enable it twice is an error.
    expiry = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    if expiry["TimeToLiveStatus"] not in ("ENABLED", "ENABLING"):
        dynamodb.update_time_to_live(
            TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"}
        )
    print(f"table   {name}")


def create():
    names = os.environ
    bucket(names["GRIDMILL_BUCKET"])
    dead_tasks = queue(names["GRIDMILL_DEAD_TASK_QUEUE"])
    queue(names["GRIDMILL_TASK_QUEUE"], dead_letters=(dead_tasks, TASK_RECEIVES))
    dead_reports = queue(names["GRIDMILL_DEAD_REPORT_QUEUE"])
    queue(names["GRIDMILL_REPORT_QUEUE"], dead_letters=(dead_reports, REPORT_RECEIVES))
    dead_events = queue(names["GRIDMILL_DEAD_EVENT_QUEUE"])
    queue(names["GRIDMILL_EVENT_QUEUE"], dead_letters=(dead_events, REPORT_RECEIVES))
    table(names["GRIDMILL_TABLE"])


# No `if __name__`: LocalStack executes the text of this file.
create()
