"""The command `serve`: the API under uvicorn and its background work as one tree of processes, without functions."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence

from forgetless.cli.text import printable_lines
from forgetless.domain.errors import InvalidRequestError
from forgetless.runtime.background_work import background_work, running
from forgetless.runtime.composition import services
from forgetless.runtime.metrics import showing_metrics
from forgetless.runtime.process_tree import Member, ProcessTree, end_with_parent
from forgetless.runtime.settings import Settings
from forgetless.runtime.start import start_server

__all__ = ["add_serve_command"]

OK = 0
#: How many connections wait until a process takes them, for example while it is restarted.
_BACKLOG = 2048
#: A request may take 25 seconds; what takes longer than this is cut off when the server stops.
_DRAIN_S = 28
_PROBE_S, _PROBE_TIMEOUT_S = 0.2, 2.0
_API, _WORKER = "api", "worker"


def add_serve_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    serve = commands.add_parser(
        "serve",
        help="run the service on this machine: the API under uvicorn, sweep, jobs and webhooks",
        description="Starts the processes of the API and one that sweeps, runs jobs and delivers webhooks; restarts "
        "one that dies; ends them all with SIGTERM or Ctrl-C. SIGHUP restarts them in turn, and no connection is "
        "refused meanwhile. Milvus and the embedder must run: docs/server.md.",
    )
    serve.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    serve.add_argument("--port", type=int, default=3000, help="the port to listen on (default: %(default)s)")
    serve.add_argument("--processes", type=_count, default=1, help="processes of the API (default: %(default)s)")
    serve.add_argument("--only", choices=(_API, _WORKER), help="run one part, where each has a container of its own")
    serve.add_argument(
        "--trust-proxy",
        metavar="ADDRESSES",
        help="addresses of proxies, separated by commas, whose X-Forwarded-For names the client",
    )
    serve.add_argument(
        "--no-check", action="store_true", help="do not compare ledger and index first (forgetless reindex --if-needed)"
    )
    # What the tree passes to its members: that they are, and the socket of the API.
    serve.add_argument("--member", action="store_true", help=argparse.SUPPRESS)
    serve.add_argument("--fd", type=int, help=argparse.SUPPRESS)
    serve.set_defaults(run=_serve)


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return count


def _serve(_settings: Settings, options: argparse.Namespace) -> int:
    if options.only == _API:
        os.environ["FORGETLESS_BACKGROUND"] = "0"
    started = start_server()  # a wrong setting is said here once, not by each process
    if options.member:
        end_with_parent()
    if options.only == _WORKER:
        return _work(started)
    if options.fd is not None:
        return _answer(socket.socket(fileno=options.fd), options)
    listening = _listen(options.host, options.port)
    if options.only == _API and options.processes == 1:
        return _answer(listening, options)
    if options.only is None and not options.no_check and (code := _check_stores()):
        return code
    return _tree(listening, started, options)


def _tree(listening: socket.socket, settings: Settings, options: argparse.Namespace) -> int:
    itself = [sys.executable, "-m", "forgetless.cli", "serve", "--member"]
    answer = [*itself, "--only", _API, "--fd", str(listening.fileno())]
    if options.trust_proxy:
        answer += ["--trust-proxy", options.trust_proxy]
    members = [
        Member(f"{_API}-{number + 1}", answer, _environment(settings, number), [listening.fileno()])
        for number in range(options.processes)
    ]
    if options.only is None:
        members.append(Member(_WORKER, [*itself, "--only", _WORKER], _environment(settings, options.processes)))
    stopped = threading.Event()
    threading.Thread(target=_announce, args=(listening.getsockname(), stopped), daemon=True).start()
    try:
        return ProcessTree(members).run()
    finally:
        stopped.set()
        _tell_systemd("STOPPING=1")


def _environment(settings: Settings, number: int) -> dict[str, str]:
    """The environment of a member. Each has a port of its own for metrics: the configured one and those after it."""
    host, port = settings.metrics_place
    return {**os.environ, "FORGETLESS_METRICS_ADDRESS": f"{f'[{host}]' if ':' in host else host}:{port + number}"}


def _check_stores() -> int:
    """Compare ledger and index as `make up` does; returns the exit code. A process of its own gives its memory back."""
    return subprocess.run([sys.executable, "-m", "forgetless.cli", "reindex", "--if-needed"], check=False).returncode


def _answer(listening: socket.socket, options: argparse.Namespace) -> int:
    """Answer requests on the socket until SIGTERM."""
    import uvicorn  # noqa: PLC0415 - the functions have no uvicorn

    from forgetless.runtime.http_protocol import BoundedHttp, allow_connections  # noqa: PLC0415

    allow_connections()
    config = uvicorn.Config(
        "forgetless.asgi:create",
        http=BoundedHttp,
        ws="none",  # the API has no WebSockets
        factory=True,
        access_log=False,
        log_level="warning",
        proxy_headers=options.trust_proxy is not None,
        forwarded_allow_ips=options.trust_proxy or "",
        timeout_graceful_shutdown=_DRAIN_S,
        server_header=False,
    )
    uvicorn.Server(config).run(sockets=[listening])
    return OK


def _work(settings: Settings) -> int:
    """Do the background work until SIGTERM."""
    from forgetless.runtime.http_protocol import allow_connections  # noqa: PLC0415 - the functions have no uvicorn

    allow_connections()
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    with showing_metrics(settings), running(background_work(settings, services)):
        stopped.wait()
    return OK


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except (OSError, OverflowError) as error:
        listening.close()
        reason = error.strerror if isinstance(error, OSError) else "a port is a number from 0 to 65535"
        raise InvalidRequestError(f"cannot listen on {host}, port {port}: {reason}; choose --host and --port") from None
    listening.listen(_BACKLOG)
    return listening


def _announce(address: Sequence[object], stopped: threading.Event) -> None:
    """Say once that requests are answered, to the terminal and to systemd (`Type=notify`)."""
    import httpcore  # noqa: PLC0415

    host, port = str(address[0]), address[1]
    near = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - asks, and does not listen
    url = f"http://{f'[{near}]' if ':' in near else near}:{port}"
    timeouts = dict.fromkeys(("connect", "read", "write", "pool"), _PROBE_TIMEOUT_S)
    while not stopped.wait(_PROBE_S):
        try:
            httpcore.request("GET", f"{url}/health", extensions={"timeout": timeouts})
        except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError):
            continue
        print(printable_lines(f"Forgetless is ready: {url}"), flush=True)
        _tell_systemd("READY=1")
        return


def _tell_systemd(state: str) -> None:
    """Tell systemd the state of the service; see sd_notify(3). Elsewhere nothing happens."""
    if address := os.environ.get("NOTIFY_SOCKET"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as telling:
            telling.connect(f"\0{address[1:]}" if address.startswith("@") else address)
            telling.sendall(state.encode())
