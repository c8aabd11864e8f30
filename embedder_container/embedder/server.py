"""Runs the service under uvicorn: verifies the model, opens the port, and answers requests until SIGTERM."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import socket
import sys
import tempfile
import threading

import uvicorn
from uvicorn.supervisors import Multiprocess

from .errors import EmbedderError
from .http.app import App
from .http.protocol import BoundedHttp, allow_connections
from .manifest import verify_folder
from .metrics import SHARED_FOLDER
from .model import load_model
from .service import Embedding
from .settings import Settings, read_settings, to_environment

__all__ = ["app_from_environment", "create_app", "serve"]


def create_app(settings: Settings) -> App:
    """Open the model of ``settings`` and return the application. Raises ModelFolderError."""
    model, manifest = load_model(settings.model_path, settings.max_tokens)
    return App(Embedding(model, manifest, settings))


def app_from_environment() -> App:
    """Return the application of the environment's settings; each process of several calls this."""
    _end_with_parent()
    return create_app(read_settings(os.environ))


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; open requests are then answered within ``drain_secs``."""
    # The first process of a container ignores signals without a handler, also while the model loads.
    before = signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
    try:
        _serve(settings)
    finally:
        signal.signal(signal.SIGTERM, before)


def _serve(settings: Settings) -> None:
    # The tokenizer's own threads would compete with the workers for the cores.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    allow_connections()
    several = settings.processes > 1
    # With several processes the model is only verified here: each of them opens its own.
    app = None if several else create_app(settings)
    if several:
        verify_folder(settings.model_path)
        os.environ.update(to_environment(settings))
    config = uvicorn.Config(
        app or "embedder.server:app_from_environment",
        factory=several,
        workers=settings.processes,
        loop="uvloop",
        http=BoundedHttp,
        ws="none",
        lifespan="on",
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=settings.drain_secs,
    )
    listener = _listen(settings)
    host, port = listener.getsockname()[:2]
    print(f"embedder: serving {settings.model_path.name} on {host}:{port}", flush=True)

    if several:
        with tempfile.TemporaryDirectory(prefix="embedder-metrics-") as folder:
            os.environ[SHARED_FOLDER] = folder
            Multiprocess(config, sockets=[listener]).run()
    else:
        uvicorn.Server(config).run(sockets=[listener])


def _end_with_parent() -> None:
    """Stop gracefully when the parent process has ended, even if it was killed."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def _listen(settings: Settings) -> socket.socket:
    try:
        return socket.create_server((settings.host, settings.port), backlog=2048)
    except OSError as error:
        raise EmbedderError(
            f"cannot listen on {settings.host}:{settings.port} ({error.strerror}); "
            "choose another with --port or EMBEDDER_PORT"
        ) from None
