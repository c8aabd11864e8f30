"""Start of a Lambda environment: logs are set up, and a wrong or missing variable stops it with its name."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping

from forgetless.domain.errors import InvalidRequestError
from forgetless.runtime.logs import share_config
from forgetless.runtime.settings import Settings, load_settings

__all__ = ["REQUIRED", "check_environment", "keep_private", "reseed_after_restore", "start"]

#: What has no sensible default but on one machine: required beside the deployed ledger.
REQUIRED = ("FORGETLESS_LEDGER_TABLE", "FORGETLESS_QUEUE_URL", "FORGETLESS_MILVUS_URI", "FORGETLESS_EMBEDDER_URL")


def start() -> Settings:
    """Called once by every entry point, before its first event; opens no connection (SnapStart)."""
    keep_private()
    settings = check_environment()
    share_config()
    reseed_after_restore()
    return settings


def keep_private() -> None:
    """Called once when a process starts: what it makes, the ledger above all, no other user of the machine can read."""
    os.umask(0o077)


def reseed_after_restore() -> None:
    """Give each environment that SnapStart restores random numbers of its own.

    All environments of a version come from one snapshot, and with it they get the state of `random`. They would pause
    alike between the tries of a conflict, and meet again each time. Ids come from the operating system and differ.
    """
    try:
        from snapshot_restore_py import register_after_restore  # noqa: PLC0415 - Lambda's runtime alone brings it
    except ImportError:
        return
    register_after_restore(random.seed)


def check_environment(environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings; raises InvalidRequestError naming the variables that are missing, or one whose value is wrong."""
    settings = load_settings(environ)
    missing = [name for name in REQUIRED if not environ.get(name, "").strip()]
    if settings.ledger != "sqlite" and missing:
        raise InvalidRequestError(f"set {', '.join(missing)}: FORGETLESS_LEDGER=dynamodb needs it")
    return settings
