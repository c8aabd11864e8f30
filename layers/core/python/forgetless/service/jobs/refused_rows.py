"""Refused rows: what distinguishes a memory that the index refuses from an outage, and what is done about it.

The index takes or refuses many rows at once. `halved` divides what it refuses until the memory at fault is alone, and
all others are indexed. Only a *refusal* is treated like this: an error that says that the input is wrong. An outage is
raised at once. Before anything is blamed on a memory, a control row, an ordinary text that belongs to no tenant, must
be accepted. If it is refused as well, then the collection is at fault, and nothing is blamed.

The embedder's client tells texts that are refused from a server that fails by itself (EmbedderTextError).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from forgetless.domain.errors import EmbedderError, ForgetlessError, IndexRefusedError
from forgetless.domain.memory import Memory
from forgetless.domain.recipe import CONTROL_TEXT
from forgetless.domain.scope import Scope
from forgetless.ports.index import Index
from forgetless.ports.ledger import Refusal
from forgetless.service.writing.indexer import Indexer

__all__ = ["CONTROL", "halved", "reason_of_refusal", "try_control"]

#: The control row.
CONTROL = Memory(
    id="control",
    version=1,
    scope=Scope("", user_id="control"),
    text=CONTROL_TEXT,
    created_at="1970-01-01T00:00:00.000000+00:00",
    updated_at="1970-01-01T00:00:00.000000+00:00",
    job_id="control",
)


def reason_of_refusal(error: Exception) -> str | None:
    """Why a row was refused, without its text; None if the error does not blame the input."""
    if isinstance(error, IndexRefusedError):
        return f"{error.code}: {error.message}"
    # No row can be made from it, for instance because a field has a value of another type. Such an error may quote it.
    if isinstance(error, ValueError | TypeError | AttributeError):
        return f"not_indexable: no row can be made from it ({type(error).__name__})"
    return None


def halved(memories: Sequence[Memory], work: Callable[[Sequence[Memory]], None]) -> list[Refusal]:
    """Do `work` for all memories, in halves where it is refused; returns those that are refused alone."""
    try:
        work(memories)
    except (ForgetlessError, ValueError, TypeError, AttributeError) as error:
        reason = reason_of_refusal(error)
        if reason is None:
            raise
        if len(memories) == 1:
            return [Refusal(memories[0], reason)]
        middle = len(memories) // 2
        return halved(memories[:middle], work) + halved(memories[middle:], work)
    return []


def try_control(indexer: Indexer, index: Index) -> None:
    """Raise the error of embedder or index if they do not accept the control row."""
    refused: dict[str, str] = {}
    rows = indexer.rows([CONTROL], {}, refused=refused)
    if refused:
        raise EmbedderError(f"the embedder refuses an ordinary text: {refused[CONTROL.id]}")
    try:
        index.insert(rows)
    finally:
        index.drop(CONTROL.scope.tenant, [(CONTROL.id, CONTROL.version)])
