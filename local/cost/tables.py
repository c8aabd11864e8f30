"""The two tables of the bill, prices and assumptions: read, replaced in part, and asked by name."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

__all__ = ["Assumption", "CostError", "LlmPrice", "Price", "Prices", "read_assumptions", "read_prices"]

_FOLDER = Path(__file__).parent


class CostError(Exception):
    """The bill cannot be made; the text says what to change."""


@dataclass(frozen=True, slots=True)
class Price:
    """So many dollars for `per` units."""

    name: str
    usd: float
    per: float
    unit: str
    free: float = 0.0
    checked: str = ""

    def of(self, quantity: float) -> float:
        """What so many units cost."""
        return quantity / self.per * self.usd


@dataclass(frozen=True, slots=True)
class LlmPrice:
    """Dollars for a million tokens."""

    input: float
    output: float
    checked: str = ""


@dataclass(frozen=True)
class Prices:
    """A price list of one day and region."""

    date: str
    region: str
    listed: Mapping[str, Price]
    llm: Mapping[str, LlmPrice]
    zilliz_reads: tuple[Sequence[float], Sequence[float]]

    def of(self, name: str) -> Price:
        """The price of this name."""
        return self.listed[known(name, self.listed, "price")]

    def model(self, name: str) -> LlmPrice:
        """The price of this model."""
        hint = "; name another with --llm-price INPUT,OUTPUT (dollars for a million tokens)"
        return self.llm[known(name, self.llm, "LLM", hint)]

    def read_vcu(self, scanned_gb: float) -> float:
        """What one read of Zilliz serverless costs in vCU, along lines between the points of the table."""
        places, costs = self.zilliz_reads
        last = max(1, next((n for n, place in enumerate(places) if place >= scanned_gb), len(places) - 1))
        slope = (costs[last] - costs[last - 1]) / (places[last] - places[last - 1])
        return costs[last - 1] + slope * (scanned_gb - places[last - 1])


@dataclass(frozen=True, slots=True)
class Assumption:
    """A figure that was not measured, and where it comes from."""

    value: float
    unit: str
    why: str


def read_prices(replacement: Path | None = None) -> Prices:
    """The price list; `replacement` names a file whose prices stand in place of those here."""
    own = _content(_FOLDER / "prices.toml")
    prices = Prices(
        own["date"], own["region"], _listed(own["prices"]), _models(own["llm"]), _points(own["zilliz_reads"])
    )
    if replacement is None:
        return prices
    other = _content(replacement)
    for key in other:
        known(key, own, f"table or field of {replacement}")
    for key in ("date", "region"):
        if not isinstance(other.get(key), str):
            raise CostError(f'{replacement} needs {key} = "…" at its top, so that a bill can say it')
    for name in other.get("prices", {}):
        known(name, prices.listed, f"price of {replacement}")
    return replace(
        prices,
        date=other["date"],
        region=other["region"],
        listed={**prices.listed, **_listed(other.get("prices", {}), prices.listed)},
        llm={**prices.llm, **_models(other.get("llm", {}))},
        zilliz_reads=_points(other["zilliz_reads"]) if "zilliz_reads" in other else prices.zilliz_reads,
    )


def read_assumptions(changed: Iterable[str] = ()) -> dict[str, Assumption]:
    """The assumptions, some of them changed by texts of the form NAME=VALUE."""
    found = {name: Assumption(**fields) for name, fields in _content(_FOLDER / "assumptions.toml").items()}
    for text in changed:
        name, _, value = text.partition("=")
        known(name, found, "assumption")
        try:
            number = float(value)
        except ValueError:
            raise CostError(f"--assume {text}: the value must be a number, for example {name}=10") from None
        found[name] = Assumption(number, found[name].unit, "--assume")
    return found


def known(name: str, names: Iterable[str], what: str, hint: str = "") -> str:
    """The name, if there is one like it; otherwise an error that names those that are near."""
    names = list(names)
    if name in names:
        return name
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5) or sorted(names)
    raise CostError(f"unknown {what}: {name!r}; did you mean {', '.join(near)}?{hint}")


def _content(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise CostError(f"{file} cannot be read: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise CostError(f"{file} is not valid TOML: {error}") from error


def _listed(prices: Mapping[str, Any], over: Mapping[str, Price] | None = None) -> dict[str, Price]:
    """Prices by name; a replacement may leave out fields that stay as they are, but says itself what was checked."""
    found = {}
    for name, fields in prices.items():
        below = over[name] if over else None
        try:
            price = replace(below, checked="", **fields) if below else Price(name=name, **fields)
            valid = price.usd >= 0 and price.per > 0
        except TypeError as error:
            raise CostError(f"price {name}: {error}; write {name} = {{ usd = 1.0, per = 1000000 }}") from None
        if not valid:
            raise CostError(f"price {name}: usd must not be negative, and per must be above 0")
        found[name] = price
    return found


def _models(models: Mapping[str, Any]) -> dict[str, LlmPrice]:
    try:
        return {name: LlmPrice(**fields) for name, fields in models.items()}
    except TypeError as error:
        raise CostError(f"table llm: {error}; write NAME = {{ input = 0.1, output = 0.4 }}") from None


def _points(table: Mapping[str, Any]) -> tuple[Sequence[float], Sequence[float]]:
    return tuple(table["scanned_gb"]), tuple(table["vcu"])
