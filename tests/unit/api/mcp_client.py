"""The official MCP client over the application in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from tests.unit.api.client import ADMIN

__all__ = ["connected"]


@asynccontextmanager
async def connected(
    app: Any, *, key: str = ADMIN, mode: Any = "auto", query: str = "", base: str = "http://forgetless.test"
) -> AsyncIterator[Client]:
    """A client that has agreed on a protocol; `app` None goes over the network to `base`."""
    transport = None if app is None else httpx2.ASGITransport(app)
    headers = {"Authorization": f"Bearer {key}"}
    async with (
        httpx2.AsyncClient(transport=transport, headers=headers, timeout=60) as http,
        Client(streamable_http_client(f"{base}/mcp{query}", http_client=http), mode=mode) as client,
    ):
        yield client
