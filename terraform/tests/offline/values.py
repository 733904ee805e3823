"""What AWS would have filled in: values that are made up, but look like the real ones where policies are made of them."""

from wire import UNKNOWN, is_unknown

ACCOUNT, REGION = "123456789012", "eu-central-1"

ARNS = {
    "aws_s3_bucket": "arn:aws:s3:::{name}",
    "aws_dynamodb_table": "arn:aws:dynamodb:{region}:{account}:table/{name}",
    "aws_sqs_queue": "arn:aws:sqs:{region}:{account}:{name}",
    "aws_sns_topic": "arn:aws:sns:{region}:{account}:{name}",
    "aws_cloudwatch_log_group": "arn:aws:logs:{region}:{account}:log-group:{name}",
    "aws_iam_role": "arn:aws:iam::{account}:role/{name}",
    "aws_iam_instance_profile": "arn:aws:iam::{account}:instance-profile/{name}",
    "aws_eip": "arn:aws:ec2:{region}:{account}:elastic-ip/eipalloc-0123456789abcdef0",
}

WORDS = {
    ("aws_eip", "public_ip"): "192.0.2.7",
    ("aws_eip", "allocation_id"): "eipalloc-0123456789abcdef0",
}

DATA = {
    "aws_caller_identity": {"account_id": ACCOUNT, "arn": f"arn:aws:iam::{ACCOUNT}:user/nobody", "user_id": "NOBODY"},
    "aws_region": {"id": REGION, "name": REGION, "region": REGION},
    "aws_partition": {"id": "aws", "partition": "aws", "dns_suffix": "amazonaws.com"},
    "aws_availability_zones": {"id": REGION, "names": [REGION + zone for zone in "abc"]},
    "aws_ssm_parameter": {"value": "ami-0123456789abcdef0", "insecure_value": "ami-0123456789abcdef0"},
}


def made_up(kind, name, shape, named):
    if isinstance(shape, list):
        if shape[0] == "object":
            return {member: made_up(kind, member, inner, named) for member, inner in shape[1].items()}
        return {} if shape[0] == "map" else []
    if shape != "string":
        return {"number": 0, "bool": False}.get(shape)
    if (kind, name) in WORDS:
        return WORDS[kind, name]
    if name == "arn" and kind in ARNS:
        return ARNS[kind].format(region=REGION, account=ACCOUNT, name=named or "made-up")
    if name == "arn" or name.endswith("_arn"):
        return f"arn:aws:{kind.split('_')[1]}:{REGION}:{ACCOUNT}:{kind[4:]}/{named or name}"
    return f"{kind[4:]}-{name}".replace("_", "-")


def fill(block, value, kind, planning):
    """Fills in what is computed, in place: with "unknown" while planning, with made-up values after that."""
    if value is None or is_unknown(value):
        return value
    named = next((value[key] for key in ("name", "bucket") if isinstance(value.get(key), str)), "")
    for name, known in block.get("attributes", {}).items():
        value[name] = fill_attribute(name, known, value.get(name), kind, planning, named)
    for name, known in block.get("block_types", {}).items():
        inner = value.get(name)
        if inner is None or is_unknown(inner):
            continue
        if known["nesting_mode"] in ("list", "set"):
            value[name] = [fill(known["block"], each, kind, planning) for each in inner]
        elif known["nesting_mode"] == "map":
            value[name] = {key: fill(known["block"], each, kind, planning) for key, each in inner.items()}
        else:
            value[name] = fill(known["block"], inner, kind, planning)
    return value


def fill_attribute(name, known, value, kind, planning, named):
    nested = known.get("nested_type")
    if planning and value is None and known.get("computed"):
        return UNKNOWN
    only_computed = value is None and known.get("computed") and not known.get("optional")
    if not planning and (is_unknown(value) or only_computed):
        if nested:
            return {"list": [], "set": [], "map": {}}.get(nested["nesting_mode"])
        return made_up(kind, name, known["type"], named)
    if nested is None or value is None or is_unknown(value):
        return value

    def members(each):
        if each is None or is_unknown(each):
            return each
        return {
            member: fill_attribute(member, inner, each.get(member), kind, planning, named)
            for member, inner in nested["attributes"].items()
        }

    if nested["nesting_mode"] in ("list", "set"):
        return [members(each) for each in value]
    if nested["nesting_mode"] == "map":
        return {key: members(each) for key, each in value.items()}
    return members(value)
