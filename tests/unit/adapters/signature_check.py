"""A server's side of SigV4, from its published description and without botocore: whether a request is signed."""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, urlsplit

from tests.unit.servers import Request

__all__ = ["fault_of"]

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=[^/]+/(?P<scope>(?P<day>\d{8})/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request), "
    r"SignedHeaders=(?P<signed>[^,]+), Signature=(?P<signature>[0-9a-f]{64})"
)  # fmt: skip
#: What a request must have signed.
_NEEDED = {"host", "x-amz-date", "content-type"}
#: Seconds that a signature is good for.
_GOOD_S = 300


def fault_of(request: Request, secret: str, *, region: str, service: str, token: str = "") -> str | None:
    """Why the request would be refused, or None."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    found = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
    if found is None:
        return "no signature"
    if (found["region"], found["service"]) != (region, service):
        return f"signed for {found['service']} in {found['region']}"
    signed = found["signed"].split(";")
    if not set(signed) >= _NEEDED | ({"x-amz-security-token"} if token else set()):
        return f"signed are {signed} only"
    if token and headers.get("x-amz-security-token") != token:
        return "another token"
    at = datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    if abs((datetime.now(UTC) - at).total_seconds()) > _GOOD_S or not headers["x-amz-date"].startswith(found["day"]):
        return "signed at another time"
    text = _to_sign(request, headers, signed, found["scope"])
    key = f"AWS4{secret}".encode()
    for part in found["scope"].split("/"):
        key = hmac.digest(key, part.encode(), hashlib.sha256)
    expected = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    return None if hmac.compare_digest(expected, found["signature"]) else "the signature does not match"


def _to_sign(request: Request, headers: dict[str, str], signed: list[str], scope: str) -> str:
    parts = urlsplit(request.path)
    query = sorted((quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in parse_qsl(parts.query))
    canonical = [
        "POST",
        quote(parts.path, safe="/-_.~"),
        "&".join(f"{name}={value}" for name, value in query),
        *(f"{name}:{' '.join(headers[name].split())}" for name in signed),
        "",
        ";".join(signed),
        hashlib.sha256(request.raw).hexdigest(),
    ]
    digest = hashlib.sha256("\n".join(canonical).encode()).hexdigest()
    return "\n".join(["AWS4-HMAC-SHA256", headers["x-amz-date"], scope, digest])
