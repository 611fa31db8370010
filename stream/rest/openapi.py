"""Generates the OpenAPI 3.1 document of the REST API from the structs that define the protocol: `python -m stream.rest.openapi`."""

import inspect
import json
from functools import cache
from typing import Any

import msgspec

from stream.rest.endpoints import ENDPOINTS, Endpoint
from stream.rest.named import twin
from stream.wire.messages import Error

DESCRIPTION = """The native protocol of a deltabook server over plain HTTP. Prices are in ticks, sizes in lots, amounts in the smallest units of their asset,
and times in nanoseconds since 1970; `/v1/instruments` says what they are worth. A request with a `key` is carried out once, however often it is sent.
Errors have the numbers of ERRORS.md, with an HTTP status beside them. The requests of one address with one token count as those of one connection, and
have its limits."""

REF = "#/components/schemas/{name}"


def components(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """The schemas of a struct and of its parts, by name."""
    _, found = msgspec.json.schema_components((kind,), ref_template=REF)
    for schema in found.values():
        if "description" in schema:
            schema["description"] = inspect.cleandoc(schema["description"])
    return found


def parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    """The fields of a request that come in the path or in the query."""
    found = []
    for place, names, kind in (("path", endpoint.named, endpoint.in_path()), ("query", () if endpoint.has_body else endpoint.others, endpoint.elsewhere())):
        if names:
            schema = components(kind)[kind.__name__]
            for name in names:
                described = dict(schema["properties"][name])
                text = {"description": described.pop("description")} if "description" in described else {}
                if described.get("default", 0) is None:
                    del described["default"]
                required = place == "path" or name in schema.get("required", [])
                found.append({"name": name, "in": place, "required": required, "schema": described} | text)
    return found


def operation(endpoint: Endpoint) -> dict[str, Any]:
    """What one endpoint takes and answers."""
    summary = endpoint.summary or inspect.cleandoc(endpoint.kind.__doc__ or "").partition("\n")[0]
    name = "_".join(part for part in endpoint.path.removeprefix("/v1/").replace("{", "").replace("}", "").split("/"))
    reply = twin(endpoint.reply)
    said = {"description": "What was asked for.", "content": {"application/json": {"schema": {"$ref": REF.format(name=reply.__name__)}}}}
    found: dict[str, Any] = {
        "operationId": f"{endpoint.method.lower()}_{name}", "summary": summary, "parameters": parameters(endpoint),
        "responses": {"200": said, "default": {"$ref": "#/components/responses/Refused"}},
    }
    if endpoint.channel == "orderbook":
        tag = {"schema": {"type": "string"}, "description": "The name of this state of the book."}
        said["headers"] = {"ETag": tag}
        known = {"name": "If-None-Match", "in": "header", "required": False, "schema": {"type": "string"}, "description": "An `ETag` that is known."}
        found["parameters"].append(known)
        found["responses"]["304"] = {"description": "The book is as it was.", "headers": {"ETag": tag}}
    if endpoint.has_body:
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": {"$ref": REF.format(name=body_name(endpoint))}}}}
    if endpoint.scope:
        found["security"] = [{"token": []}]
        found["description"] = f"Needs a token with the scope `{endpoint.scope}`."
    return found


def body_name(endpoint: Endpoint) -> str:
    """The name of the schema of a request's body."""
    return endpoint.elsewhere().__name__


@cache
def document() -> dict[str, Any]:
    """The whole document."""
    paths: dict[str, dict[str, Any]] = {}
    schemas = components(twin(Error))
    for endpoint in ENDPOINTS:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = operation(endpoint)
        schemas |= components(twin(endpoint.reply))
        if endpoint.has_body:
            schemas |= components(endpoint.elsewhere())
    return {
        "openapi": "3.1.0",
        "info": {"title": "deltabook", "version": "1", "description": DESCRIPTION.replace("\n", " "), "license": {"name": "MIT", "identifier": "MIT"}},
        "servers": [{"url": "/", "description": "The port of `deltabook serve --rest PORT`."}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
            "responses": {"Refused": {
                "description": "The server refused the request. The request changed nothing, unless the number says that this is unknown.",
                "content": {"application/json": {"schema": {"$ref": REF.format(name="Error")}}},
            }},
            "schemas": {name: schemas[name] for name in sorted(schemas)},
        },
    }


@cache
def text() -> str:
    """The document as it is stored."""
    return json.dumps(document(), indent=1) + "\n"


if __name__ == "__main__":
    print(text(), end="")
