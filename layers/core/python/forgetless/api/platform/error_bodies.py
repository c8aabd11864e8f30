"""Errors in the Platform's forms: one for each group of paths, always with the `detail` that clients read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["invalid", "is_platform", "refusal"]

_PREFIXES = ("/v1/", "/v2/", "/v3/", "/api/v1/")
_ADDS = frozenset({"/v1/memories/", "/v3/memories/add/"})
#: The paths whose errors have the text under `message`; all others have it under `error`.
_MESSAGE_PREFIXES = (
    "/v1/memories/search/",
    "/v1/exports/",
    "/v1/summary/",
    "/v2/",
    "/v3/",
    "/api/v1/orgs/",
)


def is_platform(path: str) -> bool:
    """Whether the path belongs to the Platform's dialect."""
    return path.startswith(_PREFIXES)


def refusal(method: str, path: str, status: int, text: str) -> Any:
    """The body of an error response (4xx), in the dialect of the path."""
    if not is_platform(path) or status in {401, 422, 429}:
        return {"detail": text}
    if status == 400 and method == "POST" and path in _ADDS:
        return {"error": "400 Bad Request", "details": {"message": text}, "detail": text}
    if status == 400 and method == "GET" and path == "/v1/memories/":
        return [text]
    key = "error" if status == 404 and path.startswith("/v1/") else _text_key(path)
    return {key: text, "detail": text}


def invalid(method: str, path: str, problems: Sequence[Mapping[str, Any]]) -> Any:
    """The body of a 400 response for the problems that pydantic found."""
    places = [".".join(str(step) for step in one["loc"][1:]) or "body" for one in problems]
    texts = [f"{place}: {one['msg']}" for place, one in zip(places, problems, strict=True)]
    body = refusal(method, path, 400, "; ".join(texts))
    if path.startswith("/api/v1/webhooks/"):
        fields = {
            place: ["This field is required." if one["type"] == "missing" else one["msg"]]
            for place, one in zip(places, problems, strict=True)
        }
        return {**fields, "detail": body["detail"]}
    return body


def _text_key(path: str) -> str:
    return "message" if path.startswith(_MESSAGE_PREFIXES) else "error"
