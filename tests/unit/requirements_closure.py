"""What requirement files install: the distributions with all that they need, and their modules."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import packages_distributions, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

__all__ = ["brought_by", "modules_of", "pins_of"]


def pins_of(*files: Path) -> list[str]:
    """The requirements in files, one a line."""
    lines = [line.strip() for file in files for line in file.read_text().splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def brought_by(requirements: Iterable[str]) -> set[str]:
    """The distributions that pip installs for these requirements, as the environment of the tests holds them."""
    found: set[str] = set()
    waiting = [Requirement(line) for line in requirements]
    while waiting:
        one = waiting.pop()
        name = canonicalize_name(one.name)
        if name in found and not one.extras:
            continue
        found.add(name)
        needed = [Requirement(line) for line in requires(name) or []]
        extras = one.extras or {""}
        waiting += [need for need in needed if _applies(need, extras)]
    return found


def modules_of(distributions: set[str]) -> set[str]:
    """The top-level modules in these distributions."""
    owners = packages_distributions().items()
    return {module for module, names in owners if distributions & {canonicalize_name(name) for name in names}}


def _applies(requirement: Requirement, extras: Iterable[str]) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in extras)
