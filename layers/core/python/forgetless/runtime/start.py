"""The start of a Lambda environment: sets up logs and metrics, and names any variable that is wrong or missing."""

from __future__ import annotations

import contextlib
import gc
import os
import random
import signal
from collections.abc import Mapping
from types import FrameType

from forgetless.domain.errors import InvalidRequestError
from forgetless.runtime.logs import share_config
from forgetless.runtime.metrics import begin_metrics
from forgetless.runtime.settings import Settings, load_settings

__all__ = [
    "REQUIRED",
    "check_environment",
    "collect_from_now_on",
    "end_by_exception",
    "keep_private",
    "prepare_snapshots",
    "start",
    "start_server",
]

#: Settings whose defaults make sense only on one machine, so they are required with the DynamoDB ledger.
REQUIRED = (
    "FORGETLESS_LEDGER_TABLE",
    "FORGETLESS_ERASURES_TABLE",
    "FORGETLESS_QUEUE_URL",
    "FORGETLESS_BULK_QUEUE_URL",
    "FORGETLESS_MILVUS_URI",
    "FORGETLESS_EMBEDDER_URL",
)
_QUEUES = ("FORGETLESS_QUEUE_URL", "FORGETLESS_BULK_QUEUE_URL")
#: Garbage is looked for after as many new objects.
_OBJECTS = 50_000


def start() -> Settings:
    """Every function calls this once, before its first event. It opens no connection, because of SnapStart."""
    keep_private()
    settings = check_environment()
    share_config()
    begin_metrics(settings)
    prepare_snapshots(settings)
    collect_from_now_on()
    return settings


def collect_from_now_on() -> None:
    """Collect garbage again, which a function pauses while it imports; what is loaded by now is left out."""
    gc.freeze()
    # Python's own threshold is 2,000, and the first request loads the clients of Milvus and DynamoDB.
    gc.set_threshold(_OBJECTS)
    gc.enable()


def start_server() -> Settings:
    """A server or worker process calls this once. Unlike functions, it does without queues."""
    keep_private()
    settings = check_environment(queues=False)
    share_config()
    begin_metrics(settings)
    return settings


def keep_private() -> None:
    """A process calls this once at its start, so that no other user of the machine can read the files it makes."""
    os.umask(0o077)


def end_by_exception() -> None:
    """Let a process that is told to end (SIGTERM) end by an exception, so that it releases what it holds."""

    def end(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise SystemExit(0)

    with contextlib.suppress(ValueError):  # only the main thread may do this; in a test it may be another
        signal.signal(signal.SIGTERM, end)


def prepare_snapshots(settings: Settings) -> None:
    """Complete the snapshot of SnapStart, and give each environment restored from it its own random numbers.

    Without the first, each environment would import the clients of ledger and index with its first request.

    All environments of a version start from one snapshot and so with the same state of `random`. Without new seeds,
    their pauses after a conflict would be equal, and they would conflict again each time. Ids are not affected,
    because they come from the operating system.
    """
    try:
        from snapshot_restore_py import (  # noqa: PLC0415 - exists only in Lambda's runtime
            register_after_restore,
            register_before_snapshot,
        )
    except ImportError:
        return
    register_before_snapshot(_load_clients, settings)
    register_after_restore(random.seed)


def _load_clients(settings: Settings) -> None:
    from forgetless.runtime.composition import load_clients  # noqa: PLC0415 - functions have loaded it by now

    load_clients(settings)
    collect_from_now_on()


def check_environment(environ: Mapping[str, str] = os.environ, *, queues: bool = True) -> Settings:
    """The settings; raises InvalidRequestError, which names the missing variables or one with a wrong value."""
    settings = load_settings(environ)
    required = [name for name in REQUIRED if queues or name not in _QUEUES]
    missing = [name for name in required if not environ.get(name, "").strip()]
    if settings.ledger != "sqlite" and missing:
        raise InvalidRequestError(f"set {', '.join(missing)}: FORGETLESS_LEDGER=dynamodb requires it")
    return settings
