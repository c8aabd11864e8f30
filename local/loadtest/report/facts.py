"""Machine, versions and settings of a run, as pairs to show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["facts"]


def facts(head: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """What the head of a run holds."""
    machine = head["machine"]
    versions = " · ".join(f"{name} {version}" for name, version in head["versions"].items() if version != "-")
    load = f"{machine['load_average_before']} before, {head.get('load_average_after', '?')} after"
    return (
        ("time", str(head["time"])),
        ("machine", f"{machine['cores']} cores, {machine['processor'] or 'processor unknown'}, {machine['system']}"),
        ("memory", f"{machine['memory_bytes'] / 2**30:.0f} GiB"),
        ("load average of the machine", load),
        ("versions", versions),
        *(
            (name.removeprefix("FORGETLESS_").lower().replace("_", " "), str(value))
            for name, value in head["settings"].items()
        ),
    )
