"""Changed forms, registrations and headers for the OAuth endpoints, which anybody may call: no answer is a 5xx."""

from __future__ import annotations

import base64
import json
import random
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from starlette.testclient import TestClient

from forgetless.api.app import create_app
from forgetless.domain.keys import Role
from tests.fuzz.random_json import mutated, odd
from tests.fuzz.targets import FaultFoundError
from tests.unit.api.client import MEMBER, put_key
from tests.unit.service.world import World, make_world

__all__ = ["OAuthFuzz"]

_FORM = "application/x-www-form-urlencoded"
_MEDIA = (
    _FORM, f"{_FORM}; charset=undefined", "multipart/form-data; boundary=b", "multipart/form-data",
    "multipart/form-data; boundary=b; charset=undefined", "multipart/form-data; boundary=b; charset=punycode",
    "application/json", "\xff;=", "",
)  # fmt: skip
_HOSTS = ("memories.example", "[::1]:80", "[half", 'a"b', "a/b?c#d@e", "\xe9", "x:99999", "", "a%00b")
_ADDRESSES = (
    "http://localhost/cb", "https://claude.ai/cb", "https:claude.ai", "https://claude.ai\\@evil.example/",
    "https://claude.ai@evil.example/", "cursor:x\r\ny", "http://[::1]:5/", "https://[half", "javascript:1", "",
)  # fmt: skip
_VERIFIER = "v" * 43
_CHALLENGE = "7w_YNF9DSfIdPf_pRjSq646_kPr-2-o9NAl16JGghdM"
_ALLOWED = frozenset({"localhost", "claude.ai", "::1"})


class OAuthFuzz:
    """Every endpoint of OAuth, with values of a log-in that works."""

    name = "oauth"

    def __init__(self, folder: Path) -> None:
        self._world: World = make_world(Path(tempfile.mkdtemp(dir=folder)))
        put_key(self._world, MEMBER, "default", Role.WRITE)
        services = self._world.services
        app = create_app(lambda: services, inline=True, mcp=True, oauth_redirects=["claude.ai", "cursor:"])
        self._http = TestClient(app, follow_redirects=False, raise_server_exceptions=False)
        self._values = self._log_in()

    def case(self, rng: random.Random) -> str:
        name = rng.choice(("authorize", "login", "page", "register", "revoke", "token"))
        headers = {b"Host": rng.choice(_HOSTS).encode("latin-1")} if rng.random() < 0.3 else {}
        if rng.random() < 0.2:
            headers[b"Authorization"] = self._authorization(rng)
        if name in {"authorize", "page"}:
            method = rng.choice(("GET", "GET", "HEAD"))
            path = "/oauth/authorize" if name == "authorize" else "/oauth/login"
            content, query = b"", self._form(rng).decode("ascii")
        else:
            method, path, query = "POST", f"/oauth/{name}", ""
            content = self._registration(rng) if name == "register" else self._form(rng)
            media = _FORM if rng.random() < 0.7 else rng.choice(_MEDIA)
            headers[b"Content-Type"] = media.encode("latin-1")
        sent = self._http.request(method, f"{path}?{query}", content=content, headers=headers)
        shown = f"{method} {path}?{query} {headers} {content!r}"
        if sent.status_code >= 500:
            raise FaultFoundError(f"{shown}: {sent.status_code} {sent.content[:500]!r}")
        _judge_place(shown, sent.headers.get("location", ""))
        return f"{sent.status_code // 100}xx"

    def close(self) -> None:
        self._http.close()
        self._world.services.close()
        self._world.ledger.close()

    def _log_in(self) -> dict[str, str]:
        """The values of a log-in: client, request, key, code and refresh token."""
        body = {"redirect_uris": ["http://localhost/cb"], "token_endpoint_auth_method": "none"}
        values = {
            "client_id": self._http.post("/oauth/register", json=body).json()["client_id"],
            "redirect_uri": "http://localhost/cb",
            "response_type": "code",
            "code_challenge": _CHALLENGE,
            "code_verifier": _VERIFIER,
            "state": "s",
            "key": MEMBER,
        }
        page = self._http.get("/oauth/authorize", params=values).headers["location"]
        values["request"] = parse_qs(urlsplit(page).query)["request"][0]
        sent = self._http.post("/oauth/login", data=values).headers["location"]
        values["code"] = parse_qs(urlsplit(sent).query)["code"][0]
        tokens = self._http.post("/oauth/token", data={**values, "grant_type": "authorization_code"}).json()
        return {**values, "refresh_token": tokens["refresh_token"], "token": tokens["access_token"]}

    def _form(self, rng: random.Random) -> bytes:
        fields: list[tuple[str, Any]] = [
            *self._values.items(),
            ("grant_type", rng.choice(("authorization_code", "refresh_token"))),
        ]
        for _ in range(rng.randrange(3)):
            place = rng.randrange(len(fields))
            other = rng.choice((_text(odd(rng)), rng.choice(_ADDRESSES), rng.choice([*self._values.values()])))
            fields[place] = (fields[place][0], other)
        if rng.random() < 0.1:
            fields.append(rng.choice(fields))
        if rng.random() < 0.2:
            fields.pop(rng.randrange(len(fields)))
        text = urlencode(fields).encode("ascii")
        return text + rng.choice((b"&%ff%00=%ed%a0%80", b"&&=", b"&a=%")) if rng.random() < 0.2 else text

    def _registration(self, rng: random.Random) -> bytes:
        body: Any = {
            "redirect_uris": [rng.choice(_ADDRESSES), "http://localhost/cb"],
            "token_endpoint_auth_method": rng.choice(("none", "client_secret_post", "client_secret_basic")),
            "client_name": "Host",
            "grant_types": ["authorization_code", "refresh_token"],
            "jwks": {"keys": []},
        }
        text = json.dumps(mutated(rng, body), ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")
        return text[: rng.randrange(len(text))] if rng.random() < 0.05 else text

    def _authorization(self, rng: random.Random) -> bytes:
        client = rng.choice((self._values["client_id"], "x", "\xff"))
        named = base64.b64encode(f"{client}:s".encode("latin-1"))
        return rng.choice((b"Basic " + named, b"Basic !", b"Basic", b"Bearer " + self._values["token"].encode()))


def _judge_place(shown: str, where: str) -> None:
    """Raise FaultFoundError if a browser is sent to anybody who is not allowed."""
    parts = urlsplit(where)
    if where and parts.scheme not in {"", "cursor"} and parts.hostname not in _ALLOWED:
        raise FaultFoundError(f"{shown}: sends to {where}")


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode("utf-8", "replace").decode()[:2000]
