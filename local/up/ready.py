"""Finds out whether a part is ready: by a JSON line in its log, or by a URL that answers 200."""

from __future__ import annotations

import json

import httpx

from local.up.parts import Part
from local.up.process import Child

__all__ = ["Probe"]

#: Seconds that one request to a URL may take; they include a cold start of a function.
_LOOK_SECONDS = 10.0


class Probe:
    """Watches the start of a part until it is ready; ``waiting_for`` says what is missing."""

    def __init__(self, part: Part, child: Child, client: httpx.AsyncClient) -> None:
        self.waiting_for = ""
        self._part = part
        self._child = child
        self._client = client
        self._said_ready = not part.ready_line

    async def ready(self) -> bool:
        """Return whether the part can be used now."""
        self._said_ready = self._said_ready or any(map(_says_ready, self._child.lines()))
        if not self._said_ready:
            return False
        return self._part.ready_url is None or await self._answers(self._part.ready_url)

    async def _answers(self, url: str) -> bool:
        try:
            answer = await self._client.get(url, timeout=_LOOK_SECONDS)
        except httpx.HTTPError as error:
            self.waiting_for = f"{url}: {type(error).__name__}"
            return False
        self.waiting_for = f"{url} says {answer.status_code} {answer.text[:200]}"
        return answer.status_code == httpx.codes.OK


def _says_ready(line: str) -> bool:
    if not line.startswith("{"):
        return False
    try:
        found = json.loads(line)
    except ValueError:
        return False
    return isinstance(found, dict) and found.get("ready") is True
