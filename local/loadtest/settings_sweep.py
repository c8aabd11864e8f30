"""`make sweep` compares settings of the embedder and forms of the service with the default, round by round."""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from local.client import Client, ToolError
from local.loadtest import preload as preloading
from local.loadtest.preload import Preload
from local.loadtest.report.plots import shares
from local.loadtest.result_files import facts, head
from local.loadtest.scratch_service import ScratchService, newer_lite, scratch_service, scratch_uvicorn
from local.loadtest.versus.command import loads_over, pids_of
from local.loadtest.versus.rounds import Contestant, Standing, run_rounds, standings
from local.results.report import Report, Section, Table
from local.results.result import Result, new_folder

__all__ = ["DEFAULT", "VARIANTS", "Variant", "add_options", "sweep", "sweep_report"]

DEFAULT = "default"
#: A variant counts as better from this ratio on; rounds on a shared machine differ by less.
MATTERS = 1.1


@dataclass(frozen=True, slots=True)
class Variant:
    """The differences from the default: variables, uvicorn instead of functions, Milvus Lite 3.2.2 (under uvicorn)."""

    name: str
    settings: Mapping[str, str]
    uvicorn: bool = False
    newer_lite: bool = False


VARIANTS = (
    Variant("batches of 128 texts", {"EMBEDDER_BATCH_ROWS": "128"}),
    Variant("batches of 256 texts", {"EMBEDDER_BATCH_ROWS": "256", "EMBEDDER_BATCH_TOKENS": "1536"}),
    Variant("batches of 768 tokens", {"EMBEDDER_BATCH_TOKENS": "768"}),
    Variant("1 embedder thread", {"EMBEDDER_THREADS": "1"}),
    Variant("4 embedder threads", {"EMBEDDER_THREADS": "4"}),
    Variant("2 embedder processes, 1 thread", {"EMBEDDER_PROCESSES": "2", "EMBEDDER_THREADS": "1"}),
    Variant("4 embedder processes, 1 thread", {"EMBEDDER_PROCESSES": "4", "EMBEDDER_THREADS": "1"}),
    Variant("2 environments a function", {"FORGETLESS_ENVIRONMENTS": "2"}),
    Variant("8 environments a function", {"FORGETLESS_ENVIRONMENTS": "8"}),
    Variant("environments not forked", {"FORGETLESS_FORK": "off"}),
    Variant("uvicorn", {}, uvicorn=True),
    Variant("uvicorn, Milvus Lite 3.2.2", {}, uvicorn=True, newer_lite=True),
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    add = parser.add_argument
    add("--only", nargs="+", metavar="VARIANT", help=f"of: {', '.join(one.name for one in VARIANTS)}")
    add("--memories", type=int, default=500, help="memories that exist before the load (default %(default)s)")
    add("--clients", type=int, nargs="+", default=[4, 16], help="clients without think time (default 4 16)")
    add("--rounds", type=int, default=3, help="rounds of each load, alternating (default %(default)s)")
    add("--seconds", type=float, default=4.0, help="seconds of a round (default %(default)s)")
    add("--out", type=Path, default=Path("load-results"), help="where results go (default %(default)s)")


def sweep(options: argparse.Namespace) -> int:
    """Measure every variant and the default, and write the report; raises ToolError."""
    console, variants = Console(), _chosen(options.only)
    preload = Preload(options.memories, users=10, batch=50)
    found: dict[str, list[Standing]] = {}
    about: dict[str, Any] = {}
    for variant in variants:
        # The default is started again for each variant: memories and caches of earlier rounds would change its speed.
        with tempfile.TemporaryDirectory(prefix="sweep-", ignore_cleanup_errors=True) as scratch, ExitStack() as both:
            default = _started(both, Variant(DEFAULT, {}), Path(scratch) / "default", preload)
            with Client(default.connection) as client:
                about = about or head(client, memories=options.memories, rounds=options.rounds, seconds=options.seconds)
            other = _started(both, variant, Path(scratch) / "variant", preload)
            rounds = run_rounds(
                (default, other), loads_over(preload), clients=options.clients, rounds=options.rounds,
                seconds=options.seconds, progress=lambda _: None,
            )  # fmt: skip
        found[variant.name] = standings(rounds, [DEFAULT, variant.name])
        for one in found[variant.name]:
            console.print(_line(one), soft_wrap=True)
    about |= {"load_average_after": round(os.getloadavg()[0], 2)}
    result = Result("sweep", {"head": about, "sweep": found})
    out = new_folder(options.out, "sweep")
    console.print(f"report: {result.save_report(out, sweep_report(about, found))}")
    return 1 if any(one.errors for lines in found.values() for one in lines) else 0


def sweep_report(about: Mapping[str, Any], found: Mapping[str, Sequence[Standing]]) -> Report:
    """Return a report with a table and a plot for each kind of load; the default is marked."""
    kinds = dict.fromkeys((one.what, one.clients) for lines in found.values() for one in lines)
    return Report(
        title="Settings beside the default",
        lead=(
            f"Through the whole path over {about['memories']:,} memories; {about['rounds']} rounds of "
            f"{about['seconds']:g} s each, the default's and the variant's in turn."
        ),
        sections=tuple(_section(what, clients, found) for what, clients in kinds),
        facts=facts(about),
    )


def _section(what: str, clients: int, found: Mapping[str, Sequence[Standing]]) -> Section:
    lines = [one for some in found.values() for one in some if (one.what, one.clients) == (what, clients)]
    first = next(one for one in lines if one.contestant == DEFAULT)
    variants = [one for one in lines if one.contestant != DEFAULT]
    better = [one.contestant for one in variants if one.ratios["req/s"] >= MATTERS]
    text = (
        f"Better than the default by a tenth or more: {', '.join(better)}."
        if better
        else "No variant is better than the default by a tenth: it stays."
    )
    headings = ("", "req/s", "P99 ms", "CPU ms", "memory MB", "req/s ×", "P99 ×", "CPU ×", "errors")
    bars = {one.contestant: {"req/s": one.ratios["req/s"]} for one in (first, *variants)}
    rows = tuple(_row(one) for one in (first, *variants))
    plot = shares("Answers in a second, as a multiple of the default's", bars, unit="×")
    return Section(f"{what}, {clients} clients", text, Table(headings, rows, marked=0), (plot,))


def _row(one: Standing) -> tuple[str, ...]:
    figures = (f"{one.per_second:.1f}", f"{one.p99_ms:.0f}", f"{one.cpu_ms:.1f}", f"{one.memory / 2**20:.0f}")
    ratios = (f"{one.ratios[name]:.2f}" for name in ("req/s", "P99", "CPU"))
    return (one.contestant, *figures, *ratios, str(one.errors))


def _started(running: ExitStack, variant: Variant, folder: Path, preload: Preload) -> Contestant:
    own: ScratchService = running.enter_context(scratch_service(folder, settings=variant.settings))
    parts = pids_of(own)
    connection, pid, milvus = own.connection, parts["gateway"], parts["milvus"]
    settings: dict[str, str] = {}
    if variant.newer_lite:
        settings["FORGETLESS_MILVUS_URI"], milvus = running.enter_context(newer_lite(folder))
    if variant.uvicorn:
        connection, pid = running.enter_context(scratch_uvicorn(own, folder, settings=settings))
    with Client(connection) as client:
        preloading.load(client, preload, lambda _: None, empty=True)
    return Contestant(variant.name, connection, (pid, milvus, parts["embedder"]))


def _chosen(names: Sequence[str] | None) -> Sequence[Variant]:
    known = {one.name: one for one in VARIANTS}
    unknown = [name for name in names or () if name not in known]
    if unknown:
        raise ToolError(f"--only: {unknown[0]!r} is none of: {', '.join(known)}")
    return [known[name] for name in names] if names else VARIANTS


def _line(one: Standing) -> str:
    rate = f"{one.per_second:7.1f} req/s (× {one.ratios['req/s']:.2f})"
    cpu = f"{one.cpu_ms:6.1f} ms CPU (× {one.ratios['CPU']:.2f})"
    who = f"{one.what:6} {one.clients:3} clients  {one.contestant:31}"
    return f"{who} {rate}  P99 {one.p99_ms:7.1f} ms  {cpu}  {one.errors} errors"
