"""/runtime/restore/next and /error exist for SnapStart alone, which is not emulated."""

from __future__ import annotations

from local.emulator.runtime_api.messages import Reply, Request, error_reply


def handle(request: Request) -> Reply:
    """Refuse: no environment is started from a snapshot."""
    return error_reply(403, "InvalidStateTransition", f"{request.path} needs SnapStart, which is not emulated")
