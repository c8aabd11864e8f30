"""The report of one load run: our figures beside the reference's, then the use of time, CPU and memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from local.loadtest.figures import StageFigures, Timeline, slope, stage_figures, timeline
from local.loadtest.monitor import LOAD_GENERATOR, OTHERS
from local.loadtest.report.both_models import models_sections
from local.loadtest.report.embedder_section import embedder_section
from local.loadtest.report.plots import Band, areas, groups, in_order, lines, shares
from local.loadtest.report.reference import REFERENCE, REFERENCE_CPU, REFERENCE_NOTE
from local.loadtest.result_files import Recording, beside_of, facts
from local.loadtest.scenario import Plan
from local.results.report import Plot, Report, Section, Table, Tile
from local.results.result import Result

__all__ = ["load_report", "stages_table", "write_report"]

#: The parts of a search, in the order in which it passes them.
_WAY = ("gateway", "function", "embedder", "index", "ledger", "rest")
#: With this many stages or more, figures are also drawn by the number of users.
MANY_STAGES = 4
#: The growth of memory is shown if a stage has this many seconds or more.
SOAK_S = 600.0
_HEADINGS = ("users", "req/s", "P50 ms", "P95 ms", "P99 ms", "errors", "reference req/s", "reference P99 ms")


def write_report(recording: Recording, folder: Path) -> Path:
    """Write report.html, report.md and figures.json beside the run; returns the page."""
    stages = stage_figures(recording.plan, recording.run)
    figures = {"head": recording.head, "stages": [_plain(stage) for stage in stages]}
    return Result("load", figures).save_report(folder, load_report(recording, beside_of(folder)))


def load_report(recording: Recording, beside: Recording | None = None) -> Report:
    """All sections of the report; `beside` is the same load on a service with another embedding model."""
    stages, over_time = stage_figures(recording.plan, recording.run), timeline(recording.plan, recording.run)
    bands = [
        Band(began, end, f"{stage.users} users")
        for (began, end), stage in zip(recording.plan.windows(), recording.plan.stages, strict=True)
    ]
    sections = [_stages(stages), _kinds(stages), _over_time(over_time, bands), _way(stages)]
    if over_time.cpu_percent:
        sections += [_cpu(stages, over_time, bands), _memory(stages, over_time, bands)]
        sections.append(_growth(over_time, recording.plan))
    sections.append(embedder_section(recording.head.get("embedder_beside_infinity")))
    if len(stages) >= MANY_STAGES:
        sections.insert(1, _by_users(stages))
    if beside is not None:
        sections[:0] = models_sections(beside, recording)
    return Report(
        title="Forgetless under load",
        lead=_lead(recording),
        tiles=tuple(Tile(f"P99, {one.users} users", f"{one.latency.p99:.0f} ms", _tile_note(one)) for one in stages),
        sections=tuple(section for section in sections if section is not None),
        facts=facts(recording.head),
    )


def stages_table(stages: Sequence[StageFigures]) -> Table:
    """The table that is printed last."""
    return Table(_HEADINGS, _stage_rows(stages), title="Forgetless beside the reference system", left=())


def _stages(stages: Sequence[StageFigures]) -> Section:
    rows = {
        f"{one.users} users": {"Forgetless": one.latency.p99, "reference": REFERENCE[one.users].p99_ms}
        for one in stages
        if one.users in REFERENCE
    }
    if not rows:
        shown = len(_HEADINGS) - 2
        return Section("By stage", "", Table(_HEADINGS[:shown], tuple(row[:shown] for row in _stage_rows(stages))))
    plot = groups("P99 by users", rows, unit="ms")
    return Section("The reference system's table", "", Table(_HEADINGS, _stage_rows(stages)), (plot,), REFERENCE_NOTE)


def _stage_rows(stages: Sequence[StageFigures]) -> tuple[tuple[str, ...], ...]:
    rows = []
    for one in stages:
        beside = REFERENCE.get(one.users)
        known = (f"{beside.per_second:g}", f"{beside.p99_ms:g}") if beside else ("", "")
        timed = one.latency
        figures = (f"{one.per_second:.1f}", f"{timed.p50:.0f}", f"{timed.p95:.0f}", f"{timed.p99:.0f}", str(one.errors))
        rows.append((str(one.users), *figures, *known))
    return tuple(rows)


def _kinds(stages: Sequence[StageFigures]) -> Section:
    headings = ("request", "users", "answers", "P50 ms", "P95 ms", "P99 ms", "mean ms")
    rows = tuple(
        (kind, str(one.users), f"{of.count:,}", f"{of.p50:.0f}", f"{of.p95:.0f}", f"{of.p99:.0f}", f"{of.mean:.1f}")
        for kind in dict.fromkeys(kind for one in stages for kind in one.kinds)
        for one in stages
        if (of := one.kinds.get(kind)) is not None
    )
    return Section(
        "By request",
        "Latencies are those of good answers; errors are counted, never averaged in.",
        Table(headings, rows),
    )


def _over_time(over_time: Timeline, bands: Sequence[Band]) -> Section:
    at = over_time.at
    plots = [
        lines("Latency", at, {"P50": over_time.p50, "P99": over_time.p99}, unit="ms", bands=bands),
        lines("Answers in a second", at, {"req/s": over_time.per_second}, unit="req/s", bands=bands),
    ]
    if any(over_time.errors):
        plots.append(lines("Errors", at, {"errors": over_time.errors}, unit="in 5 s", bands=bands))
    return Section("Over time", "Each point stands for five seconds.", plots=tuple(plots))


def _way(stages: Sequence[StageFigures]) -> Section | None:
    rows = {
        f"{one.users} users": {part: one.parts[part] for part in _ordered(one.parts)} for one in stages if one.parts
    }
    if not rows:
        return None
    parts = _ordered({part: 0.0 for row in rows.values() for part in row})
    measured = [one for one in stages if one.parts]
    own = {"wait": "in the embedder's queue", "model": "a batch in the model"} if measured[0].embedder else {}
    table = Table(
        ("users", *parts, *own.values()),
        tuple(
            (
                str(one.users),
                *(f"{one.parts.get(part, 0.0):.1f}" for part in parts),
                *(f"{one.embedder[name]:.1f}" if name in one.embedder else "" for name in own),
            )
            for one in measured
        ),
    )
    text = (
        "Mean milliseconds of a search, from its Server-Timing. The gateway's part includes waiting for a free "
        "environment; function is what is neither embedder, index (Milvus) nor ledger; rest is the way back, the "
        "runtime and the load generator itself."
    )
    note = "The last two columns are the embedder's own means, over adds and searches." if own else ""
    plots = (shares("Mean search", rows, unit="ms"),)
    return Section("Where the time of a search goes", text, table, plots, note)


def _cpu(stages: Sequence[StageFigures], over_time: Timeline, bands: Sequence[Band]) -> Section:
    parts = _used(over_time.cpu_percent)
    rows = [
        (
            part,
            *(f"{one.cpu_percent.get(part, 0.0):.0f} %" for one in stages),
            *("" if part == OTHERS else f"{one.cpu_ms.get(part, 0.0):.1f}" for one in stages),
        )
        for part in parts
    ]
    ours = [part for part in parts if part not in {LOAD_GENERATOR, OTHERS}]
    total: tuple[str, ...] = ("the service in all",)
    total += tuple(f"{sum(one.cpu_percent.get(part, 0.0) for part in ours):.0f} %" for one in stages)
    total += tuple(f"{sum(one.cpu_ms.get(part, 0.0) for part in ours):.1f}" for one in stages)
    headings = ("part", *(f"{one.users} users" for one in stages), *(f"ms a request, {one.users}" for one in stages))
    reference = ", ".join(f"{part} {percent:g} %" for part, percent in REFERENCE_CPU.items())
    return Section(
        "CPU",
        "In percent of one core, and in milliseconds for one request of the mix. The queue runs within the gateway. "
        "Where other programs take much, they make every latency above longer.",
        Table(headings, (*rows, total), marked=len(rows)),
        (
            areas(
                "CPU of each part",
                over_time.cpu_at,
                {part: over_time.cpu_percent[part] for part in parts},
                unit="% of a core",
                bands=bands,
            ),
        ),
        f"The reference system: {reference}.",
    )


def _memory(stages: Sequence[StageFigures], over_time: Timeline, bands: Sequence[Band]) -> Section:
    parts = in_order(part for part in over_time.memory if any(over_time.memory[part]))
    megabytes = {part: [size / 2**20 for size in over_time.memory[part]] for part in parts}
    rows = tuple((part, *(f"{one.memory.get(part, 0) / 2**20:.0f}" for one in stages)) for part in parts)
    plot: Plot = areas("Memory of each part", over_time.memory_at, megabytes, unit="MB", bands=bands)
    text = "The most of each stage in MB, all processes of a part together; what processes share counts once (PSS)."
    return Section("Memory", text, Table(("part", *(f"{one.users} users" for one in stages)), rows), (plot,))


def _growth(over_time: Timeline, plan: Plan) -> Section | None:
    """Return the growth of memory in a soak test, by a line fitted to the second half, when caches are full."""
    began, end = max(plan.windows(), key=lambda window: window[1] - window[0])
    half = [place for place, at in enumerate(over_time.memory_at) if (began + end) / 2 <= at < end]
    if end - began < SOAK_S or not half:
        return None
    rows = []
    for part in in_order(over_time.memory):
        megabytes = [over_time.memory[part][place] / 2**20 for place in half]
        grown = slope([over_time.memory_at[place] for place in half], megabytes)
        if grown is not None and part != LOAD_GENERATOR:
            rows.append((part, f"{sum(megabytes) / len(half):.0f}", f"{grown * 3600:+.1f}"))
    text = "A line fitted to the memory of the second half of the longest stage; a leak is a slope that stays."
    return Section("Growth of memory", text, Table(("part", "mean MB", "MB in an hour"), tuple(rows)))


def _by_users(stages: Sequence[StageFigures]) -> Section:
    """Return at how many users throughput stops growing, and which part was busiest there."""
    users = [float(one.users) for one in stages]
    best = max(stages, key=lambda one: one.per_second)
    busiest = max(
        ((percent, part) for part, percent in best.cpu_percent.items() if part not in {LOAD_GENERATOR, OTHERS}),
        default=(0.0, ""),
    )
    text = (
        f"Most answers in a second: {best.per_second:.1f}, at {best.users} users, with P99 {best.latency.p99:.0f} ms."
    )
    if busiest[1]:
        text += f" The part with most CPU was then {busiest[1]} with {busiest[0]:.0f} % of a core."
    plots = (
        lines(
            "Answers in a second",
            users,
            {"req/s": [one.per_second for one in stages]},
            unit="req/s",
            x_unit="users",
            marks=True,
        ),
        lines(
            "Latency",
            users,
            {"P50": [one.latency.p50 for one in stages], "P99": [one.latency.p99 for one in stages]},
            unit="ms",
            x_unit="users",
            marks=True,
        ),
    )
    return Section("By users", text, plots=plots)


def _ordered(parts: Mapping[str, float]) -> list[str]:
    return [part for part in _WAY if part in parts] + [part for part in parts if part not in _WAY]


def _used(percent: Mapping[str, Sequence[float]]) -> list[str]:
    """Return the parts that used enough CPU for a line."""
    return in_order(part for part, values in percent.items() if max(values, default=0.0) >= 1.0)


def _tile_note(one: StageFigures) -> str:
    return f"{one.per_second:.1f} req/s · {one.errors} errors"


def _lead(recording: Recording) -> str:
    head, plan = recording.head, recording.plan
    low, high = plan.think_s
    users = "/".join(str(stage.users) for stage in plan.stages)
    stopped = " Stopped before its end." if recording.run.interrupted else ""
    return (
        f"{users} users with {low:g} to {high:g} s of think time, mix “{plan.mix}”, over {head['memories']:,} memories "
        f"of {head['users']} users, driven by {head['tool']} on the same machine.{stopped}"
    )


def _plain(stage: StageFigures) -> dict[str, object]:
    return asdict(stage) | {"per_second": round(stage.per_second, 2), "cpu_ms": stage.cpu_ms}
