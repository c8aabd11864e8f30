"""What follows a chunked body is no header of the request: a proxy has not judged it, and no log shows it."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
import uvicorn

from forgetless.runtime.http_protocol import BoundedHttp
from local.emulator.servers import HttpServer, listen, port_of

_REQUEST = (
    b"POST / HTTP/1.1\r\nHost: localhost\r\nX-Here: 1\r\nTransfer-Encoding: chunked\r\nTrailer: X-API-Key\r\n\r\n"
    b"3\r\nabc\r\n0\r\nX-API-Key: secret\r\nX-Here: 2\r\n\r\n"
)


async def _shown(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer with the headers and the body of the request."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message["body"], message.get("more_body", False)
    shown = b";".join(name + b"=" + value for name, value in scope["headers"]) + b";" + body
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(shown))]})
    await send({"type": "http.response.body", "body": shown})


async def _exchange(listener: socket.socket) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(listener))
    writer.write(_REQUEST * 2)  # the second request of the connection has headers again
    answer = b""
    while answer.count(b";abc") < 2:
        answer += await asyncio.wait_for(reader.read(9000), 20)
    writer.close()
    return answer


async def _emulator() -> bytes:
    with listen("127.0.0.1", 0) as listener:
        server = HttpServer(_shown, listener)
        await server.start()
        answer = await _exchange(listener)
        await server.stop()
    return answer


async def _serve() -> bytes:
    with listen("127.0.0.1", 0) as listener:
        server = uvicorn.Server(uvicorn.Config(_shown, http=BoundedHttp, lifespan="off", log_config=None))
        task = asyncio.create_task(server.serve(sockets=[listener]))
        answer = await _exchange(listener)
        server.should_exit = True
        await task
    return answer


@pytest.mark.parametrize("served", [_emulator, _serve])
def test_trailers_are_no_headers(served: Any) -> None:
    answer = asyncio.run(served()).lower()
    assert (answer.count(b"x-here=1;"), answer.count(b"trailer=x-api-key;")) == (2, 2)
    assert b"x-here=2" not in answer
    assert b"secret" not in answer
