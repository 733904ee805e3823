"""A stranger's look at a grid, with nothing but boto3 and the documents: what lies in the bucket, the table and the queues is
what docs/ARCHITECTURE.md says, and a message that is delivered again changes nothing.

    look.py tasks              the task messages that wait, a line each; they stay
    look.py deliver            puts the messages of standard input on the task queue, each of them twice
    look.py drained            waits until nobody has anything of the task and report queues in hand
    look.py read JOB           checks all that there is of a job that has ended, and prints a digest of it
"""

import base64
import hashlib
import json
import os
import re
import sys
import time
import zlib

import boto3
from botocore.exceptions import ClientError

DOCUMENT = os.path.join(os.path.dirname(__file__), "../../docs/ARCHITECTURE.md")
# What nobody waits longer for.
PATIENCE_SECS = 300


def client(service):
    return boto3.client(service, region_name=os.environ["AWS_REGION"], endpoint_url=os.environ["AWS_ENDPOINT_URL"])


def queue(setting):
    sqs = client("sqs")
    return sqs, sqs.get_queue_url(QueueName=os.environ[setting])["QueueUrl"]


def check(holds, words):
    if not holds:
        sys.exit(f"not as documented: {words}")


def block_under(heading):
    """The lines of the first code block under a heading of the document."""
    with open(DOCUMENT) as file:
        text = file.read()
    return text.split(f"\n## {heading}\n", 1)[1].split("```", 2)[1].strip().splitlines()


def documented_keys():
    """`jobs/{job}/job.json    the submission` as an expression that keys match as a whole."""
    expressions = []
    for line in block_under("Objects"):
        key = re.split(r"  +", line)[0]
        parts = re.split(r"(\{[^}]*\}|\.\.$)", key)
        wild = {"{path}": ".+", "{file}": ".+", "..": ".+", "{hh}": "[0-9a-f]{2}"}
        tell = lambda part: wild.get(part) or ("[^/]+" if part.startswith("{") else re.escape(part))
        expressions.append(re.compile("".join(tell(part) for part in parts if part)))
    check(len(expressions) > 10, "the document has a list of objects")
    return expressions


def documented_rows():
    """The rows as (partition, place), each with the words by which the document names them."""
    rows = {
        ("JOB#{id}", "META"): r"JOB#[0-9a-f-]{36}/META",
        ("JOB#{id}", "STAGE#{name}"): r"JOB#[0-9a-f-]{36}/STAGE#[^/]+",
        ("JOB#{id}", "STAGE#{name}/SHARD#{n}"): r"JOB#[0-9a-f-]{36}/STAGE#[^/]+/SHARD#[0-9]+",
        ("JOBS", None): r"JOBS/[0-9a-f-]{36}",
        ("ACTIVE", None): r"ACTIVE/[0-9a-f-]{36}",
        ("SUBMISSION#{digest}", None): r"SUBMISSION#[0-9a-f]+/.+",
        ("WORKERS", None): r"WORKERS/.+",
        ("LEADER", None): r"LEADER/LEADER",
        ("WAITS", None): r"WAITS/WAITS",
        ("FLEET", None): r"FLEET/[A-Za-z0-9._-]+",
        ("POOLS", None): r"POOLS/[A-Za-z0-9._-]+",
        ("TOKENS", None): r"TOKENS/.+",
        ("IDEMPOTENCY#{digits}", None): r"IDEMPOTENCY#[0-9a-f]{2}/[0-9a-f]+",
        ("UPLOAD#{id}", None): r"UPLOAD#[0-9a-f-]{36}/UPLOAD",
        ("PIPELINES#{tenant}", None): r"PIPELINES#.*/.+",
    }
    with open(DOCUMENT) as file:
        text = file.read()
    for names in rows:
        for name in filter(None, names):
            check(f"`{name}`" in text, f"the document does not name {name}")
    return [re.compile(expression) for expression in rows.values()]


def objects(job):
    s3, bucket = client("s3"), os.environ["GRIDMILL_BUCKET"]
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    keys = [each["Key"] for page in pages for each in page.get("Contents", [])]
    for key in keys:
        check(any(known.fullmatch(key) for known in documented_keys()), f"object {key}")
    of_job = [key for key in keys if key.startswith(f"jobs/{job}/")]
    return {key: s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in of_job}


def packed(manifest, found):
    """The bytes of a task's outputs, in the manifest or in the object that it names."""
    pack = manifest["outputs"].get("pack", "empty")
    if pack == "empty":
        return b""
    if "text" in pack:
        return pack["text"].encode()
    if "base64" in pack:
        return base64.b64decode(pack["base64"])
    place = pack["object"]
    return found[place["key"]][place.get("start", 0) :][: place["len"]]


