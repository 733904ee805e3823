"""The little of protobuf and of terraform's plugin protocol 6 that a provider needs, encoded by hand."""

import json

import msgpack

UNKNOWN = msgpack.ExtType(0, b"\0")
NESTING = {"single": 1, "list": 2, "set": 3, "map": 4, "group": 5}
ATTRIBUTE_FLAGS = {"required": 4, "optional": 5, "computed": 6, "sensitive": 7, "deprecated": 9, "write_only": 11}


def is_unknown(value):
    return isinstance(value, msgpack.ExtType)


def varint(number):
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def number_field(field, value):
    return varint(field << 3) + varint(int(value)) if value else b""


def bytes_field(field, value, even_empty=False):
    if isinstance(value, str):
        value = value.encode()
    return varint(field << 3 | 2) + varint(len(value)) + value if value or even_empty else b""


def parse(message):
    """Field number -> the values of that field, of a message without groups."""
    fields, place = {}, 0

    def read_varint():
        nonlocal place
        number = shift = 0
        while True:
            byte = message[place]
            place += 1
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return number

    while place < len(message):
        tag = read_varint()
        kind = tag & 7
        if kind == 0:
            value = read_varint()
        elif kind in (1, 2, 5):
            size = {1: 8, 5: 4}.get(kind) or read_varint()
            value, place = message[place : place + size], place + size
        else:
            raise ValueError(f"a field of wire type {kind}")
        fields.setdefault(tag >> 3, []).append(value)
    return fields


def last(fields, number, default=b""):
    return fields[number][-1] if number in fields else default


def read_value(message):
    """A DynamicValue."""
    fields = parse(message)
    if 1 in fields:
        return msgpack.unpackb(last(fields, 1), raw=False, strict_map_key=False)
    return json.loads(last(fields, 2)) if 2 in fields else None


def write_value(value):
    return bytes_field(1, msgpack.packb(value, use_bin_type=True))


def diagnostic(summary, detail):
    return number_field(1, 1) + bytes_field(2, summary) + bytes_field(3, detail)


def attribute(name, known):
    out = bytes_field(1, name)
    if "nested_type" in known:
        nested = known["nested_type"]
        members = sorted(nested["attributes"].items())
        body = b"".join(bytes_field(1, attribute(member, inner), True) for member, inner in members)
        out += bytes_field(10, body + number_field(3, NESTING[nested["nesting_mode"]]))
    else:
        out += bytes_field(2, json.dumps(known["type"]))
    return out + b"".join(number_field(field, bool(known.get(flag))) for flag, field in ATTRIBUTE_FLAGS.items())


def block(known, version=0):
    out = number_field(1, version)
    for name, inner in sorted(known.get("attributes", {}).items()):
        out += bytes_field(2, attribute(name, inner), True)
    for name, inner in sorted(known.get("block_types", {}).items()):
        body = bytes_field(1, name) + bytes_field(2, block(inner["block"]), True)
        body += number_field(3, NESTING[inner["nesting_mode"]])
        body += number_field(4, inner.get("min_items")) + number_field(5, inner.get("max_items"))
        out += bytes_field(3, body, True)
    return out


def schema(known):
    version = known.get("version", 0)
    return number_field(1, version) + bytes_field(2, block(known.get("block", {}), version), True)
