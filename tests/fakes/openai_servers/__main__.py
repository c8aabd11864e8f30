"""Starts the servers by hand: python -m tests.fakes.openai_servers --port 8091"""

from __future__ import annotations

import argparse

import uvicorn
from starlette.applications import Starlette

from tests.fakes.openai_servers.chat import CHAT_SERVERS, ChatCalls, chat_routes


def main() -> None:
    """Serve until interrupted."""
    paths = "\n".join(f"  OPENAI_BASE_URL=http://HOST:PORT/{name}{path}" for name, (path, _) in CHAT_SERVERS.items())
    parser = argparse.ArgumentParser(
        prog="python -m tests.fakes.openai_servers",
        description="Behaves like the OpenAI-compatible servers of many makers, each below a path of its own.",
        epilog=f"Chat servers:\n{paths}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    parser.add_argument("--port", type=int, default=8091, help="port to listen on (default %(default)s)")
    options = parser.parse_args()
    app = Starlette(routes=chat_routes(ChatCalls()))
    uvicorn.run(app, host=options.host, port=options.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
