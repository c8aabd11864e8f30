"""The command of moto's process: serve on a free port of this machine and print it.

`python -m moto.server` does not say which port it took.
"""

from __future__ import annotations

import json
import logging
import signal

from moto.moto_server.threaded_moto_server import ThreadedMotoServer


def main() -> None:
    """Serve until somebody ends the process."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # no line for every call
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    print(json.dumps({"port": port}), flush=True)
    signal.pause()


if __name__ == "__main__":
    main()
