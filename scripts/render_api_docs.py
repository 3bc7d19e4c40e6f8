#!/usr/bin/env python3
"""Writes docs/api.md from the OpenAPI document that the server gives out (src/serve/openapi.cpp).

    scripts/render_api_docs.py           # writes it
    scripts/render_api_docs.py --check   # fails where it is not what the document makes
"""

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "serve" / "openapi.cpp"
PAGE = ROOT / "docs" / "api.md"

HEAD = """# The API

Made by `scripts/render_api_docs.py` from the document at `/openapi.json`; do not change it by hand. What
endpoints and fields mean is in [serving.md](serving.md). {description}

Requests with a body are JSON. Where the server asks for keys, each endpoint that is not marked as open needs
the header `Authorization: Bearer KEY`. A field that may be null is left to its default then.
"""


def read_document() -> dict:
    pieces = re.findall(r'R"json\((.*?)\)json"', SOURCE.read_text(encoding="utf-8"), re.DOTALL)
    # Between the first two stands the version.
    return json.loads("VERSION".join([pieces[0], "".join(pieces[1:])]))


def code(value) -> str:
    return f"`{json.dumps(value, ensure_ascii=False)}`" if not isinstance(value, str) else f'`"{value}"`'


def number(value) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def bounds(schema: dict, low: str, high: str, what: str = "") -> str:
    least, most = schema.get(low), schema.get(high)
    if least is not None and most is not None:
        return f"{number(least)} to {number(most)}{what}"
    if least is not None:
        return f"at least {number(least)}{what}"
    return f"at most {number(most)}{what}" if most is not None else ""


def named(schema: dict) -> str:
    name = schema["$ref"].rsplit("/", 1)[-1]
    return f"[{name}](#{name})"


def one_of(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def describe(schema: dict) -> str:
    """What a value may be, in words."""
    if "$ref" in schema:
        return named(schema)
    if "const" in schema:
        return code(schema["const"])
    if "enum" in schema:
        return one_of([code(value) for value in schema["enum"] if value is not None])
    if "oneOf" in schema and "properties" not in schema:
        return one_of([describe(choice) for choice in schema["oneOf"] if choice != {"type": "null"}])
    kinds = schema.get("type", "any")
    kind = "null" if kinds == "null" else ([kinds] if isinstance(kinds, str) else kinds)[0]
    details = []
    if kind == "array":
        size = bounds(schema, "minItems", "maxItems")
        words = f"array{f' ({size})' if size else ''} of {describe(schema.get('items', {}))}"
    elif kind == "object" and schema.get("properties"):
        required = schema.get("required", [])
        words = "object with " + ", ".join(
            f"`{name}`{'' if name in required else '?'} ({describe(field)})"
            for name, field in schema["properties"].items())
    elif kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        words = f"object whose values are {describe(schema['additionalProperties'])}"
        details.append(bounds(schema, "minProperties", "maxProperties", " entries"))
    else:
        words = kind
        details.append(bounds(schema, "minimum", "maximum"))
        details.append(bounds(schema, "minLength", "maxLength", " characters"))
        if "pattern" in schema:
            details.append(f"`{schema['pattern']}`")
    details = [detail for detail in details if detail]
    return f"{words} ({', '.join(details)})" if details else words


def cell(text: str) -> str:
    return text.replace("|", "\\|")


def table(schema: dict) -> list[str]:
    required = schema.get("required", [])
    lines = ["| field | value | |", "| --- | --- | --- |"]
    for name, field in schema["properties"].items():
        remarks = []
        if name in required:
            remarks.append("required")
        if "default" in field:
            remarks.append(f"else {code(field['default'])}")
        if "description" in field:
            remarks.append(field["description"])
        lines.append(f"| `{name}` | {cell(describe(field))} | {cell('; '.join(remarks))} |")
    for choice in schema.get("oneOf", []):
        if "required" in choice and choice is schema["oneOf"][0]:
            either = one_of([f"`{name}`" for other in schema["oneOf"] for name in other["required"]])
            lines += ["", f"Either {either} is required."]
    return lines


def render_operation(path: str, method: str, operation: dict, schemas: dict, shown: set) -> list[str]:
    lines = [f"## {method.upper()} {path}", "", f"{operation['summary']}."]
    if operation.get("security") == []:
        lines[-1] += " Open: needs no key."
    if "description" in operation:
        lines[-1] += f" {operation['description']}"
    parameters = operation.get("parameters", [])
    for parameter in parameters:
        default = parameter["schema"].get("default")
        lines += ["", f"`{parameter['name']}` (in the {parameter['in']}): {describe(parameter['schema'])}"
                      f"{f', else {code(default)}' if default is not None else ''}."]
    if "requestBody" in operation:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        if "$ref" in schema:
            shown.add(schema["$ref"].rsplit("/", 1)[-1])
            schema = schemas[schema["$ref"].rsplit("/", 1)[-1]]
        lines += ["", *table(schema)]
    lines += ["", f"Status: {', '.join(operation['responses'])}.", ""]
    return lines


def render(document: dict) -> str:
    lines = HEAD.format(description=document["info"]["description"]).splitlines() + [""]
    schemas = document["components"]["schemas"]
    shown: set = set()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            lines += render_operation(path, method, operation, schemas, shown)
    lines += ["## Values that occur in several places", ""]
    for name, schema in schemas.items():
        if name in shown:
            continue
        lines += [f"### {name}", ""]
        choices = [choice for choice in schema.get("oneOf", []) if choice != {"type": "null"}]
        if len(choices) > 1:
            lines += ["One of:", "", *[f"- {describe(choice)}" for choice in choices], ""]
        else:
            lines += [f"{describe(schema)}", ""]
    return "\n".join(lines).rstrip() + "\n"


def main() -> None:
    text = render(read_document())
    if sys.argv[1:] == ["--check"]:
        if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
            sys.exit("docs/api.md is not what src/serve/openapi.cpp makes: run scripts/render_api_docs.py.")
    elif sys.argv[1:]:
        sys.exit(__doc__)
    else:
        PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
