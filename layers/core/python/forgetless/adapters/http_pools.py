"""Reused connections: one pool for each origin and process, through the environment's proxy if there is one."""

from __future__ import annotations

import atexit
import threading
import urllib.request
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import httpcore

from forgetless.adapters.http_deadline import DeadlineBackend

__all__ = ["Origin", "close_pool", "pool_of"]

_LIMITS: Mapping[str, Any] = {"max_connections": 100, "max_keepalive_connections": 50, "keepalive_expiry": 30.0}
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Origin(NamedTuple):
    """The target of connections. Calls to the same origin share them."""

    scheme: bytes
    host: bytes
    port: int | None


# One pool for each origin, so that all adapters and invocations in a process share its connections.
_pools: dict[Origin, httpcore.ConnectionPool] = {}
_pools_lock = threading.Lock()


def pool_of(origin: Origin) -> httpcore.ConnectionPool:
    """The shared connections of this process to an origin."""
    pool = _pools.get(origin)
    if pool is None:
        with _pools_lock:
            pool = _pools.get(origin)
            if pool is None:
                pool = _pools[origin] = _new_pool(origin)
    return pool


def close_pool(origin: Origin) -> None:
    """Close the shared connections to an origin; the next call opens new ones."""
    with _pools_lock:
        pool = _pools.pop(origin, None)
    if pool is not None:
        pool.close()


@atexit.register
def _close_all() -> None:
    """Close all pools at the end of the process, so that Python reports no unclosed connections."""
    for origin in list(_pools):
        close_pool(origin)


def _new_pool(origin: Origin) -> httpcore.ConnectionPool:
    # Loading the CA bundle takes tens of milliseconds of a cold start, so only https:// does it.
    context = httpcore.default_ssl_context() if origin.scheme == b"https" else None
    return httpcore.ConnectionPool(
        ssl_context=context, proxy=_proxy(origin), network_backend=DeadlineBackend(), **_LIMITS
    )


def _proxy(origin: Origin) -> httpcore.Proxy | None:
    """The proxy that the environment names for the origin, as in other programs; never one for this machine itself."""
    host, scheme = origin.host.decode("ascii"), origin.scheme.decode("ascii")
    if host in _LOOPBACK or urllib.request.proxy_bypass(f"{host}:{origin.port}" if origin.port else host):
        return None
    proxies = urllib.request.getproxies()
    url = proxies.get(scheme) or proxies.get("all")
    if not url:
        return None
    parts = urlsplit(url if "://" in url else f"http://{url}")
    auth = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
    return httpcore.Proxy(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}", auth=auth)
