"""What one request or job uses: the LLM's tokens and the memories that it stores, noted as they happen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

__all__ = ["RequestUsage", "note_counted_tokens", "note_stored", "note_tokens", "noting_usage"]


@dataclass(slots=True)
class RequestUsage:
    """The figures of the innermost request or job that is noting."""

    llm_tokens: int = 0
    #: Tokens that a transaction has counted already.
    counted_tokens: int = 0
    stored: int = 0


_noting: ContextVar[RequestUsage | None] = ContextVar("request_usage", default=None)


@contextmanager
def noting_usage(usage: RequestUsage | None = None) -> Iterator[RequestUsage]:
    """While the context is open, what happens is noted here alone. Threads that copy the context note here, too."""
    usage = RequestUsage() if usage is None else usage
    token = _noting.set(usage)
    try:
        yield usage
    finally:
        _noting.reset(token)


def note_tokens(number: int) -> None:
    """Note that the LLM was paid for so many tokens."""
    if (usage := _noting.get()) is not None:
        usage.llm_tokens += number


def note_counted_tokens(number: int) -> None:
    """Note that a transaction has counted so many tokens."""
    if (usage := _noting.get()) is not None:
        usage.counted_tokens += number


def note_stored(number: int) -> None:
    """Note that so many memories were stored."""
    if (usage := _noting.get()) is not None:
        usage.stored += number
