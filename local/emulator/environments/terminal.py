"""Shows the errors of functions on the terminal, as `sam local` does; their whole output is in the log."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator

import orjson

from local.emulator.environments.packages import import_hint

__all__ = ["Terminal", "error_lines"]

#: The same error of a function is counted for so long, instead of being shown again.
QUIET_SECONDS = 10.0
_MOST_FRAMES = 12


def _print(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class Terminal:
    """Prints each error of a function with what to do about it; `out` takes a text."""

    def __init__(self, out: Callable[[str], None] = _print) -> None:
        self._out = out
        #: How often an error came again since it was shown.
        self._again: dict[tuple[str, str], int] = {}

    def say(self, line: str) -> None:
        """Show a line."""
        self._out(line)

    def failed(self, function: str, payload: bytes) -> None:
        """Show the result of an invocation that failed."""
        lines = list(error_lines(payload))
        key = function, lines[0]
        if key in self._again:
            self._again[key] += 1
            return
        self._again[key] = 0
        self._out("\n".join([f"{function} failed: {lines[0]}", *lines[1:]]))
        asyncio.get_running_loop().call_later(QUIET_SECONDS, self._count, key)

    def _count(self, key: tuple[str, str]) -> None:
        again = self._again.pop(key, 0)
        if again:
            self._out(f"{key[0]} failed {'once' if again == 1 else f'{again} times'} more: {key[1]}")


def error_lines(payload: bytes) -> Iterator[str]:
    """Yield an error as its function reported it: type and message, then where, then what to do."""
    try:
        error = orjson.loads(payload)
    except orjson.JSONDecodeError:
        error = None
    if not isinstance(error, dict):
        yield payload[:500].decode("utf-8", "replace") or "no answer"
        return
    kind, message = error.get("errorType"), str(error.get("errorMessage", ""))
    yield f"{kind}: {message}" if kind else message
    frames = error.get("stackTrace")
    for frame in frames[-_MOST_FRAMES:] if isinstance(frames, list) else ():
        yield str(frame).rstrip()
    hint = import_hint(message)
    if hint:
        yield f"  {hint}"
