"""The part of JSON Schema 2020-12 that our OpenAPI document uses. A keyword it does not know is an error."""

import datetime

KNOWN = {"$ref", "type", "enum", "properties", "items", "additionalProperties", "required", "minimum", "maximum",
         "format", "description"}
TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float)}


def check(document, schema, value, where="$"):
    assert set(schema) <= KNOWN, f"{where}: unknown keywords {set(schema) - KNOWN}"
    if "$ref" in schema:
        target = document
        for step in schema["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        return check(document, target, value, where)
    kind = schema.get("type")
    if kind:
        assert isinstance(value, TYPES[kind]), f"{where}: {value!r} is no {kind}"
        assert kind not in ("integer", "number") or not isinstance(value, bool), f"{where}: {value!r} is no {kind}"
    assert "enum" not in schema or value in schema["enum"], f"{where}: {value!r} is none of {schema['enum']}"
    assert "minimum" not in schema or value >= schema["minimum"], f"{where}: {value} is too small"
    assert "maximum" not in schema or value <= schema["maximum"], f"{where}: {value} is too large"
    if schema.get("format") == "date-time":
        datetime.datetime.fromisoformat(value.replace("Z", "+00:00"))
    for name in schema.get("required", ()):
        assert name in value, f"{where}: {name} is missing"
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        rest = schema.get("additionalProperties", True)
        for name, member in value.items():
            if name in properties:
                check(document, properties[name], member, f"{where}.{name}")
            elif isinstance(rest, dict):
                check(document, rest, member, f"{where}.{name}")
            else:
                assert rest, f"{where}: {name} is not in the schema"
    if isinstance(value, list):
        for i, item in enumerate(value):
            check(document, schema.get("items", {}), item, f"{where}[{i}]")
    return None
