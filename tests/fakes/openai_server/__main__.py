"""Starts the fake server by hand: `python -m tests.fakes.openai_server --like gemini --port 8001`.

Embeddings are as the server of --like gives them. Chat is as that of the first part of the path gives it.
"""

from __future__ import annotations

import argparse
import threading

from tests.fakes.openai_server.chat import CHAT_SERVERS, ChatServers
from tests.fakes.openai_server.embeddings import DIMENSIONS, KEY, SERVERS
from tests.unit.servers import Answer, Request, serve


def main() -> None:
    """Serve until Ctrl-C, and say which settings lead here."""
    parser = argparse.ArgumentParser(prog="python -m tests.fakes.openai_server", description=__doc__)
    parser.add_argument("--like", choices=sorted(SERVERS), default="openai", help="the server to behave like")
    parser.add_argument("--port", type=int, default=0, help="the port; a free one if it is left out")
    asked = parser.parse_args()
    chat, embeddings = ChatServers(), SERVERS[asked.like]

    def answer(request: Request) -> Answer:
        return chat(request) if request.path.partition("?")[0].endswith("/chat/completions") else embeddings(request)

    with serve(answer, port=asked.port) as server:
        print(f"FORGETLESS_EMBEDDER_URL='{server.url}{SERVERS[asked.like].address}'")
        print(f"FORGETLESS_EMBEDDER_API_KEY='{KEY}' FORGETLESS_EMBEDDING_DIMENSIONS={DIMENSIONS}", flush=True)
        for name, (path, _) in CHAT_SERVERS.items():
            print(f"OPENAI_BASE_URL={server.url}/{name}{path}", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            for request in server.requests:
                texts = len(request.body.get("input", [])) if isinstance(request.body, dict) else 0
                print(request.path, f"{texts} texts", sorted(set(request.body or {}) - {"input", "model"}))


main()
