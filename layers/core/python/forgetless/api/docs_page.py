"""The page at /docs: every route of the OpenAPI document, as plain HTML that runs no script and loads nothing.

People keep keys near such a page, and it stands on the API's own address, so nothing foreign may run there.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Any

from starlette.responses import HTMLResponse

__all__ = ["page_response", "page_text"]

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
details { border-bottom: 1px solid #ddd; padding: .4rem 0; }
summary { cursor: pointer; }
summary b { display: inline-block; min-width: 4.5rem; font-family: monospace; }
code, pre { font: 13px/1.4 monospace; }
pre { background: #f6f6f6; padding: .6rem; overflow-x: auto; }
td, th { text-align: left; vertical-align: top; padding: .1rem 1rem .1rem 0; }
h2 { margin-top: 2rem; }
"""
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode("ascii")
_POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_METHODS = ("get", "post", "put", "patch", "delete")


def page_text(document: Mapping[str, Any]) -> str:
    """The page for an OpenAPI document."""
    return "\n".join(_lines(document))


def page_response(page: bytes) -> HTMLResponse:
    """The page as an answer, which may run nothing."""
    return HTMLResponse(page, headers={"content-security-policy": _POLICY, "referrer-policy": "no-referrer"})


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    title = escape(document["info"]["title"])
    yield f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
    yield f"<style>{_STYLE}</style></head><body><h1>{title}</h1>"
    yield f"<p>{escape(document['info'].get('summary', ''))} Send your key as <code>X-API-Key</code>,"
    yield "<code>Authorization: Bearer</code> or <code>Authorization: Token</code>. For tools:"
    yield '<a href="openapi.json">openapi.json</a>.</p>'
    for server in document.get("servers", ()):
        yield f"<p>Every path begins with <code>{escape(server['url'])}</code>.</p>"
    yield "<h2>Routes</h2>"
    for path, operations in document["paths"].items():
        for method in _METHODS:
            if method in operations:
                yield from _operation(method.upper(), path, operations[method])
    yield "<h2>Schemas</h2>"
    for name, schema in document.get("components", {}).get("schemas", {}).items():
        yield f'<details id="{escape(name)}"><summary><code>{escape(name)}</code></summary>{_json(schema)}</details>'
    yield "</body></html>"


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield f"<details><summary><b>{method}</b> <code>{escape(path)}</code></summary>"
    yield f"<p>{escape(operation.get('description') or operation.get('summary', ''))}</p>"
    if role := operation.get("x-required-role"):
        yield f"<p>Needs a key of the role {escape(str(role))}.</p>"
    if parameters := operation.get("parameters"):
        yield _table(
            (one["name"], one["in"] + (", required" if one.get("required") else ""), _type(one.get("schema", {})))
            for one in parameters
        )
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"<p>Body, <code>{escape(kind)}</code>: {_schema(content.get('schema', {}))}</p>"
    yield _table(
        (status, answer.get("description", ""), next(map(_type_of_content, answer.get("content", {}).values()), ""))
        for status, answer in operation.get("responses", {}).items()
    )
    yield "</details>"


def _table(rows: Iterable[tuple[str, str, str]]) -> str:
    cells = ("".join(f"<td>{cell}</td>" for cell in (escape(one), escape(two), three)) for one, two, three in rows)
    return "<table>" + "".join(f"<tr>{row}</tr>" for row in cells) + "</table>"


def _type_of_content(content: Mapping[str, Any]) -> str:
    return _type(content.get("schema", {}))


def _type(schema: Mapping[str, Any]) -> str:
    """A short HTML text for a schema: a link, or its JSON on one line."""
    if reference := schema.get("$ref"):
        name = escape(str(reference).rpartition("/")[2])
        return f'<a href="#{name}"><code>{name}</code></a>'
    return f"<code>{escape(json.dumps(schema, ensure_ascii=False))}</code>" if schema else ""


def _schema(schema: Mapping[str, Any]) -> str:
    return _type(schema) if "$ref" in schema else _json(schema)


def _json(schema: Mapping[str, Any]) -> str:
    return f"<pre>{escape(json.dumps(schema, indent=1, ensure_ascii=False))}</pre>"
