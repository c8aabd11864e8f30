"""What an embedding server takes: which fields, and how many texts in a request. It is found by refusals.

A server that refuses a request rarely says why in a form that others share. Three things may be the reason: a field,
the number of texts, or one of the texts. They are told apart by asking again with less:

- A field that the refusal names is left out. If it names none, one retry goes without all fields that this server has
  never taken.
- If that does not help, fewer texts are sent: as many as the refusal says, otherwise half of them. Other calls send as
  few from then on only if the refusal says the number, all texts were short or several calls ended there: what one
  tenant's long texts need must not slow others.
- If a single text is refused, a control text decides. If it is refused as well, the server is at fault, and the call
  fails. Otherwise the text is: it has no vector, and all others are asked for as before.

An add costs at most MOST_REFUSED refused calls, and 2·log2(n) more for each of its n texts that is at fault.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from forgetless.domain.errors import DependencyError
from forgetless.domain.recipe import CONTROL_TEXT

__all__ = ["MOST_REFUSED", "Learnt", "Negotiation", "Refused", "Vectors", "WrongLengthError"]

_logger = logging.getLogger(__name__)

#: The most refused calls of an add whose texts are all good.
MOST_REFUSED = 4
#: The number of texts after the third refusal: every known limit of a server's batches is larger.
_SMALL_BATCH = 8
#: Requests of texts that are no longer than this are not refused because of what all texts have together.
_SHORT_CHARS = 500
#: So many calls with long texts that end at the same number show that it is the server's.
_SEEN = 8

Vectors = list[list[float] | None]


@dataclass(frozen=True, slots=True)
class Refused:
    """A refusal of a request: the error to raise if the server is at fault, and what it says about its reason."""

    error: DependencyError
    status: int
    named: frozenset[str] = frozenset()
    #: The most texts of a request.
    limit: int | None = None
    #: Whether a field may be the reason, even if none is named: not if the request was too large.
    of_fields: bool = True
    #: Whether the server broke (500), which is a text's fault only if it takes the control text.
    broke: bool = False


@dataclass(slots=True)
class Learnt:
    """What this process knows of its embedding server; threads may share it."""

    most_texts: int
    #: Fields that are not sent.
    omitted: frozenset[str] = frozenset()
    #: How many calls with long texts have ended at each number of texts.
    seen: dict[int, int] = field(default_factory=dict)
    #: Fields that the server has taken, which a refusal that names no field cannot mean.
    taken: frozenset[str] = frozenset()


class WrongLengthError(Exception):
    """The vectors have another length than was asked for; `error` says so to the operator."""

    def __init__(self, error: DependencyError) -> None:
        super().__init__(error.message)
        self.error = error


#: Embeds texts with these optional fields. Raises WrongLengthError, and the errors that nothing here would mend.
Ask = Callable[[Sequence[str], frozenset[str]], Vectors | Refused]


class Negotiation:
    """One call's texts, asked for in portions that the server takes.

    `fields` are the optional ones of this call, `no_vector` the error of a server that has no vector for any text.
    """

    def __init__(self, learnt: Learnt, fields: frozenset[str], ask: Ask, *, no_vector: DependencyError) -> None:
        self._learnt = learnt
        self._fields = fields
        self._ask = ask
        self._no_vector = no_vector
        self._most = learnt.most_texts
        #: Not sent in this call, because a refusal named them or named none. Those that were named are `_named`.
        self._left_out: frozenset[str] = frozenset()
        self._named: frozenset[str] = frozenset()
        #: The texts that were refused with them. If they are taken without them, these fields were the reason.
        self._doubted: Sequence[str] = ()
        #: What must be sent, because the vectors have another length without it; and the error that said so.
        self._needed: frozenset[str] = frozenset()
        self._wrong_length: DependencyError | None = None
        #: Refused calls since the last text that was at fault.
        self._refused = 0
        self._succeeded = False
        self._control_taken = False
        #: Whether a refusal has said how many texts a request may have.
        self._named_limit = False
        #: The last refusal, for the reason of the texts that have no vector.
        self.refusal: Refused | None = None

    def run(self, texts: Sequence[str]) -> Vectors:
        """The vectors of the texts, None for each that is at fault. Raises the errors of the server."""
        vectors: Vectors = []
        while len(vectors) < len(texts):
            vectors += self._step(texts[len(vectors) : len(vectors) + self._most])
        broke = self.refusal is not None and self.refusal.broke
        if self._refused and not broke and self._most < self._learnt.most_texts and self._is_certain(texts):
            self._learnt.most_texts = self._most
            _offer(f"takes at most {self._most} texts in a request", f"FORGETLESS_EMBEDDER_BATCH={self._most}")
        return vectors

    def _is_certain(self, texts: Sequence[str]) -> bool:
        """Whether the number of texts was refused. Of long texts, their length together may have been, in this call."""
        if self._named_limit or max(map(len, texts), default=0) <= _SHORT_CHARS:
            return True
        self._learnt.seen[self._most] = seen = self._learnt.seen.get(self._most, 0) + 1
        return seen >= _SEEN

    def _step(self, texts: Sequence[str]) -> Vectors:
        """The vectors of these texts; empty if they are to be asked for again in another way."""
        sent = self._fields - self._learnt.omitted - self._left_out
        try:
            answer = self._ask(texts, sent)
        except WrongLengthError as wrong:
            self._needs_dimensions(wrong.error)
            return []
        if isinstance(answer, Refused):
            return self._after_refusal(texts, sent, answer)
        self._remember(texts, sent)
        if not self._succeeded and all(vector is None for vector in answer):
            self._ask_control(sent, self._no_vector)
        self._succeeded = True
        return answer

    def _after_refusal(self, texts: Sequence[str], sent: frozenset[str], refusal: Refused) -> Vectors:
        self._refused += 1
        self.refusal = refusal
        self._named_limit |= refusal.limit is not None
        if refusal.broke:
            self._ask_control(sent, refusal.error)
        elif self._leaves_out_fields(texts, sent, refusal):
            return []
        if len(texts) == 1:
            self._ask_control(sent, refusal.error)
            self._most, self._refused = self._learnt.most_texts, 0
            return [None]
        if self._refused > 1 and not self._succeeded:
            self._ask_control(sent, refusal.error)
        self._most = self._fewer(len(texts), refusal.limit)
        return []

    def _leaves_out_fields(self, texts: Sequence[str], sent: frozenset[str], refusal: Refused) -> bool:
        """Whether the same texts are to be asked for once more, with fewer fields."""
        out = (refusal.named & sent) - self._needed
        if out:
            # A server that names its reasons one by one is not asked for each of them.
            out = out if not self._named else sent - self._needed
            self._named |= refusal.named & sent
        elif refusal.of_fields and refusal.limit is None:
            out = sent - self._learnt.taken - self._needed
        if not out:
            return False
        self._left_out |= out
        self._doubted = texts
        return True

    def _remember(self, texts: Sequence[str], sent: frozenset[str]) -> None:
        self._learnt.taken |= sent
        new = self._left_out - self._learnt.omitted
        # With fewer texts, the number of texts may have been the reason. Then the next call will show it.
        if new and list(texts) == list(self._doubted):
            self._learnt.omitted |= new
            names = ",".join(sorted(self._learnt.omitted))
            _offer(f"does not take {' and '.join(sorted(new))}", f"FORGETLESS_EMBEDDER_OMIT={names}")

    def _fewer(self, count: int, limit: int | None) -> int:
        if limit is not None:
            return max(1, min(limit, count - 1))
        if self._refused < MOST_REFUSED - 1:
            return count // 2
        return min(count // 2, _SMALL_BATCH) if self._refused < MOST_REFUSED else 1

    def _needs_dimensions(self, error: DependencyError) -> None:
        """Send `dimensions` again if it was left out in vain; raises the error if the server does not take it."""
        if "dimensions" not in self._left_out - self._named:
            raise error
        self._needed, self._wrong_length = frozenset({"dimensions"}), error
        self._left_out -= self._needed
        self._control_taken = False

    def _ask_control(self, sent: frozenset[str], error: DependencyError) -> None:
        """Raise the error if the server refuses the control text, too. It is asked for once."""
        if self._control_taken:
            return
        try:
            answer = self._ask([CONTROL_TEXT], sent)
        except WrongLengthError as wrong:
            self._needs_dimensions(wrong.error)
            self._ask_control(sent | self._needed, error)
            return
        if isinstance(answer, Refused) or answer == [None]:
            raise self._wrong_length or error
        self._control_taken = True


def _offer(fact: str, setting: str) -> None:
    _logger.warning("the embedder %s, as a refusal showed; this spares every process such refusals: %s", fact, setting)
