"""The console at /console: a page of static files that calls the public API with the key that its reader types.

The files are served as they stand in `assets`: native modules, so that nothing has to be built. The page may load and
call nothing but this service (its Content-Security-Policy says so), and it holds no data of its own: what a key may
not read, the console cannot show.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from forgetless.api.caller import CONSOLE_PATH, OPEN_FILE
from forgetless.domain.errors import NotFoundError

__all__ = ["console_routes"]

_ASSETS = Path(__file__).with_name("assets")
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    )
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


def console_routes() -> list[Route]:
    """The page at /console, and its files below it. They need no key, because they hold nothing of any tenant."""
    return [
        Route(CONSOLE_PATH, _page, include_in_schema=False),
        Route(CONSOLE_PATH + "/{name:path}", _asset, include_in_schema=False),
    ]


def _page(request: Request) -> Response:
    return _answer(request, "index.html")


def _asset(request: Request) -> Response:
    name = request.path_params["name"]
    # Relative, because a base path may precede it.
    return _answer(request, name) if name else RedirectResponse("../console")


def _answer(request: Request, name: str) -> Response:
    """The file, or 304 if the browser has it already."""
    if name not in _assets():
        raise NotFoundError(f"the console has no file {name!r}; the console itself is at {CONSOLE_PATH}")
    path = _assets()[name]
    content, tag = _content(path)
    setattr(request.state, OPEN_FILE, True)
    headers = {**_HEADERS, "etag": tag}
    known = {one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")}
    if known & {tag, "*"}:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=_TYPES[path.suffix], headers=headers)


@cache
def _assets() -> dict[str, Path]:
    """The files by name. Only what is listed here is served, so that no path can lead out of the folder."""
    return {path.relative_to(_ASSETS).as_posix(): path for path in _ASSETS.rglob("*") if path.suffix in _TYPES}


@cache
def _content(path: Path) -> tuple[bytes, str]:
    """What is in the file, and its entity tag."""
    content = path.read_bytes()
    return content, f'"{hashlib.sha256(content).hexdigest()[:32]}"'
