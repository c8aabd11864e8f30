"""The command `down`: ends the processes of an `up`, also of one that was killed and could not do it itself."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from local.up.errors import UpError
from local.up.identity import end_all
from local.up.keys import forget_given
from local.up.record import is_locked, read_record

__all__ = ["clean_up", "down"]

#: Seconds for an `up` to stop its parts in order; the gateway may finish requests.
_STOP_SECONDS = 60.0
_PART_SECONDS = 10.0


def down(state: Path, *, stop_seconds: float = _STOP_SECONDS) -> str:
    """Stop the `up` of this state folder and return what was done; raises UpError when a process stays."""
    record = read_record(state)
    if not is_locked(state):
        ended = clean_up(state)
        return f"Ended what a killed `make up` left: {', '.join(ended)}." if ended else "Nothing is running."
    owner = record.owner if record else None
    if owner is None:
        raise UpError(f"an `up` holds {state / 'up.lock'} but has not said who it is; try again in a second")
    owner.send(signal.SIGTERM)
    deadline = time.monotonic() + stop_seconds
    while owner.alive() and time.monotonic() < deadline:
        time.sleep(0.05)
    if owner.alive():
        end_all([owner], grace=0.0)
    clean_up(state)
    return "Stopped."


def clean_up(state: Path, *, grace: float = _PART_SECONDS) -> list[str]:
    """End the recorded parts of an `up` that has ended and return their names. Raises UpError when one stays."""
    record = read_record(state)
    if record is None:
        return []
    left = {name: identity for name, identity in record.parts.items() if identity.alive()}
    survivors = end_all(left.values(), grace=grace)
    if survivors:
        pids = ", ".join(str(identity.pid) for identity in survivors)
        raise UpError(f"processes of an earlier `make up` cannot be ended (pid {pids}); end them yourself")
    forget_given(state)
    record.remove()
    return list(left)
