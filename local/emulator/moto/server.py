"""The command of moto's process: serve, by default on a free port of this machine, and print the port.

`python -m moto.server` does not say which port it took, and answers requests to DynamoDB side by side, though its
transactions copy whole tables: what another request changes meanwhile makes them fail.
"""

from __future__ import annotations

import argparse
import json
import logging
import threading
from collections.abc import Iterable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

__all__ = ["OneAtATime", "main"]


class OneAtATime:
    """moto's application, which gets one request to DynamoDB after the other, and all others at once."""

    def __init__(self, application: Any) -> None:
        self._application = application
        self._one = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if not environ.get("HTTP_X_AMZ_TARGET", "").startswith("DynamoDB"):
            answer: Iterable[bytes] = self._application(environ, start_response)
            return answer
        with self._one:
            return list(self._application(environ, start_response))


def main() -> None:
    """Serve until somebody ends the process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes any free one")
    options = parser.parse_args()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # no line for every call
    application = OneAtATime(DomainDispatcherApplication(create_backend_app))
    server = make_server(options.host, options.port, application, threaded=True, request_handler=MotoRequestHandler)
    print(json.dumps({"port": server.server_address[1]}), flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
