"""What AWS or its provider would refuse and no schema says; yields (summary, detail)."""

from wire import is_unknown

RANGES = {
    "aws_sqs_queue": {
        "visibility_timeout_seconds": (0, 43_200),
        "message_retention_seconds": (60, 1_209_600),
        "receive_wait_time_seconds": (0, 20),
    },
}
WORDS = {
    "aws_cloudwatch_metric_alarm": {
        "comparison_operator": ["GreaterThanOrEqualToThreshold", "GreaterThanThreshold", "LessThanThreshold", "LessThanOrEqualToThreshold"],
        "treat_missing_data": ["missing", "ignore", "breaching", "notBreaching"],
        "statistic": ["SampleCount", "Average", "Sum", "Minimum", "Maximum"],
    },
    "aws_dynamodb_table": {"billing_mode": ["PROVISIONED", "PAY_PER_REQUEST"]},
    "aws_launch_template": {"instance_initiated_shutdown_behavior": ["stop", "terminate"]},
    "instances_distribution": {
        "on_demand_allocation_strategy": ["prioritized", "lowest-price"],
        "spot_allocation_strategy": ["lowest-price", "capacity-optimized", "capacity-optimized-prioritized", "price-capacity-optimized"],
    },
    "metadata_options": {"http_tokens": ["optional", "required"], "http_endpoint": ["enabled", "disabled"]},
}
TEMPLATES = ("launch_configuration", "launch_template", "mixed_instances_policy")


def blocks(value, name):
    """The blocks of that name that are known, at any depth."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == name:
                yield from (each for each in inner or [] if isinstance(each, dict))
            yield from blocks(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from blocks(inner, name)


def words(where, value):
    for key, allowed in WORDS.get(where, {}).items():
        if isinstance(value.get(key), str) and value[key] not in allowed:
            yield f"{key} has an unknown value", f"{where}.{key} is {value[key]!r}, not one of {', '.join(allowed)}"


def refused(kind, value):
    for key, (least, most) in RANGES.get(kind, {}).items():
        if isinstance(value.get(key), (int, float)) and not least <= value[key] <= most:
            yield f"{key} is out of range", f"{kind}.{key} is {value[key]}, allowed are {least} to {most}"
    yield from words(kind, value)
    for name in ("instances_distribution", "metadata_options"):
        for block in blocks(value, name):
            yield from words(name, block)
    # The schema asks for neither, the API for both.
    for needs in blocks(value, "instance_requirements"):
        for key in ("vcpu_count", "memory_mib"):
            if needs.get(key) in (None, []):
                yield f"{key} is missing", f"instance_requirements in {kind} need {key}"
    if kind == "aws_autoscaling_group" and not any(is_unknown(value.get(key)) for key in TEMPLATES):
        given = [key for key in TEMPLATES if value.get(key)]
        if len(given) != 1:
            yield "one template", f"a group has one of {', '.join(TEMPLATES)}, not {given}"
    if kind == "aws_dynamodb_table":
        declared = sorted(attribute["name"] for attribute in blocks(value, "attribute"))
        keys = sorted(key for key in (value.get("hash_key"), value.get("range_key")) if isinstance(key, str))
        if declared != keys:
            yield "attributes and keys differ", f"attributes {declared}, keys {keys}"
