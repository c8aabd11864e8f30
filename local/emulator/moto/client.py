"""Calls to moto over plain HTTP: importing boto3 would make every start of the emulator slower."""

from __future__ import annotations

import json
from typing import Any

import httpx

__all__ = ["MotoClient", "MotoError"]


class MotoError(Exception):
    """moto refused a call; the text is its own."""


class MotoClient:
    """Calls of one region; moto reads service and region from the signature, and checks no signature."""

    def __init__(self, http: httpx.AsyncClient, url: str, region: str) -> None:
        self._http, self._url, self._region = http, url, region

    async def form(self, service: str, action: str, version: str, **members: str) -> str:
        """Make a call of a service of forms and XML; raises MotoError."""
        data = {"Action": action, "Version": version, **members}
        return await self._send("POST", "/", service, data=data)

    async def json(self, service: str, target: str, members: dict[str, Any]) -> dict[str, Any]:
        """Make a call of a service of JSON; raises MotoError."""
        headers = {"x-amz-target": target, "content-type": "application/x-amz-json-1.0"}
        answer = await self._send("POST", "/", service, content=json.dumps(members), headers=headers)
        read: dict[str, Any] = json.loads(answer or "{}")
        return read

    async def put(self, service: str, path: str, body: str) -> None:
        """Put a document; raises MotoError."""
        await self._send("PUT", path, service, content=body)

    async def _send(self, method: str, path: str, service: str, **given: Any) -> str:
        scope = f"Credential=local/20260101/{self._region}/{service}/aws4_request"
        headers = {"authorization": f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=none"}
        try:
            answer = await self._http.request(
                method, self._url + path, **{**given, "headers": headers | given.get("headers", {})}
            )
        except httpx.HTTPError as error:
            raise MotoError(f"moto does not answer: {error!r}") from error
        if answer.status_code >= httpx.codes.BAD_REQUEST:
            raise MotoError(answer.text[:500])
        return answer.text
