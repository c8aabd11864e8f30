"""What the generated OpenAPI document cannot know by itself: the three ways to present a key."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

__all__ = ["describe_keys"]

_SCHEMES = {
    "ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "Bearer": {"type": "http", "scheme": "bearer"},
}


def describe_keys(app: FastAPI) -> None:
    """Add the security schemes to the document, so that /docs offers a place for the key."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        document.setdefault("components", {})["securitySchemes"] = _SCHEMES
        document["security"] = [{name: []} for name in _SCHEMES]
        return document

    app.openapi = openapi  # type: ignore[method-assign]
