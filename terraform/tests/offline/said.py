"""Checks that what examples/complete says has arrived at what it is about: said.py STATE README

Terraform's own tests see a module's resources, or the root's outputs, and not what the root hands to its modules. And
that the README tells of every alarm, by its name without the grid's.
"""

import json
import sys

KEY = "arn:aws:kms:eu-central-1:123456789012:key/1"

# Type, name: path in the attributes -> value.
SAID = {
    "aws_vpc.this": {"cidr_block": "10.90.0.0/18"},
    "aws_vpc_security_group_ingress_rule.api": {"cidr_ipv4": "198.51.100.0/24", "from_port": 8443},
    "aws_s3_bucket.this": {"force_destroy": False},
    "aws_s3_bucket_server_side_encryption_configuration.this": {
        "rule.0.apply_server_side_encryption_by_default.0.kms_master_key_id": KEY
    },
    "aws_dynamodb_table.this": {"server_side_encryption.0.kms_key_arn": KEY, "deletion_protection_enabled": True},
    "aws_cloudwatch_log_group.this": {"kms_key_id": KEY, "retention_in_days": 90},
    "aws_sns_topic.alarms": {"kms_master_key_id": KEY},
    "aws_sns_topic_subscription.email": {"endpoint": "grid@example.com"},
    "aws_budgets_budget.monthly": {"limit_amount": "500"},
}
PER_GROUP = {
    "year-end-manager": {"min_size": 1, "max_size": 1},
    "year-end-workers-spot": {"min_size": 0, "max_size": 512},
    "year-end-workers-on-demand": {"min_size": 0, "max_size": 128},
}
PER_TEMPLATE = {
    "year-end-manager": {"instance_type": "t4g.medium", "block_device_mappings.0.ebs.0.volume_size": 16},
    "year-end-workers-spot": {"network_interfaces.0.associate_public_ip_address": "false", "block_device_mappings.0.ebs.0.volume_size": 100},
}


def at(attributes, path):
    for step in path.split("."):
        attributes = attributes[int(step) if step.isdigit() else step]
    return attributes


def faults(where, attributes, said):
    for path, wanted in said.items():
        if at(attributes, path) != wanted:
            yield f"{where}: {path} is {at(attributes, path)!r}, and examples/complete says {wanted!r}"


def main(path, readme):
    with open(path) as file:
        resources = json.load(file)["resources"]
    with open(readme) as file:
        told = file.read()
    found, seen = [], set()
    for resource in resources:
        key = f"{resource['type']}.{resource['name']}"
        by_name = {"aws_autoscaling_group": PER_GROUP, "aws_launch_template": PER_TEMPLATE}.get(resource["type"])
        for attributes in (instance["attributes"] for instance in resource["instances"]):
            name = attributes["name"] if by_name else key
            seen.add(f"{resource['type']} {name}" if by_name else key)
            found += faults(f"{key} {name}", attributes, (by_name or SAID).get(name, {}))
            alarm = attributes.get("alarm_name", "").removeprefix("year-end-")
            if f"`{alarm}`" not in told and alarm:
                found.append(f"{readme} does not tell of the alarm {alarm}")
        if key == "aws_iam_role_policy.this":
            policy = resource["instances"][0]["attributes"]["policy"]
            found += [f"{resource['module']}: no right to {arn}" for arn in (KEY, "arn:aws:s3:::example-ledgers/*") if arn not in policy]
    wanted = SAID.keys() | {f"aws_autoscaling_group {name}" for name in PER_GROUP} | {f"aws_launch_template {name}" for name in PER_TEMPLATE}
    found += [f"{key} was not made" for key in sorted(wanted - seen)]
    print("\n".join(found))
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
