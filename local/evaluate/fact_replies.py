"""An LLM for evaluations: it extracts from each message the facts that the conversation names, and nothing else."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from local.evaluate.conversations import Conversation

__all__ = ["fact_replies"]

_DATA = re.compile(r"<data>(.*?)</data>", re.DOTALL)


@contextmanager
def fact_replies(conversations: Iterable[Conversation]) -> Iterator[str]:
    """Serve on a free port until the block ends; gives the address for OPENAI_BASE_URL."""
    facts = {
        turn.text: [fact.text for fact in turn.facts] for conversation in conversations for turn in conversation.turns
    }

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            payload = json.dumps(_completion(_reply(asked, facts))).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, *_: Any) -> None:
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _reply(asked: Mapping[str, Any], facts: Mapping[str, Sequence[str]]) -> str:
    """The facts of the new messages in the form that the service's prompt asks for."""
    content = "\n".join(str(message["content"]) for message in asked["messages"] if message["role"] == "user")
    found = _DATA.search(content)
    messages = json.loads(found.group(1))["new_messages"] if found else []
    said = [
        {"text": text, "attributed_to": message["role"], "supersedes": [], "sources": [message["number"]]}
        for message in messages
        for text in facts.get(message["text"], ())
    ]
    return json.dumps({"facts": said}, ensure_ascii=False)


def _completion(content: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": content}
    usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    return {"choices": [{"index": 0, "finish_reason": "stop", "message": message}], "usage": usage}
