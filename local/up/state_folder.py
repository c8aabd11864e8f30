"""Makes the state folder for its owner only, or says in one line why it cannot be used and what to do."""

from __future__ import annotations

import os
from pathlib import Path

from local.private_files import private_folder
from local.up.errors import UpError

__all__ = ["open_state", "unusable"]


def open_state(state: Path) -> None:
    """Make the state folder, or make an existing one private; raises UpError."""
    try:
        private_folder(state, ours=("up.lock", "ledger.db"))
    except OSError as error:
        raise unusable(state, error) from None


def unusable(state: Path, error: OSError) -> UpError:
    """Return an error that says why the state folder cannot be used and what to do."""
    file = next((place for place in (state, *state.parents) if place.exists() and not place.is_dir()), None)
    reason = f"{file} is a file" if file else os.strerror(error.errno or 0)
    return UpError(
        f"the state folder {state} cannot be used: {reason}; choose a folder that you may write to: "
        "make up ARGS='--state FOLDER' (or FORGETLESS_STATE)"
    )
