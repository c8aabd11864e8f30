"""SQS for tests: the emulator's server over a file, without the rest of the emulator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from local.emulator.specs import Place
from local.emulator.sqs.app import QueueServer
from local.emulator.sqs.operations import Operations
from local.emulator.sqs.service import QueueService
from local.emulator.sqs.store import Store
from tests.unit.servers import free_socket, serve_app

__all__ = ["serve_queues"]


@contextmanager
def serve_queues(file: Path) -> Iterator[str]:
    """Its address, on a free port."""
    service = QueueService(Store(file))

    async def status() -> dict[str, Any]:
        return {}

    with free_socket() as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        app = QueueServer(Operations(service, Place(queue_url=url)), status)
        with serve_app(app, listener) as endpoint:
            yield endpoint
    service.close()
