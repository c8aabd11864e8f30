"""Retention: how long records are kept that end by themselves."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DAY_S", "DISMISSED_AT", "Retention"]

DAY_S = 86_400.0
#: The end of a failed job that somebody has dismissed: so long ago that no retention keeps it.
DISMISSED_AT = "1970-01-01T00:00:00.000000+00:00"


@dataclass(frozen=True, slots=True)
class Retention:
    """Seconds for which records are kept; None keeps them until somebody deletes them.

    `succeeded_jobs_s` and `failed_jobs_s` count from the end of a job. The messages of a failed job go with it.
    `messages_s` counts from the time of a raw message, and `expired_memories_s` from the end of the day on which a
    memory expired. `held_jobs_s` counts from the first try of a job that is held because its LLM or embedder is out;
    after that it fails.
    """

    messages_s: float | None = None
    succeeded_jobs_s: float | None = 30 * DAY_S
    failed_jobs_s: float | None = 180 * DAY_S
    expired_memories_s: float | None = None
    held_jobs_s: float = DAY_S
