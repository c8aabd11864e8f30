"""Two runs of one load with two embedding models, side by side and beside the reference; and what more cores would do.

The second part is the queueing model's: what this machine's cores allow, checked against the measurement, and one more.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from local.loadtest.figures import StageFigures, stage_figures
from local.loadtest.monitor import OTHERS
from local.loadtest.report.plots import groups, in_order
from local.loadtest.report.reference import REFERENCE
from local.loadtest.result_files import Recording, model_of
from local.loadtest.scaling import demands, one_machine, solve
from local.results.report import Section, Table

__all__ = ["models_sections", "models_tables"]

_TEXT = (
    "The same load on services that were started one after the other, each with the whole machine to itself. Models of "
    "the reference's shape with random weights cost what it costs; what they find means nothing and is not shown."
)
_CORES_TEXT = (
    "Each stage by the queueing model (docs/scaling.md) with the CPU time that a request of that stage took: of this "
    "machine's cores, to be compared with what was measured, and of one more. Full is the share of all cores that is "
    "busy. The model knows only CPU, and programs beside the service and the load generator are not in it."
)


def models_sections(first: Recording, second: Recording) -> tuple[Section, ...]:
    """Return the figures of both, their CPU, and the cores that each needs."""
    stages, cpu, cores = models_tables(first, second)
    both = {model_of(one): {stage.users: stage for stage in _stages(one)} for one in (first, second)}
    rows = {
        f"{users} users": {
            **{model: of[users].latency.p99 for model, of in both.items() if users in of},
            **({"reference": REFERENCE[users].p99_ms} if users in REFERENCE else {}),
        }
        for users in dict.fromkeys(users for of in both.values() for users in of)
    }
    return (
        Section("Both models", _TEXT, stages, (groups("P99 by users", rows, unit="ms"),)),
        Section("CPU of both models", "Milliseconds of a request of the mix, by part.", cpu),
        Section("One core more", _CORES_TEXT, cores),
    )


def models_tables(first: Recording, second: Recording) -> tuple[Table, Table, Table]:
    """Return three tables: rates and latencies, CPU of a request by part, and what the cores allow."""
    both = [(model_of(one), _stages(one)) for one in (first, second)]
    return _latencies(both), _cpu(both), _cores(both, (first, second))


def _stages(recording: Recording) -> list[StageFigures]:
    return stage_figures(recording.plan, recording.run)


def _latencies(both: Sequence[tuple[str, Sequence[StageFigures]]]) -> Table:
    headings = ("model", "users", "req/s", "P50 ms", "P99 ms", "errors", "reference req/s", "reference P99 ms")
    rows = []
    for model, stages in both:
        for one in stages:
            beside = REFERENCE.get(one.users)
            known = (f"{beside.per_second:g}", f"{beside.p99_ms:g}") if beside else ("", "")
            figures = (f"{one.per_second:.1f}", f"{one.latency.p50:.0f}", f"{one.latency.p99:.0f}", f"{one.errors}")
            rows.append((model, str(one.users), *figures, *known))
    return Table(headings, tuple(rows), title="Both models beside the reference system", left=(0,))


def _cpu(both: Sequence[tuple[str, Sequence[StageFigures]]]) -> Table:
    """Return the CPU of each part in the fullest stage of each model, and the ratio."""
    fullest = [max(stages, key=lambda one: one.requests, default=None) for _, stages in both]
    spent = [{} if one is None else {part: ms for part, ms in one.cpu_ms.items() if part != OTHERS} for one in fullest]
    parts = in_order(dict.fromkeys(part for one in spent for part in one))
    rows = [(part, [one.get(part, 0.0) for one in spent]) for part in parts]
    rows.append(("in all", [sum(one.values()) for one in spent]))
    shown = tuple(
        (part, *(f"{ms:.1f}" for ms in values), f"{values[1] / values[0]:.2f}" if values[0] else "")
        for part, values in rows
    )
    headings = ("part", *(f"{model}, ms" for model, _ in both), "×")
    return Table(headings, shown, marked=len(shown) - 1, title="CPU of a request")


def _cores(both: Sequence[tuple[str, Sequence[StageFigures]]], recordings: Sequence[Recording]) -> Table:
    rows = []
    for (model, stages), recording in zip(both, recordings, strict=True):
        cores = int(recording.head["machine"]["cores"] or os.cpu_count() or 1)
        think_s = sum(recording.plan.think_s) / 2
        for one in stages:
            needs = demands([one])
            if not needs:
                continue
            measured = (f"{one.per_second:.1f}", f"{one.latency.mean:.0f}")
            cells: list[str] = []
            for count in (cores, cores + 1):
                said = solve(one_machine(needs, count), users=one.users, think_s=think_s)
                full = said.per_second * sum(needs.values()) / count
                cells += [f"{said.per_second:.1f}", f"{said.response_s * 1000:.0f}", f"{full:.0%}"]
            rows.append((model, str(one.users), *measured, *cells))
    cores = int(recordings[-1].head["machine"]["cores"] or os.cpu_count() or 1)
    predicted = (f"{n} cores: {what}" for n in (cores, cores + 1) for what in ("req/s", "mean ms", "full"))
    return Table(
        ("model", "users", "req/s", "mean ms", *predicted), tuple(rows), title="What the cores allow", left=(0,)
    )
