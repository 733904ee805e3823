"""Rebuilds the schema of terraform's AWS provider from the npm package @cdktf/provider-aws: schema.py PACKAGE OUT

The package's JavaScript carries in its source maps the TypeScript that was generated from the schema; comments and helper
functions there keep almost all that `terraform providers schema -json` would say. Lost are counts of blocks other than "at
least one" and "at most one", and what is sensitive, deprecated or write-only.
"""

import base64
import json
import re
import sys
import tarfile

PRIMITIVES = {"string": "string", "number": "number", "boolean": "bool", "any": "dynamic"}
FLAG = re.compile(r"\s*// (\w+) - computed: (true|false), optional: (true|false), required: (true|false)\s*$")
HCL = re.compile(r'^\s+(\w+): \{\n\s+value: .*?,\n\s+isBlock: (?:true|false),\n\s+type: "(\w+)",\n\s+storageClassType:', re.M | re.S)
CHILD = r'new (\w+?)(List|Map|MapList|OutputReference|StructList)\(this, "%s"(?:, (true|false))?'
GETTERS = [
    (("getStringMapAttribute", "cdktf.StringMap("), ["map", "string"]),
    (("getNumberMapAttribute", "cdktf.NumberMap("), ["map", "number"]),
    (("getBooleanMapAttribute", "cdktf.BooleanMap("), ["map", "bool"]),
    (("cdktf.StringMapList(",), ["list", ["map", "string"]]),
    (("getNumberListAttribute",), ["COLLECTION", "number"]),
    (("getListAttribute",), ["COLLECTION", "string"]),
    (("getStringAttribute",), "string"),
    (("getNumberAttribute",), "number"),
    (("getBooleanAttribute",), "bool"),
]


def typescript(javascript):
    found = re.search(r"sourceMappingURL=data:application/json;base64,(\S+)", javascript)
    return json.loads(base64.b64decode(found.group(1)))["sourcesContent"][0]


def declarations(text):
    """(interface, class or function; name) -> the lines of it."""
    found, lines = {}, None
    for line in text.split("\n"):
        head = re.match(r"export (interface|class|function) (\w+)", line)
        if head:
            name, lines = head.groups(), []
        if lines is not None:
            lines.append(line)
            if line == "}":
                found[name], lines = lines, None
    return found


def fields(lines):
    """Name in terraform -> (type, whether it is optional, whether it is a block), of an interface."""
    found, comment = {}, []
    for line in map(str.strip, lines):
        if line.startswith(("/**", "*")):
            comment = [line] if line.startswith("/**") else comment + [line]
            continue
        field = re.match(r"readonly (\w+)(\?)?: (.*);", line)
        said = " ".join(comment)
        name = re.search(r"#(\w+) \w+#(\w+)\}", said)
        if field and name:
            is_block = re.search(r"\* %s block\b" % re.escape(name.group(2)), said) is not None
            found[name.group(2)] = (field.group(3), bool(field.group(2)), is_block)
    return found


def flags(lines):
    """Name -> (computed, optional, required, the code up to the next name), of a class."""
    found, name = {}, None
    for line in lines:
        flag = FLAG.match(line)
        if flag:
            name = flag.group(1)
            found[name] = ([word == "true" for word in flag.groups()[1:]], [])
        elif line.strip() == "// =========":
            name = None
        elif name:
            found[name][1].append(line)
    return {name: (*said, "\n".join(code)) for name, (said, code) in found.items()}


def plain(written):
    return re.sub(r"^\((.*)\)$", r"\1", re.sub(r"\s*\|\s*cdktf\.IResolvable", "", written).strip())


def shape(written, collection):
    """A type in TypeScript as one of terraform's, if there is one."""
    written = plain(written)
    if written in PRIMITIVES:
        return PRIMITIVES[written]
    if written.startswith("Array<"):
        return [collection, shape(written[6:-1], "list")]
    of_map = re.match(r"\{ ?\[key: string\]: (.*?) ?\}(\[\])?$", written)
    if of_map:
        inner = ["map", shape(of_map.group(1), "list")]
        return [collection, inner] if of_map.group(2) else inner
    return [collection, shape(written[:-2], "list")] if written.endswith("[]") else None


def shape_of_getter(code, collection):
    for words, found in GETTERS:
        if any(word in code for word in words):
            return [collection, found[1]] if found[0] == "COLLECTION" else found
    return "dynamic"


