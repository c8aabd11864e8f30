"""A bill: rows that say how they come about, added up by service."""

from __future__ import annotations

from dataclasses import dataclass, field

from local.cost.tables import Price, Prices

__all__ = ["Bill", "Row", "quantity_text"]

_STEPS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


def quantity_text(quantity: float) -> str:
    """A number as a person reads it: 3.2 M, 43.8 k, 12."""
    for step, letter in _STEPS:
        if abs(quantity) >= step:
            return f"{quantity / step:.3g} {letter}"
    return f"{quantity:.3g}"


@dataclass(frozen=True, slots=True)
class Row:
    """One line: what is billed, how much of it, why so much, and what it costs."""

    service: str
    item: str
    quantity: float
    unit: str
    usd: float
    why: str


@dataclass
class Bill:
    """Rows in order. With `free_tier`, what AWS gives every account is taken off each price's first rows."""

    prices: Prices
    free_tier: bool = False
    rows: list[Row] = field(default_factory=list)
    _left: dict[str, float] = field(default_factory=dict)

    def add(self, service: str, item: str, quantity: float, price_name: str, why: str) -> None:
        """A row at a price of the list, if there is anything to bill."""
        self.add_priced(service, item, quantity, self.prices.of(price_name), why)

    def add_priced(self, service: str, item: str, quantity: float, price: Price, why: str) -> None:
        """A row at this price, if there is anything to bill."""
        if quantity <= 0:
            return
        billed = self._beyond_free(price, quantity)
        reason = f"{why}; {quantity_text(quantity)} x {_rate(price)}"
        if billed < quantity:
            reason += f"; {quantity_text(quantity - billed)} free"
        self.rows.append(Row(service, item, quantity, price.unit, price.of(billed), reason))

    def by_service(self) -> dict[str, float]:
        """What each service costs, in the order of its first row."""
        sums: dict[str, float] = {}
        for row in self.rows:
            sums[row.service] = sums.get(row.service, 0.0) + row.usd
        return sums

    def total(self) -> float:
        """What the month costs."""
        return sum(row.usd for row in self.rows)

    def _beyond_free(self, price: Price, quantity: float) -> float:
        if not self.free_tier:
            return quantity
        left = self._left.setdefault(price.name, price.free)
        taken = min(left, quantity)
        self._left[price.name] = left - taken
        return quantity - taken


def _rate(price: Price) -> str:
    per = "" if price.per == 1 else f"{quantity_text(price.per).removeprefix('1 ')} "
    return f"${price.usd:.6g} per {per}{price.unit}"
