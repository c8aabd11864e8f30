"""Quotas: the limits that an operator sets for a tenant or a key, and what counts for each of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.limits import INT64
from forgetless.domain.usage import UsageKind, Window

__all__ = ["NO_QUOTAS", "QUOTAS", "DefaultQuotas", "QuotaName", "Quotas", "read_quotas"]

#: The document with the quotas of a tenant; its keys hold copies.
QUOTAS = "quotas"
#: The word that lifts a limit, also one of the settings.
NONE = "none"
#: The word that makes the limit of the settings apply again.
DEFAULT = "default"


class QuotaName(StrEnum):
    """The name of a limit."""

    REQUESTS_PER_MINUTE = "requests_per_minute"
    ADDS_PER_DAY = "adds_per_day"
    ADDS_PER_MONTH = "adds_per_month"
    UPDATES_PER_DAY = "updates_per_day"
    UPDATES_PER_MONTH = "updates_per_month"
    SEARCHES_PER_DAY = "searches_per_day"
    SEARCHES_PER_MONTH = "searches_per_month"
    LLM_TOKENS_PER_DAY = "llm_tokens_per_day"
    LLM_TOKENS_PER_MONTH = "llm_tokens_per_month"
    STORED_MEMORIES = "stored_memories"

    @property
    def counted(self) -> tuple[UsageKind, Window] | None:
        """What is counted, and in which window; None for memories, which are there and not used up."""
        kind, _, window = self.rpartition("_per_")
        return (UsageKind(kind), Window(window)) if kind else None


@dataclass(frozen=True, slots=True)
class Quotas:
    """Limits by name, in the order of the names. None as a limit lifts that of the settings."""

    limits: tuple[tuple[QuotaName, int | None], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.limits)

    def __iter__(self) -> Iterator[tuple[QuotaName, int | None]]:
        return iter(self.limits)

    @classmethod
    def of(cls, limits: Mapping[str, int | None]) -> Quotas:
        """The limits of a mapping. Names that this version does not know are left out."""
        return cls(tuple((name, limits[name]) for name in QuotaName if name in limits))

    def record(self) -> dict[str, int | None]:
        """The form in which they are stored."""
        return {str(name): limit for name, limit in self.limits}

    def over(self, others: Quotas) -> Quotas:
        """These limits, and those of the others that these do not name."""
        return Quotas.of({**others.record(), **self.record()}) if others else self

    def in_force(self) -> list[tuple[QuotaName, int]]:
        """The limits that limit anything."""
        return [(name, limit) for name, limit in self.limits if limit is not None]


NO_QUOTAS = Quotas()


@dataclass(frozen=True, slots=True)
class DefaultQuotas:
    """The quotas of the settings, for every tenant and every key that has none of its own."""

    tenant: Quotas = NO_QUOTAS
    key: Quotas = NO_QUOTAS


def read_quotas(given: Iterable[str], *, field: str, held: Quotas = NO_QUOTAS) -> Quotas:
    """The quotas `held` with changes such as `adds_per_day=1000`; raises InvalidRequestError, which names the field.

    `none` lifts a limit, and `default` makes that of the settings apply again.
    """
    limits: dict[str, int | None] = held.record()
    for text in given:
        name, _, value = (part.strip() for part in text.partition("="))
        if name not in set(QuotaName):
            raise InvalidRequestError(f"{field}: {name!r} is no quota; the quotas are: {', '.join(QuotaName)}")
        if value == DEFAULT:
            limits.pop(name, None)
            continue
        if value != NONE and not (value.isascii() and value.isdecimal() and int(value) in INT64):
            raise InvalidRequestError(
                f"{field}: give {name} a whole number from 0 on, `{NONE}` for no limit, or `{DEFAULT}` for that of the "
                "settings"
            )
        limits[name] = None if value == NONE else int(value)
    return Quotas.of(limits)
