"""Compares what the manager may do with what our programs ask AWS for: uses.py STATE INFRA_SOURCES

Read off the calls of the SDK's clients in the back ends. A worker asks for a part of it; its rights are in tests/workers.tftest.hcl.
"""

import json
import pathlib
import re
import sys

BACK_ENDS = ("objects", "queue", "state", "fleet")

# Operation -> the right it takes; None where it takes none of its own.
RIGHTS = {
    "get_object": "s3:GetObject",
    "head_object": "s3:GetObject",
    "list_objects_v2": "s3:ListBucket",
    "put_object": "s3:PutObject",
    "delete_object": "s3:DeleteObject",
    "create_multipart_upload": "s3:PutObject",
    "upload_part": "s3:PutObject",
    "complete_multipart_upload": "s3:PutObject",
    "abort_multipart_upload": "s3:AbortMultipartUpload",
    "send_message_batch": "sqs:SendMessage",
    "receive_message": "sqs:ReceiveMessage",
    "delete_message_batch": "sqs:DeleteMessage",
    "change_message_visibility_batch": "sqs:ChangeMessageVisibility",
    "get_queue_attributes": "sqs:GetQueueAttributes",
    # Queues are given by their URLs.
    "get_queue_url": None,
    "get_item": "dynamodb:GetItem",
    "query": "dynamodb:Query",
    "put_item": "dynamodb:PutItem",
    "delete_item": "dynamodb:DeleteItem",
    "describe_time_to_live": "dynamodb:DescribeTimeToLive",
    # The rights are those of the writes in it.
    "transact_write_items": None,
    "describe_auto_scaling_groups": "autoscaling:DescribeAutoScalingGroups",
    "describe_scaling_activities": "autoscaling:DescribeScalingActivities",
    "set_desired_capacity": "autoscaling:SetDesiredCapacity",
    "terminate_instance_in_auto_scaling_group": "autoscaling:TerminateInstanceInAutoScalingGroup",
    # The worker's.
    "complete_lifecycle_action": None,
    "record_lifecycle_action_heartbeat": None,
}
# Not an operation.
PLAIN = {"clone"}


def operations(sources):
    for back_end in BACK_ENDS:
        for path in sorted(pathlib.Path(sources, back_end).rglob("*.rs")):
            for name in re.findall(r"\bclient\s*\.(\w+)\(\)", path.read_text()):
                if name not in PLAIN:
                    yield path, name


def allowed(state):
    for resource in state["resources"]:
        if (resource.get("module"), resource["type"]) == ("module.grid.module.manager", "aws_iam_role_policy"):
            for statement in json.loads(resource["instances"][0]["attributes"]["policy"])["Statement"]:
                actions = statement["Action"]
                yield from actions if isinstance(actions, list) else [actions]


def main(path, sources):
    with open(path) as file:
        may = set(allowed(json.load(file)))
    used, faults = set(), []
    for source, name in operations(sources):
        if name not in RIGHTS:
            faults.append(f"{source} calls {name}: say in {pathlib.Path(__file__).name} which right that takes")
        elif RIGHTS[name]:
            used.add(RIGHTS[name])
    faults += [f"the manager has no right to {right}, which it uses" for right in sorted(used - may)]
    data = {right for right in may if right.startswith(("s3:", "sqs:", "dynamodb:", "autoscaling:"))}
    faults += [f"the manager has the right to {right}, and does not use it" for right in sorted(data - used)]
    print("\n".join([*faults, f"{len(used)} rights used"]))
    return bool(faults) or len(used) < 10


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
