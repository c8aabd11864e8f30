"""What an evaluation of an extraction found: as tables, and as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from local.evaluate.extraction.scoring import CaseScore, Totals, totals
from local.results.report import Table

__all__ = ["Spent", "extraction_tables", "figures_of"]

#: About how many characters a token has, for endpoints that do not say how many there were.
_CHARS_OF_TOKEN = 4


@dataclass(slots=True)
class Spent:
    """The tokens of all calls, as the endpoint counts them, and the characters that were sent."""

    calls: int = 0
    prompt: int = 0
    completion: int = 0
    chars: int = 0

    def cost(self, prices: Sequence[float]) -> float:
        """The cost at these prices of a million tokens of prompt and completion."""
        return (self.prompt * prices[0] + self.completion * prices[1]) / 1e6

    def lines(self, prices: Sequence[float] | None) -> list[str]:
        """What the table says about it."""
        if not self.prompt:
            about = self.chars // _CHARS_OF_TOKEN
            return [f"tokens: the endpoint does not say; about {about:,} of prompt ({_CHARS_OF_TOKEN} characters each)"]
        each = f"{self.prompt / self.calls:,.0f} + {self.completion / self.calls:,.0f} a call"
        said = [f"tokens: {self.prompt:,} of prompt, {self.completion:,} of completion ({each})"]
        return said + ([f"cost: {self.cost(prices):.4f}"] if prices else [])


def extraction_tables(scores: Sequence[CaseScore]) -> list[Table]:
    """The figures by language, and every case in which something is wrong or missing."""
    languages = sorted({one.case.language for one in scores})
    rows = [_cells(name, totals([one for one in scores if one.case.language == name])) for name in languages]
    rows.append(_cells("all", totals(scores)))
    headings = ("", "cases", "precision", "recall", "forbidden", "superseded", "wrongly", "stopped by rules", "failed")
    tables = [Table(headings, tuple(rows), marked=len(languages), title="Facts and supersessions")]
    if faults := tuple((one.case.name, "; ".join(_faults(one))) for one in scores if not one.perfect):
        tables.append(Table(("case", "what is wrong or missing"), faults, left=(0, 1)))
    return tables


def figures_of(scores: Sequence[CaseScore], spent: Spent, prices: Sequence[float] | None) -> dict[str, Any]:
    """The same as plain data."""
    languages = sorted({one.case.language for one in scores})
    return {
        "all": asdict(totals(scores)),
        "languages": {name: asdict(totals([one for one in scores if one.case.language == name])) for name in languages},
        "faults": {one.case.name: _faults(one) for one in scores if not one.perfect},
        "tokens": asdict(spent),
        **({"cost": spent.cost(prices)} if prices and spent.prompt else {}),
    }


def _cells(name: str, sums: Totals) -> tuple[str, ...]:
    return (
        name,
        str(sums.cases),
        f"{sums.precision:.3f}",
        f"{sums.recall:.3f}",
        str(sums.forbidden),
        f"{sums.rightly_superseded} of {sums.to_supersede}",
        str(sums.wrongly_superseded),
        str(sums.wrongly_proposed - sums.wrongly_superseded),
        str(sums.failures),
    )


def _faults(one: CaseScore) -> list[str]:
    found = [f"no reply: {one.failure}"] if one.failure else []
    found += [f"must not be extracted: {text}" for text in one.forbidden]
    found += [f"not expected: {text}" for text in one.wrong if text not in one.forbidden]
    if missing := len(one.case.facts) - one.found:
        found.append(f"{missing} of {len(one.case.facts)} facts missing")
    if one.wrongly_proposed:
        found.append(f"wrongly superseded: {sorted(one.wrongly_proposed)}")
    if left := one.case.superseded - one.rightly_superseded:
        found.append(f"not superseded: {sorted(left)}")
    return found
