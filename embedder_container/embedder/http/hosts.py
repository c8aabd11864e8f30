"""Which `Host` headers are answered: on a loopback address only this machine's, as web pages can point names at it."""

from __future__ import annotations

import ipaddress
import re

from ..settings import Settings

__all__ = ["allowed_host"]

ANY = "*"
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:/@\s]+)(?::([0-9]{1,5}))?")


def allowed_host(settings: Settings, header: bytes) -> bool:
    """Return whether a request with this header is for this server."""
    names = {name.strip().lower() for name in settings.hosts.split(",") if name.strip()}
    if not names and not _is_loopback(settings.host):
        return True
    found = _HOST.fullmatch(header.decode("latin-1"))
    if ANY in names:
        return True
    if found is None or (settings.port and int(found[2] or 80) != settings.port):
        return False
    name = found[1].strip("[]").rstrip(".").lower()
    return name in names or _is_loopback(name)


def _is_loopback(name: str) -> bool:
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
