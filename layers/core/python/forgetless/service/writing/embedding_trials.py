"""EmbeddingTrials: finds the texts on which the embedder fails without saying so, such as one that it never answers.

A refusal (400, 413, 422, 500) is found to be about a text by the embedder's client. Any other failure may be an outage,
or a text at which a content filter, a proxy or a worker of the server gives up. Then an ordinary text decides: if the
embedder fails on it too, that is an outage, and nothing is blamed. Otherwise the texts are tried one by one.

Only background work has the time for it. A tenant with such a text is doubtful for a while: its texts are tried one by
one from the beginning, and sweep takes its turn last. All this is known to one process, and forgetting it costs time
alone.
"""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from forgetless.domain.errors import DependencyError, EmbedderTextError
from forgetless.domain.recipe import CONTROL_TEXT
from forgetless.ports.clock import Clock
from forgetless.ports.embedder import Embedder, EmbeddingTask

__all__ = ["EmbeddingTrials", "Tried", "embedded"]

#: For so many tenants a process remembers that they are doubtful, and for so many texts that they failed alone.
_MOST_TENANTS = 1000
_MOST_TEXTS = 10_000
#: A tenant is doubtful for so many seconds after the last failure: sweep runs each minute.
_DOUBTFUL_S = 150.0
#: A text that has failed alone so often is not tried again for so many seconds.
_BELIEVED_FAILURES = 2
_BELIEVED_S = 900.0


@dataclass(frozen=True, slots=True)
class Tried:
    """The vectors by their texts, and why others have none. What is in neither was not tried: there was no time."""

    vectors: dict[str, Sequence[float]] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    def add(self, other: Tried) -> None:
        """Take over what the other one has."""
        self.vectors.update(other.vectors)
        self.reasons.update(other.reasons)


def embedded(embedder: Embedder, texts: Sequence[str], *, owner: str = "") -> Tried:
    """Embed texts in one call. Texts that the embedder refuses have a reason. Raises its other errors."""
    try:
        vectors: dict[str, Sequence[float]] = dict(
            zip(texts, embedder.embed(texts, EmbeddingTask.PASSAGE, owner=owner), strict=True)
        )
        return Tried(vectors)
    except EmbedderTextError as error:
        found = dict(zip(texts, error.vectors, strict=True))
        vectors = {text: vector for text, vector in found.items() if vector is not None}
        return Tried(vectors, {text: f"{error.code}: {error.message}" for text in texts if text not in vectors})


@dataclass(slots=True)
class _Failures:
    """How often a text has failed alone, and with what and when it did so last (monotonic seconds)."""

    count: int
    reason: str
    at: float


class EmbeddingTrials:
    """Shared by all that index in the background in one process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        #: Until when tenants are doubtful, in monotonic seconds.
        self._doubtful: OrderedDict[str, float] = OrderedDict()
        self._failures: OrderedDict[bytes, _Failures] = OrderedDict()

    def doubtful(self, tenant: str) -> bool:
        """Whether the embedder has lately failed on a text of the tenant."""
        return self._clock.monotonic() < self._doubtful.get(tenant, -math.inf)

    def embed(
        self,
        embedder: Embedder,
        texts: Sequence[str],
        *,
        tenant: str,
        owner: str = "",
        least: int = 1,
        in_time: Callable[[], bool] = lambda: True,
    ) -> Tried:
        """Embed texts of a tenant: all at once, and one by one after a failure, as long as there is time.

        While the tenant is doubtful, `least` of the texts are tried in any case, so that calls come to an end.
        Raises the error of the embedder if it fails on an ordinary text as well.
        """
        tried = Tried(reasons={text: reason for text in texts if (reason := self._believed(text))})
        untried = [text for text in texts if text not in tried.reasons]
        if len(untried) > 1 and not self.doubtful(tenant):
            try:
                tried.add(embedded(embedder, untried, owner=owner))
            except DependencyError as error:
                self._require_others(embedder, error, tenant)
                least = 0  # it may have taken long, and the next call goes on
            else:
                return tried
        for number, text in enumerate(untried):
            if number >= least and not in_time():
                break
            try:
                tried.add(embedded(embedder, [text], owner=owner))
                self._failures.pop(_digest(text), None)
            except DependencyError as error:
                self._require_others(embedder, error, tenant)
                tried.reasons[text] = self._note(text, f"{error.code}: {error.message}, although it takes others")
        return tried

    def _require_others(self, embedder: Embedder, error: DependencyError, tenant: str) -> None:
        """Raise the error unless the embedder takes an ordinary text: then the tenant is doubtful."""
        try:
            embedder.ping()  # cheaper where it answers nothing
            embedder.embed([CONTROL_TEXT], EmbeddingTask.PASSAGE)
        except DependencyError:
            raise error from None
        self._doubtful.pop(tenant, None)
        self._doubtful[tenant] = self._clock.monotonic() + _DOUBTFUL_S
        while len(self._doubtful) > _MOST_TENANTS:
            self._doubtful.popitem(last=False)

    def _note(self, text: str, reason: str) -> str:
        """Note a failure; returns its reason."""
        key = _digest(text)
        before = self._failures.pop(key, None)
        self._failures[key] = _Failures(1 if before is None else before.count + 1, reason, self._clock.monotonic())
        while len(self._failures) > _MOST_TEXTS:
            self._failures.popitem(last=False)
        return reason

    def _believed(self, text: str) -> str:
        """Why the text need not be tried; empty if it must be."""
        if not self._failures or (found := self._failures.get(_digest(text))) is None:
            return ""
        recent = self._clock.monotonic() - found.at < _BELIEVED_S
        return found.reason if recent and found.count >= _BELIEVED_FAILURES else ""


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
