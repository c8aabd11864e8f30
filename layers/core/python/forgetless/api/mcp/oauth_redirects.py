"""To which addresses the log-in page may send: hosts that the operator trusts, and programs of the same machine."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

__all__ = ["OAuthRedirects", "is_redirect_entry"]

#: A host, a scheme with its colon, or a star.
_ENTRY = re.compile(r"(?:[a-z0-9-]+\.)*[a-z0-9-]+|[a-z][a-z0-9+.-]*:|\*", re.ASCII)

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
#: Schemes that browsers run or show themselves; no program answers them.
_NEVER = frozenset({"javascript", "data", "vbscript", "file", "about", "blob", "http", "ws", "ftp"})


def is_redirect_entry(entry: str) -> bool:
    """Whether an entry can match any address: that of a port, a path or a scheme that browsers run never does."""
    return _ENTRY.fullmatch(entry) is not None and entry.removesuffix(":") not in _NEVER


class OAuthRedirects:
    """The addresses of one deployment, from entries such as `claude.ai`, `cursor:` or `*`.

    A stranger can register a client under any name. Without this list, a link to our own page could send a person who
    enters a key there to the stranger.
    """

    def __init__(self, entries: Iterable[str]) -> None:
        given = [entry.strip().lower() for entry in entries if entry.strip()]
        self._any_host = "*" in given
        self._schemes = {entry.removesuffix(":") for entry in given if entry.endswith(":")} - _NEVER
        self._hosts = {entry for entry in given if not entry.endswith(":")}

    def allows(self, address: str) -> bool:
        """Whether it is https to a host of the list, a scheme of the list, or http to a port of this machine."""
        try:
            parts = urlsplit(address)
            host, _ = parts.hostname or "", parts.port
        except ValueError:
            return False
        if "#" in address or parts.username is not None:
            return False
        if parts.scheme == "http":
            return host in _LOOPBACK
        if parts.scheme == "https":
            return bool(host) and (self._any_host or host in self._hosts or host in _LOOPBACK)
        return parts.scheme in self._schemes
