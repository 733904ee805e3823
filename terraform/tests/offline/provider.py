"""Stands in for terraform's AWS provider: knows its schema, and nothing of AWS.

    provider.py SCHEMA FOLDER COMMAND..

Runs the command with this process as the provider, over the loopback interface. Terraform then neither downloads one nor
starts one; reading, planning and applying only make up what AWS would have filled in. Of the schema it serves what the
files below FOLDER name: terraform reads it again and again.
"""

import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys

import grpc

import rules
from values import DATA, fill
from wire import bytes_field, diagnostic, last, number_field, parse, read_value, schema, write_value


class Provider:
    """The calls of plugin protocol 6 that terraform makes."""

    def __init__(self, path, named):
        with open(path) as file:
            known = next(iter(json.load(file)["provider_schemas"].values()))
        self.resources = {name: kind for name, kind in known["resource_schemas"].items() if name in named}
        self.data = {name: kind for name, kind in known["data_source_schemas"].items() if name in named}
        self.schema = bytes_field(1, schema(known["provider"]), True) + bytes_field(6, number_field(2, 1))
        for field, kinds in ((2, self.resources), (3, self.data)):
            for name, kind in kinds.items():
                self.schema += bytes_field(field, bytes_field(1, name) + bytes_field(2, schema(kind), True), True)

    def GetProviderSchema(self, _):
        return self.schema

    def ValidateProviderConfig(self, _):
        return b""

    def ConfigureProvider(self, _):
        return b""

    def StopProvider(self, _):
        return b""

    def ValidateDataResourceConfig(self, _):
        return b""

    def ValidateResourceConfig(self, request):
        kind, value = last(request, 1).decode(), read_value(last(request, 2))
        return b"".join(bytes_field(1, diagnostic(*refused)) for refused in rules.refused(kind, value or {}))

    def UpgradeResourceState(self, request):
        return bytes_field(1, bytes_field(2, last(parse(last(request, 3)), 1)))

    def ReadResource(self, request):
        return bytes_field(1, last(request, 2)) + bytes_field(3, last(request, 3))

    def PlanResourceChange(self, request):
        kind, before, after = last(request, 1).decode(), read_value(last(request, 2)), read_value(last(request, 3))
        if after is not None and before is None:
            after = fill(self.resources[kind]["block"], after, kind, planning=True)
        return bytes_field(1, write_value(after)) + number_field(5, 1)

    def ApplyResourceChange(self, request):
        kind, after = last(request, 1).decode(), read_value(last(request, 3))
        after = fill(self.resources[kind]["block"], after, kind, planning=False)
        return bytes_field(1, write_value(after)) + number_field(4, 1)

    def ReadDataSource(self, request):
        kind, value = last(request, 1).decode(), read_value(last(request, 2))
        value = fill(self.data[kind]["block"], value, kind, planning=False)
        value.update({key: known for key, known in DATA.get(kind, {}).items() if key in value})
        return bytes_field(1, write_value(value))


class Calls(grpc.GenericRpcHandler):
    def __init__(self, provider):
        self.provider = provider

    def service(self, call):
        service, _, method = call.method.lstrip("/").partition("/")
        if service == "tfplugin6.Provider" and hasattr(self.provider, method):
            return grpc.unary_unary_rpc_method_handler(lambda request, _: getattr(self.provider, method)(parse(request)))
        if service == "grpc.health.v1.Health":
            return grpc.unary_unary_rpc_method_handler(lambda *_: number_field(1, 1))
        return None


def types_named(folder):
    files = [path for end in ("*.tf", "*.hcl") for path in pathlib.Path(folder).rglob(end)]
    return {name for path in files for name in re.findall(r'"(aws_\w+)"', path.read_text())}


def main(path, folder, command):
    unbounded = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(8), options=unbounded)
    server.add_generic_rpc_handlers((Calls(Provider(path, types_named(folder))),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    attached = {
        "Protocol": "grpc",
        "ProtocolVersion": 6,
        "Pid": os.getpid(),
        "Test": True,
        "Addr": {"Network": "tcp", "String": f"127.0.0.1:{port}"},
    }
    environment = dict(os.environ, TF_REATTACH_PROVIDERS=json.dumps({"hashicorp/aws": attached}))
    status = subprocess.run(command, env=environment).returncode
    server.stop(0)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