def committed(manifest):
    out = {item for each in manifest.get("failed", []) for item in range(each["first"], each["first"] + each["count"])}
    out |= {item for first, count in manifest.get("unrun", []) for item in range(first, first + count)}
    return [item for item in range(manifest["first"], manifest["first"] + manifest["count"]) if item not in out]


def read_objects(job):
    found = objects(job)
    receipt = json.loads(found[f"jobs/{job}/receipt.json"])
    check(receipt["balanced"] is True, "a job that has succeeded balances")
    s3, bucket = client("s3"), os.environ["GRIDMILL_BUCKET"]
    for stage in receipt["stages"]:
        items = []
        manifests = [key for key in found if key.startswith(f"jobs/{job}/{stage['name']}/done/")]
        for key in manifests:
            manifest = json.loads(found[key])
            name = f"{manifest['first']:010}.{manifest['attempt']}.json"
            check(key.endswith(f"/{name}"), f"manifest {key} is of task {name}")
            items += committed(manifest)
            whole, start = packed(manifest, found), 0
            for length, crc32 in manifest["outputs"].get("stdout", []):
                check(zlib.crc32(whole[start : start + length]) == crc32, f"the checksum of what {key} holds")
                start += length
        check(sorted(items) == list(range(stage["items"])), f"every item of {stage['name']} is committed once: {items}")
        check(stage["items"] == stage["ok"] + stage["skipped"] + stage["dead"], f"{stage['name']} balances")
    try:
        s3.put_object(Bucket=bucket, Key=manifests[0], Body=b"{}", IfNoneMatch="*")
        check(False, "a manifest can be written twice")
    except ClientError as refused:
        check(refused.response["ResponseMetadata"]["HTTPStatusCode"] == 412, f"a second manifest: {refused}")
    return {key: hashlib.sha256(body).hexdigest() for key, body in found.items()}


def read_rows(job):
    pages = client("dynamodb").get_paginator("scan").paginate(TableName=os.environ["GRIDMILL_TABLE"], ConsistentRead=True)
    rows = {f"{row['pk']['S']}/{row['sk']['S']}": row for page in pages for row in page["Items"]}
    known = documented_rows()
    for name, row in rows.items():
        check(any(each.fullmatch(name) for each in known), f"row {name}")
        check(set(row) <= {"pk", "sk", "version", "epoch", "body", "expires"}, f"row {name} has {sorted(row)}")
        check(int(row["version"]["N"]) >= 1 and int(row["epoch"]["N"]) >= 0, f"row {name} is counted")
        json.loads(row["body"]["B"])
    meta = json.loads(rows[f"JOB#{job}/META"]["body"]["B"])
    check(meta["state"] == "succeeded", f"the row of the job says {meta}")
    check(f"JOBS/{job}" in rows and f"ACTIVE/{job}" not in rows, "a job that has ended is in one list and not in the other")
    return {name: [row["version"]["N"], row["body"]["B"].hex()] for name, row in rows.items() if name.startswith(f"JOB#{job}/")}


def tasks():
    sqs, url = queue("GRIDMILL_TASK_QUEUE")
    received = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=20, VisibilityTimeout=30)
    for message in received.get("Messages", []):
        sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
        body = json.loads(message["Body"])
        check(message["Body"].isascii(), "a message is ASCII")
        check({"v", "job", "stage", "first", "count", "attempt"} <= set(body), f"a task message has {sorted(body)}")
        print(message["Body"])


def deliver():
    sqs, url = queue("GRIDMILL_TASK_QUEUE")
    for line in sys.stdin:
        for _ in range(2):
            sqs.send_message(QueueUrl=url, MessageBody=line.strip())


def drained():
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    until = time.monotonic() + PATIENCE_SECS
    while time.monotonic() < until:
        depths = []
        for setting in ["GRIDMILL_TASK_QUEUE", "GRIDMILL_REPORT_QUEUE"]:
            sqs, url = queue(setting)
            depths += sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"].values()
        if all(depth == "0" for depth in depths):
            return
        time.sleep(0.2)
    sys.exit("somebody keeps messages in hand")


def read(job):
    whole = json.dumps([read_objects(job), read_rows(job)], sort_keys=True)
    print(hashlib.sha256(whole.encode()).hexdigest())


if __name__ == "__main__":
    {"tasks": tasks, "deliver": deliver, "drained": drained, "read": read}[sys.argv[1]](*sys.argv[2:])
