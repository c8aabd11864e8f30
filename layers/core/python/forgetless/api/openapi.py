"""What the generated OpenAPI document cannot know by itself: keys, roles, and what answers look like."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from forgetless.api.caller import OPEN_PATHS

__all__ = ["complete_document"]

_SCHEMES = {
    "ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "Bearer": {"type": "http", "scheme": "bearer"},
    "Token": {"type": "apiKey", "in": "header", "name": "Authorization", "description": "`Token KEY`"},
}
_SCHEMA_REF = "#/components/schemas/{model}"
_REFUSALS = {
    "401": "No key, or one that is not known",
    "403": "The key's role or its limits do not allow it",
    "429": "The key asks too often; see Retry-After",
    "default": "Another failure",
}


def complete_document(app: FastAPI) -> None:
    """Add security schemes and the self-hosted dialect's answers to the document, when somebody asks for it."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        components = document.setdefault("components", {})
        if "securitySchemes" not in components:
            components["securitySchemes"] = _SCHEMES
            document["security"] = [{name: []} for name in _SCHEMES]
            _describe_answers(document)
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def _describe_answers(document: dict[str, Any]) -> None:
    # Pydantic builds these models in milliseconds that no cold start should pay for.
    from forgetless.api.selfhosted.answer_schemas import ANSWERS, Problem  # noqa: PLC0415

    schemas = document["components"].setdefault("schemas", {})
    for (method, path), (status, kind) in ANSWERS.items():
        operation = document["paths"].get(path, {}).get(method.lower())
        if operation is None:
            continue
        operation["responses"].pop("200", None)
        operation["responses"][str(status)] = _response("What it answers", kind, schemas)
        if path in OPEN_PATHS:
            operation["security"] = []
            continue
        for code, text in _REFUSALS.items():
            operation["responses"].setdefault(code, _response(text, Problem, schemas))


def _response(description: str, kind: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    from pydantic import TypeAdapter  # noqa: PLC0415

    schema = TypeAdapter(kind).json_schema(ref_template=_SCHEMA_REF, mode="serialization")
    schemas.update(schema.pop("$defs", {}))
    if "title" in schema and schema.get("type") == "object" and "properties" in schema:
        schemas[schema["title"]] = schema
        schema = {"$ref": _SCHEMA_REF.format(model=schema["title"])}
    return {"description": description, "content": {"application/json": {"schema": schema}}}
