"""An OpenAI-compatible server in this process that answers extractions from a file instead of from a model."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["Asked", "canned_llm"]

#: The data of a prompt of the service, as an object.
Asked = Mapping[str, Any]

_DATA = re.compile(r"<data>\n(.*)\n</data>", re.DOTALL)


@contextmanager
def canned_llm(reply: Callable[[Asked], str]) -> Iterator[str]:
    """Serve on a free port until the block ends; gives the address for OPENAI_BASE_URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            payload = json.dumps(_completion(reply(_data(asked)))).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, *_: Any) -> None:
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _data(asked: Mapping[str, Any]) -> Asked:
    """What stands between the tags of the newest user message that has them; empty without one."""
    said = [str(message["content"]) for message in asked["messages"] if message["role"] == "user"]
    found = next((match for text in reversed(said) if (match := _DATA.search(text))), None)
    return dict(json.loads(found.group(1))) if found else {}


def _completion(content: str) -> dict[str, Any]:
    # Without `usage`, so that nobody takes figures of a file for those of a model.
    return {"choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}}]}
