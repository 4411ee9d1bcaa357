"""Writes docs/api.md from the OpenAPI document that the API serves.

Run `make reference` after a change of a route or a field.
"""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parent / "api.md"
SAMPLE = Path(__file__).resolve().parent / "sample_record.json"
METHODS = ("get", "post", "put", "delete")
TAGS = ("calls", "live calls", "agents", "numbers", "document")
"""The order of the routes."""
HIDDEN_SCHEMAS = ("Error",)
"""Schemas that the introduction explains in prose."""

Schema = Mapping[str, Any]

INTRODUCTION = """\
# API reference

`make reference` generates this page from the OpenAPI document. Get the document with
`curl localhost:3000/api/openapi.json`.

Requests and responses are JSON with `snake_case` names. On AWS, send `Authorization: Bearer $KEY`.

Errors have one shape. `code` is for programs and `message` for people. `details` depends on the
code:

```json
{"error": {"code": "invalid_field", "message": "…", "details": {}}}
```

| status | meaning |
|---|---|
| 400 | the body is not a JSON object |
| 401, 403 | the key is missing or wrong; `destination_not_allowed`: the number may not be called |
| 404 | there is no such call, agent or number |
| 405 | the path exists, but not with this method; `Allow` lists the methods |
| 409 | the call's state forbids this, or the `Idempotency-Key` was used with another request |
| 422 | a field is invalid, missing or unknown; the message names it |
| 429 | no container has room, or a limit was reached; `Retry-After` says when to try again |
| 502 | Telnyx refused; `details` has its code and title |
| 503 | a setting is missing, for example "OpenAI API key not configured" |

Some errors come from API Gateway itself, in its own shape `{"message": "…"}`: unknown paths
(404), more requests than the limit of a route (429), and bodies above 10 MB (413).
"""


def page(document: Schema, sample: Schema) -> str:
    """Return the whole page as Markdown."""
    schemas: Mapping[str, Schema] = document["components"]["schemas"]
    parts = [INTRODUCTION, "## Routes\n", *_routes(document), "## A complete record\n"]
    parts.append(f"```json\n{json.dumps(sample, indent=2, ensure_ascii=False)}\n```\n")
    parts.append("## Types\n")
    parts += [_type(name, schema) for name, schema in sorted(schemas.items()) if _is_shown(name)]
    parts.append(
        "---\n\nNext: [agents](agents.md), [the call record](record.md), [steering](steering.md).\n"
    )
    return "\n".join(parts)


def _is_shown(name: str) -> bool:
    return not name.startswith(HIDDEN_SCHEMAS)


def _routes(document: Schema) -> Iterator[str]:
    operations = [
        (f"{method.upper()} {path}", operations[method])
        for path, operations in document["paths"].items()
        for method in METHODS
        if method in operations
    ]
    for tag in TAGS:
        yield from (_route(title, each) for title, each in operations if tag in each["tags"])


def _route(title: str, operation: Schema) -> str:
    lines = [f"### {title}\n", f"{_sentence(operation).rstrip('.')}.", ""]
    if parameters := operation.get("parameters"):
        lines += ["| parameter | in | type | meaning |", "|---|---|---|---|"]
        lines += [_parameter(each) for each in parameters] + [""]
    if body := operation.get("requestBody"):
        lines += [f"Request body: {_type_name(_json_schema(body))}\n"]
    responses: Mapping[str, Schema] = operation["responses"]
    lines += [
        _response(status, responses[status]) for status in sorted(responses) if status < "400"
    ]
    errors = [status for status in sorted(responses) if status >= "400"]
    return "\n".join([*lines, f"Errors: {', '.join(errors)}."]) + "\n"


def _sentence(operation: Schema) -> str:
    text = operation.get("description") or operation.get("summary") or ""
    return " ".join(str(text).split())


def _parameter(parameter: Schema) -> str:
    schema = parameter.get("schema", {})
    required = "" if parameter.get("required") else " (optional)"
    meaning = _cell(parameter.get("description") or schema.get("description", ""))
    cells = (f"`{parameter['name']}`{required}", parameter["in"], _type_name(schema), meaning)
    return f"| {' | '.join(cells)} |"


def _response(status: str, response: Schema) -> str:
    shape = _type_name(_json_schema(response)) if response.get("content") else "no body"
    return f"**{status}** ({shape}): {_cell(response.get('description', ''))}\n"


def _json_schema(container: Schema) -> Schema:
    content: Mapping[str, Schema] = container["content"]
    schema: Schema = next(iter(content.values())).get("schema", {})
    return schema


def _type(name: str, schema: Schema) -> str:
    lines = [f"### {name}\n"]
    if description := schema.get("description"):
        lines.append(" ".join(str(description).split()) + "\n")
    properties: Mapping[str, Schema] = schema.get("properties", {})
    if not properties:
        return "\n".join([*lines, f"{_type_name(schema)}\n"])
    required = schema.get("required", ())
    lines += ["| field | type | default | meaning |", "|---|---|---|---|"]
    lines += [_field(field, value, field in required) for field, value in properties.items()]
    return "\n".join(lines) + "\n"


def _field(name: str, schema: Schema, is_required: bool) -> str:
    default = (
        "required" if is_required else _value(schema["default"]) if "default" in schema else ""
    )
    return (
        f"| `{name}` | {_type_name(schema)} | {default} | {_cell(schema.get('description', ''))} |"
    )


def _type_name(schema: Schema) -> str:
    """Return the type in a few words, such as `string, 1 to 64 characters`, or a link to a named
    type."""
    if reference := schema.get("$ref"):
        name = reference.rpartition("/")[2]
        return f"[{name}](#{name.lower()})" if _is_shown(name) else "error"
    for combined in ("anyOf", "oneOf", "allOf"):
        if combined in schema:
            return " or ".join(dict.fromkeys(_type_name(each) for each in schema[combined]))
    if "enum" in schema:
        return ", ".join(_value(each) for each in schema["enum"])
    if "const" in schema:
        return _value(schema["const"])
    if schema.get("type") == "array":
        return f"list of {_type_name(schema.get('items', {}))}"
    return f"{schema.get('type', 'any')}{_bounds(schema)}"


def _bounds(schema: Schema) -> str:
    words = []
    for least, most, unit in (
        ("minimum", "maximum", ""),
        ("minLength", "maxLength", " characters"),
        ("minItems", "maxItems", " entries"),
    ):
        low, high = schema.get(least), schema.get(most)
        if low is not None and high is not None:
            words.append(f"{low:g} to {high:g}{unit}")
        elif high is not None:
            words.append(f"at most {high:g}{unit}")
        elif low is not None:
            words.append(f"at least {low:g}{unit}")
    return f", {', '.join(words)}" if words else ""


def _value(value: object) -> str:
    return (
        f"`{json.dumps(value, ensure_ascii=False)}`" if not isinstance(value, str) else f"`{value}`"
    )


def _cell(text: object) -> str:
    return " ".join(str(text).split()).replace("|", "\\|")


def served_document() -> Schema:
    """Return the OpenAPI document as `GET /api/openapi.json` serves it."""
    # Imported here because the handlers read their settings at import.
    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
    os.environ.setdefault("POWERTOOLS_SERVICE_NAME", "phonebridge")
    from ai_calls import app
    from control_plane.api.document import document

    return document(app)


if __name__ == "__main__":
    PAGE.write_text(page(served_document(), json.loads(SAMPLE.read_text())))
