"""Addresses of webhooks: brings a URL to the ASCII form in which it is sent, and refuses what can never work."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import quote, urlsplit, urlunsplit

import idna

__all__ = ["MAX_URL_CHARS", "ascii_url"]

#: The most characters of an address, as it is given and in ASCII.
MAX_URL_CHARS = 2048

_MAX_HOST, _MAX_LABEL = 253, 63
#: The underscore is no letter of host names, but names within a network have it.
_LABEL = re.compile(r"[a-z0-9_-]+", re.IGNORECASE)
#: What may stand in a path and a query as it is. A `%` is taken care of apart.
_SAFE = "/:@!$&'()*+,;=-._~?[]{}|^`\"<>\\"
_LONE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


def ascii_url(url: str) -> str:
    """The URL with its host in IDNA and its path percent-encoded; one that is ASCII already comes back unchanged.

    Raises ValueError, with a sentence for whoever entered it, if nothing could ever be delivered there.
    """
    if not url.isprintable() or " " in url:
        raise ValueError("Enter a valid URL, without spaces and control characters.")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError("Enter a valid URL: its host or its port cannot be read.") from None
    if parts.scheme not in {"http", "https"} or not host:
        raise ValueError("Enter a valid URL, with http or https.")
    if port == 0:
        raise ValueError("Enter a valid URL: nothing can listen on port 0.")
    found = _ascii_host(host)
    if not url.isascii():
        user, at, _ = parts.netloc.rpartition("@")
        where = f"[{found}]" if ":" in found else found
        netloc = f"{_encoded(user)}{at}{where}" + (f":{port}" if port is not None else "")
        url = urlunsplit((parts.scheme, netloc, _encoded(parts.path), _encoded(parts.query), ""))
    if len(url) > MAX_URL_CHARS:
        raise ValueError(f"Enter a URL of at most {MAX_URL_CHARS} characters, counted with its %-encoded form.")
    return url


def _ascii_host(host: str) -> str:
    if ":" in host:
        return _ipv6(host)
    labels = re.split("[.\u3002\uff0e\uff61]", host)
    if labels[-1] == "" and len(labels) > 1:
        labels.pop()  # the root's dot
    found = ".".join(map(_ascii_label, labels))
    if len(found) > _MAX_HOST:
        raise ValueError(f"Enter a valid URL: its host has more than {_MAX_HOST} characters.")
    return found


def _ascii_label(label: str) -> str:
    if not label.isascii():
        try:
            label = idna.encode(label, uts46=True, transitional=False).decode("ascii")
        except (idna.IDNAError, UnicodeError):
            raise ValueError("Enter a valid URL: its host is no international domain name.") from None
    if not label:
        raise ValueError("Enter a valid URL: its host has an empty label between two dots.")
    if len(label) > _MAX_LABEL:
        raise ValueError(f"Enter a valid URL: a label of its host has more than {_MAX_LABEL} characters.")
    if not _LABEL.fullmatch(label):
        raise ValueError("Enter a valid URL: its host has a character that host names cannot have.")
    return label


def _ipv6(host: str) -> str:
    try:
        if not host.isascii():  # the name of a zone, behind the address, may be anything otherwise
            raise ValueError
        return str(ipaddress.IPv6Address(host))
    except ValueError:
        raise ValueError("Enter a valid URL: its host is no IPv6 address.") from None


def _encoded(text: str) -> str:
    try:
        return quote(_LONE_PERCENT.sub("%25", text), safe=_SAFE + "%")
    except UnicodeError:
        raise ValueError("Enter a valid URL: it has a character that is no text.") from None
