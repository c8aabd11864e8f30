"""The knowledge that the clients of an episode share: the memories and their owners, and the written texts."""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tests.histories.history import State

__all__ = ["Known", "SharedKnowledge", "word_of"]

#: Clients choose among this many of the memories seen last, so that they use the same ones.
_NEWEST = 4
#: How often a client takes the memory that another has just taken, so that their requests overlap.
_HOT_SHARE = 0.4
#: With this many memories in a scope, clients delete before they add.
FULL = 8


@dataclass(slots=True)
class Known:
    """A memory as a client saw it last."""

    id: str
    scope: Mapping[str, str]
    word: str
    version: int | None
    gone: bool = False


class SharedKnowledge:
    """The shared knowledge; several threads may use it."""

    def __init__(self, users: int) -> None:
        names = [f"user{number}" for number in range(1, users + 1)]
        #: Each user, and a run of the last one, whose memories are that user's too.
        self.scopes: tuple[Mapping[str, str], ...] = (
            *({"user_id": name} for name in names),
            {"user_id": names[-1], "run_id": "run1"},
        )
        self._lock = threading.Lock()
        self._memories: dict[str, Known] = {}
        self._order: deque[str] = deque(maxlen=200)
        self._hot = ""
        self._words: deque[tuple[Mapping[str, str], str]] = deque(maxlen=60)

    def wrote(self, scope: Mapping[str, str], text: str) -> None:
        """Note that a client asks to store this text."""
        with self._lock:
            self._words.append((scope, word_of(text)))

    def saw(self, states: Iterable[State], scope: Mapping[str, str] | None = None) -> None:
        """Note the states in an answer; `scope` is given if the answer does not show it."""
        with self._lock:
            for state in states:
                known = self._memories.get(state["id"])
                if known is None:
                    whose = state.get("scope") or scope
                    if whose is None or "text" not in state:
                        continue
                    known = Known(state["id"], whose, word_of(state["text"]), state.get("version"))
                    self._memories[known.id] = known
                    self._order.append(known.id)
                    continue
                known.version = state.get("version", known.version)
                known.word = word_of(state["text"]) if "text" in state else known.word
                known.gone = known.gone or bool(state.get("superseded_by"))

    def lost(self, id_: str) -> None:
        """Note that a memory is deleted, or seems to be."""
        with self._lock:
            if id_ in self._memories:
                self._memories[id_].gone = True

    def emptied(self, scope: Mapping[str, str]) -> None:
        """Note that all memories of a scope are deleted."""
        with self._lock:
            for known in self._memories.values():
                known.gone = known.gone or scope.items() <= known.scope.items()

    def pick(self, chance: random.Random, scope: Mapping[str, str] | None = None) -> Known | None:
        """Return often the memory picked last, otherwise one of the newest live ones, and sometimes a deleted one."""
        with self._lock:
            hot = self._memories.get(self._hot)
            if (
                hot is not None
                and not hot.gone
                and (scope is None or scope == hot.scope)
                and chance.random() < _HOT_SHARE
            ):
                return hot
            known = [self._memories[id_] for id_ in reversed(self._order) if id_ in self._memories]
            known = [one for one in known if scope is None or one.scope == scope]
            living = [one for one in known if not one.gone]
            if known and (not living or chance.random() < 0.05):
                return chance.choice(known[: 4 * _NEWEST])
            if not living:
                return None
            picked = chance.choice(living[:_NEWEST])
            self._hot = picked.id
            return picked

    def is_full(self, scope: Mapping[str, str]) -> bool:
        """Return whether the scope has so many memories that some should be deleted."""
        with self._lock:
            living = (one for one in self._memories.values() if not one.gone)
            return sum(one.scope == scope for one in living) >= FULL

    def word(self, chance: random.Random) -> tuple[Mapping[str, str], str] | None:
        """Return a word that was written recently, and its scope; it may be current, replaced or erased."""
        with self._lock:
            return chance.choice(self._words) if self._words else None


def word_of(text: str) -> str:
    """Return the unique word with which every text ends."""
    return text.rsplit(" ", 1)[-1]
