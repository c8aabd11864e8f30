"""Scores what was extracted from the cases."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from forgetless.service.writing.extraction import Fact
from local.evaluate.extraction.cases import Case

__all__ = ["CaseScore", "Totals", "score", "totals"]


@dataclass(frozen=True, slots=True)
class CaseScore:
    """What came of one case. Memories are numbers."""

    case: Case
    extracted: int
    #: Texts of facts that are neither expected nor optional; those that must never be extracted are among them.
    wrong: Sequence[str]
    forbidden: Sequence[str]
    #: How many of the expected facts were extracted.
    found: int
    #: What the LLM wants to supersede wrongly, and what the service's rules then let it supersede wrongly.
    wrongly_proposed: frozenset[int]
    wrongly_superseded: frozenset[int]
    rightly_superseded: frozenset[int]
    #: Why there is no reply; empty if there is one.
    failure: str = ""

    @property
    def perfect(self) -> bool:
        """Whether nothing is wrong or missing."""
        complete = self.found == len(self.case.facts) and self.rightly_superseded == self.case.superseded
        return complete and not self.wrong and not self.wrongly_proposed and not self.failure


@dataclass(frozen=True, slots=True)
class Totals:
    """The sums over some cases."""

    cases: int = 0
    expected: int = 0
    found: int = 0
    extracted: int = 0
    wrong: int = 0
    forbidden: int = 0
    to_supersede: int = 0
    rightly_superseded: int = 0
    wrongly_proposed: int = 0
    wrongly_superseded: int = 0
    failures: int = 0
    precision: float = field(init=False)
    recall: float = field(init=False)

    def __post_init__(self) -> None:
        kept = self.extracted - self.wrong
        object.__setattr__(self, "precision", kept / self.extracted if self.extracted else math.nan)
        object.__setattr__(self, "recall", self.found / self.expected if self.expected else math.nan)


def score(case: Case, proposed: Sequence[Fact], permitted: Sequence[Fact], failure: str = "") -> CaseScore:
    """The score of the facts as the LLM proposes them, and of those with the supersessions that the rules permit."""
    texts = [fact.text for fact in proposed]
    forbidden = [text for text in texts if any(one.fits(text) for one in case.never)]
    welcome = [*(fact.says for fact in case.facts), *case.optional]
    wrong = [text for text in texts if text in forbidden or not any(one.fits(text) for one in welcome)]
    right = [text for text in texts if text not in wrong]
    superseded = _superseded(case, permitted)
    return CaseScore(
        case,
        extracted=len(texts),
        wrong=wrong,
        forbidden=forbidden,
        found=sum(any(fact.says.fits(text) for text in right) for fact in case.facts),
        wrongly_proposed=_superseded(case, proposed) - case.superseded,
        wrongly_superseded=superseded - case.superseded,
        rightly_superseded=superseded & case.superseded,
        failure=failure,
    )


def totals(scores: Sequence[CaseScore]) -> Totals:
    """The sums."""
    return Totals(
        cases=len(scores),
        expected=sum(len(one.case.facts) for one in scores),
        found=sum(one.found for one in scores),
        extracted=sum(one.extracted for one in scores),
        wrong=sum(len(one.wrong) for one in scores),
        forbidden=sum(len(one.forbidden) for one in scores),
        to_supersede=sum(len(one.case.superseded) for one in scores),
        rightly_superseded=sum(len(one.rightly_superseded) for one in scores),
        wrongly_proposed=sum(len(one.wrongly_proposed) for one in scores),
        wrongly_superseded=sum(len(one.wrongly_superseded) for one in scores),
        failures=sum(bool(one.failure) for one in scores),
    )


def _superseded(case: Case, facts: Sequence[Fact]) -> frozenset[int]:
    return case.numbers([id_ for fact in facts for id_ in fact.supersedes])
