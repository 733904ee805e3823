"""Compares what terraform makes with what localstack/create.py makes: names.py STATE LOCALSTACK_FOLDER

The state is that of a grid called `gridmill`. `create.py` runs against a recorder in place of boto3. Compared are the
names, and every setting that both of them set. LocalStack has no fleet and sends no events; their queue is
there all the same, for whoever puts some into it.
"""

import json
import os
import sys
import types

ACCOUNT_OF_TERRAFORM, ACCOUNT_OF_LOCALSTACK = "123456789012", "000000000000"


class Recorder:
    """A client of any service: nothing is there yet, and everything that is asked for is written down."""

    class NotThere(Exception):
        response = {"ResponseMetadata": {"HTTPStatusCode": 404}}

    def __init__(self, calls):
        self.calls = calls
        self.exceptions = types.SimpleNamespace(QueueDoesNotExist=self.NotThere, ResourceInUseException=self.NotThere)

    def __getattr__(self, call):
        def record(**arguments):
            if call in ("head_bucket", "get_queue_url"):
                raise self.NotThere()
            self.calls.append((call, arguments))
            url = arguments.get("QueueUrl", arguments.get("QueueName"))
            said = {"QueueUrl": url, "Attributes": {"QueueArn": f"arn:aws:sqs:::{url}"}}
            return {**said, "TimeToLiveDescription": {"TimeToLiveStatus": "DISABLED"}}

        return record

    def get_waiter(self, _):
        return types.SimpleNamespace(wait=lambda **_: None)


def run_create(folder):
    """The calls that create.py makes, with the settings of grid.env."""
    calls = []
    stand_ins = {
        "boto3": types.SimpleNamespace(client=lambda *_, **__: Recorder(calls)),
        "botocore": types.ModuleType("botocore"),
        "botocore.config": types.SimpleNamespace(Config=lambda **_: None),
        "botocore.exceptions": types.SimpleNamespace(ClientError=Recorder.NotThere),
    }
    sys.modules.update(stand_ins)
    with open(os.path.join(folder, "grid.env")) as file:
        settings = dict(line.strip().split("=", 1) for line in file if line.startswith("GRIDMILL_"))
    os.environ.update(settings)
    with open(os.path.join(folder, "create.py")) as file:
        exec(compile(file.read(), "create.py", "exec"), {"__name__": "create"})
    return calls


def of_localstack(calls):
    made = {}
    for call, given in calls:
        if call == "create_bucket":
            made["bucket"] = {"name": given["Bucket"].replace(ACCOUNT_OF_LOCALSTACK, "ACCOUNT")}
        elif call == "put_public_access_block":
            made["bucket"]["public"] = not all(given["PublicAccessBlockConfiguration"].values())
        elif call == "put_bucket_lifecycle_configuration":
            rules = given["LifecycleConfiguration"]["Rules"]
            days = [rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] for rule in rules]
            made["bucket"]["days of incomplete uploads"] = days
        elif call == "set_queue_attributes":
            attributes = given["Attributes"]
            redrive = json.loads(attributes.get("RedrivePolicy", "null"))
            made[f"queue {given['QueueUrl']}"] = {
                "retention": int(attributes["MessageRetentionPeriod"]),
                "visibility": int(attributes["VisibilityTimeout"]),
                "wait": int(attributes["ReceiveMessageWaitTimeSeconds"]),
                "encrypted": attributes["SqsManagedSseEnabled"] == "true",
                "dead letters": redrive and redrive["deadLetterTargetArn"].rpartition(":")[2],
                "receives": redrive and redrive["maxReceiveCount"],
            }
        elif call == "create_table":
            made["table"] = {
                "name": given["TableName"],
                "billing": given["BillingMode"],
                "keys": [key["AttributeName"] for key in given["KeySchema"]],
                "attributes": sorted((each["AttributeName"], each["AttributeType"]) for each in given["AttributeDefinitions"]),
                "expiry": None,
            }
        elif call == "update_time_to_live":
            expiry = given["TimeToLiveSpecification"]
            made["table"]["expiry"] = expiry["Enabled"] and expiry["AttributeName"]
    return made


def instances(state):
    """(type, attributes)"""
    for resource in state["resources"]:
        for instance in resource["instances"]:
            yield resource["type"], instance["attributes"]


def of_terraform(state):
    made = {}
    for kind, attributes in instances(state):
        if kind == "aws_s3_bucket":
            made.setdefault("bucket", {})["name"] = attributes["bucket"].replace(ACCOUNT_OF_TERRAFORM, "ACCOUNT")
        elif kind == "aws_s3_bucket_public_access_block":
            blocks = ["block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets"]
            made.setdefault("bucket", {})["public"] = not all(attributes[block] for block in blocks)
        elif kind == "aws_s3_bucket_lifecycle_configuration":
            aborts = [each for rule in attributes["rule"] for each in rule["abort_incomplete_multipart_upload"]]
            days = [each["days_after_initiation"] for each in aborts]
            made.setdefault("bucket", {})["days of incomplete uploads"] = days
        elif kind == "aws_sqs_queue":
            # What terraform did not set, the provider has made up.
            redrive = attributes["redrive_policy"].startswith("{") and json.loads(attributes["redrive_policy"]) or None
            made[f"queue {attributes['name']}"] = {
                "retention": attributes["message_retention_seconds"],
                "visibility": attributes["visibility_timeout_seconds"],
                "wait": attributes["receive_wait_time_seconds"],
                "encrypted": attributes["sqs_managed_sse_enabled"],
                "dead letters": redrive and redrive["deadLetterTargetArn"].rpartition(":")[2],
                "receives": redrive and redrive["maxReceiveCount"],
            }
        elif kind == "aws_dynamodb_table":
            made["table"] = {
                "name": attributes["name"],
                "billing": attributes["billing_mode"],
                "keys": [attributes["hash_key"], attributes["range_key"]],
                "attributes": sorted((each["name"], each["type"]) for each in attributes["attribute"]),
                "expiry": next((each["attribute_name"] for each in attributes["ttl"] or [] if each["enabled"]), None),
            }
    return made


def main(path, folder):
    with open(path) as file:
        terraform = of_terraform(json.load(file))
    localstack = of_localstack(run_create(folder))
    for thing in sorted(terraform.keys() | localstack.keys()):
        if terraform.get(thing) != localstack.get(thing):
            print(f"{thing}: terraform makes {terraform.get(thing)}, localstack makes {localstack.get(thing)}")
    print(f"{len(terraform)} things of terraform, {len(localstack)} of localstack compared")
    return terraform != localstack or len(terraform) < 6


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