class Source:
    """The TypeScript of a resource or data source."""

    def __init__(self, text):
        self.declared = declarations(text)

    def structure(self, name):
        lower = name[0].lower() + name[1:]
        hcl = dict(HCL.findall("\n".join(self.declared.get(("function", lower + "ToHclTerraform"), []))))
        interface = fields(self.declared.get(("interface", name), []))
        return self.body(interface, hcl, flags(self.declared.get(("class", name + "OutputReference"), [])))

    def body(self, interface, hcl, said):
        body = {"attributes": {}, "block_types": {}}
        for name in sorted(interface.keys() | said.keys()):
            written, optional, is_block = interface.get(name, (None, False, False))
            known = said.get(name, (False, optional, written is not None and not optional, ""))
            if is_block and self.structure_of(name, written, known[3]):
                body["block_types"][name] = self.block(name, written, hcl.get(name), known)
            else:
                body["attributes"][name] = self.attribute(name, written, hcl.get(name), known)
        return {key: value for key, value in body.items() if value}

    def structure_of(self, name, written, code):
        """The structure of a field, if it has one; and whether it is a map of them."""
        child = re.search(CHILD % re.escape(name), code)
        if child and code.split("new ")[1].startswith("cdktf."):
            child = None
        base = plain(written).replace("[]", "") if written else child and child.group(1)
        of_map = re.match(r"\{ ?\[key: string\]: (\w+) ?\}$", base or "")
        base = of_map.group(1) if of_map else base
        if base and (("class", base + "OutputReference") in self.declared or ("interface", base) in self.declared):
            return base, bool(of_map) or bool(child and child.group(2) == "Map"), child and child.group(3) == "true"
        return None

    def block(self, name, written, form, known):
        mode = {"struct": "single", "set": "set", "list": "list", "map": "map"}.get(form, "list")
        block = {"nesting_mode": mode, "block": self.structure(self.structure_of(name, written, known[3])[0])}
        if mode in ("list", "set"):
            if known[2]:
                block["min_items"] = 1
            if not plain(written).endswith("[]"):
                block["max_items"] = 1
        return block

    def attribute(self, name, written, form, known):
        computed, optional, required, code = known
        attribute = {"required": required, "optional": optional or not (required or computed), "computed": computed}
        attribute = {flag: True for flag, is_set in attribute.items() if is_set}
        collection = "set" if "Fn.tolist(" in code else "list"
        structure = self.structure_of(name, written, code)
        if structure is None:
            found = shape(written, collection) if written else shape_of_getter(code, collection)
            # One type of all keeps its structures elsewhere.
            return attribute | {"type": "dynamic" if found is None or "null" in json.dumps(found) else found}
        base, is_map, is_set = structure
        inner = self.structure(base)
        members = dict(inner.get("attributes", {}))
        members |= {name: {"type": "dynamic", "optional": True} for name in inner.get("block_types", {})}
        if written and not plain(written).endswith("[]") and not is_map:
            mode = "single"
        else:
            mode = "map" if is_map else "set" if form == "set" or is_set else "list"
        return attribute | {"nested_type": {"nesting_mode": mode, "attributes": members}}


def servable(block):
    """Terraform refuses a schema with the dynamic type inside a set block."""
    return not any(
        (inner["nesting_mode"] == "set" and '"dynamic"' in json.dumps(inner["block"])) or not servable(inner["block"])
        for inner in block.get("block_types", {}).values()
    )


def read(text):
    """(name, Resource, DataSource or Provider; schema), of a file that has one."""
    name = re.search(r'tfResourceType = "(\w+)"', text)
    head = re.search(r"export class (\w+) extends cdktf\.Terraform(Resource|DataSource|Provider)", text)
    if not name or not head:
        return None
    source = Source(text)
    lines = source.declared[("class", head.group(1))]
    whole = "\n".join(lines)
    hcl = dict(HCL.findall(whole[whole.find("synthesizeHclAttributes") :]))
    interface = fields(source.declared.get(("interface", head.group(1) + "Config"), []))
    return name.group(1), head.group(2), {"version": 0, "block": source.body(interface, hcl, flags(lines))}


def main(package, out):
    kinds = {"Provider": {}, "Resource": {}, "DataSource": {}}
    with tarfile.open(package) as files:
        for member in files:
            if not re.match(r"package/lib/[^/]+(/provider)?/index\.js$", member.name):
                continue
            javascript = files.extractfile(member).read().decode()
            found = read(typescript(javascript)) if "tfResourceType" in javascript else None
            if found and servable(found[2]["block"]):
                kinds[found[1]][found[0]] = found[2]
    provider = {
        "provider": next(iter(kinds["Provider"].values())),
        "resource_schemas": kinds["Resource"],
        "data_source_schemas": kinds["DataSource"],
    }
    with open(out, "w") as file:
        json.dump({"format_version": "1.0", "provider_schemas": {"hashicorp/aws": provider}}, file, separators=(",", ":"))
    print(f"{len(kinds['Resource'])} resources, {len(kinds['DataSource'])} data sources")


if __name__ == "__main__":
    main(*sys.argv[1:])
