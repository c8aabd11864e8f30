"""What the answer to a request says beside its result, as use cases note it while they work."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass

__all__ = ["AnswerNotes", "begin_answer_notes", "current_answer_notes", "note_ended_early", "note_ranked_by_words"]


@dataclass(slots=True)
class AnswerNotes:
    """The notes of one request."""

    #: Whether the embedder refused the text of a query, so that the search ranked by words alone.
    ranked_by_words: bool = False
    #: Whether a search had read enough before it had looked at everything, so that there may be more results.
    ended_early: bool = False


#: The notes of the current request. A thread in a copy of the request's context sees the same object.
_current: ContextVar[AnswerNotes | None] = ContextVar("answer_notes", default=None)


def begin_answer_notes() -> AnswerNotes:
    """Begin the notes of this request; what follows is noted in the returned object."""
    notes = AnswerNotes()
    _current.set(notes)
    return notes


def current_answer_notes() -> AnswerNotes:
    """The notes of the current request; empty ones outside a request."""
    return _current.get() or AnswerNotes()


def note_ranked_by_words() -> None:
    """Note that a search ranked by words alone."""
    if (notes := _current.get()) is not None:
        notes.ranked_by_words = True


def note_ended_early() -> None:
    """Note that a search ended before it had looked at everything."""
    if (notes := _current.get()) is not None:
        notes.ended_early = True
