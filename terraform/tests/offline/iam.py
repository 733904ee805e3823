"""Checks the policies in a terraform state: iam.py STATE..

Every action exists, roles are allowed no pattern of actions, and no resource `*` where an action takes a narrower one.
"""

import json
import sys

from policy_sentry.querying.actions import get_action_data, get_actions_for_service


def many(value):
    return value if isinstance(value, list) else [value]


def policies(state):
    """(where, whether it is a role's own, the policy)"""
    for resource in state["resources"]:
        where = f"{resource.get('module', '')}.{resource['type']}.{resource['name']}"
        for instance in resource["instances"] if resource["mode"] == "managed" else []:
            for key in ("policy", "assume_role_policy"):
                text = instance["attributes"].get(key)
                if isinstance(text, str) and text.startswith("{"):
                    yield where, resource["type"] == "aws_iam_role_policy", json.loads(text)


def takes_resources(service, action):
    rows = (get_action_data(service, action) or {}).get(service, [])
    return any(row["resource_arn_format"] != "*" for row in rows)


def faults(action, statement, is_role):
    service, _, name = action.partition(":")
    known = {known.lower() for known in get_actions_for_service(service)}
    if "*" in action:
        if is_role:
            yield "is a pattern"
    elif action.lower() not in known:
        yield "does not exist"
    elif is_role and "*" in many(statement["Resource"]) and takes_resources(service, name):
        yield "is allowed on *, and takes narrower resources"


def main(paths):
    checked, bad = 0, 0
    for path in paths:
        with open(path) as file:
            state = json.load(file)
        for where, is_role, policy in policies(state):
            for statement in policy["Statement"]:
                for action in many(statement["Action"]):
                    checked += 1
                    for fault in faults(action, statement, is_role):
                        bad += 1
                        print(f"{path}: {where}: {statement.get('Sid')}: {action} {fault}")
    print(f"{checked} actions of policies checked, {bad} wrong")
    if checked == 0:
        print("no policy was found: the state is not one of a grid")
    return bad > 0 or checked == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
