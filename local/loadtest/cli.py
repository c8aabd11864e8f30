"""The command line of the load test: `load` drives a running service, `report` and `scaling` read a run's files."""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from local.client import DEFAULT_URL, Client, Connection, ToolError, llm_configured, read_connection, state_folder
from local.loadtest import preload as preloading
from local.loadtest.figures import StageFigures, stage_figures
from local.loadtest.monitor import Monitor
from local.loadtest.preload import Preload
from local.loadtest.progress import preload_bar
from local.loadtest.report.both_models import models_tables
from local.loadtest.report.load_report import stages_table, write_report
from local.loadtest.result_files import BESIDE, Recording, beside_of, read_recording
from local.loadtest.run_load_tool import TOOLS, Target, run_load
from local.loadtest.scaling import FULL, check_table, demands, scaling_table
from local.loadtest.scenario import MIXES, Plan, parse_stages, parse_think
from local.loadtest.scratch_service import llm_stub, prepare_model, scratch_service
from local.loadtest.settings_sweep import add_options as add_sweep_options
from local.loadtest.settings_sweep import sweep
from local.loadtest.versus.command import add_options as add_versus_options
from local.loadtest.versus.command import versus
from local.results.result import new_folder, show
from local.up.models import ENGLISH, RANDOM, SIZES

__all__ = ["main"]

_EXAMPLES = """examples:
  make load                                         the reference system's stages against `make up`
  make load ARGS="--quick"                          the same in half a minute, to see that it works
  make load ARGS="--memories 100000 --keep"         over more memories, kept for the next run
  make load EMBEDDING_MODEL=jina-v3-shape            the reference's model beside ours: own services, 25 minutes
  make load KEY=... ARGS="--host http://10.0.0.5:3000"
  python -m local.loadtest report load-results/FOLDER
"""


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run one command; raises ToolError."""
    options = _parser().parse_args(arguments)
    match options.command:
        case "report":
            print(write_report(read_recording(options.folder), options.folder))
            return 0
        case "scaling":
            return _scaling(options)
        case "sweep":
            return sweep(options)
        case "versus-mem0":
            return versus(options, environment)
        case _:
            return _load(options, environment)


def _load(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    console = Console()
    if options.model is None:
        return _finished(console, *_driven(console, options, environment))
    options.own = True
    folder = new_folder(options.out, f"load-{options.tool}")
    # In turn, never at once: each has the machine to itself.
    for model in dict.fromkeys((ENGLISH, options.model)):
        console.print(f"[bold]{model}[/bold]")
        prepare_model(model)
        place = folder if model == options.model else folder / BESIDE
        place.mkdir(exist_ok=True)
        _, recording = _driven(console, options, {**environment, "EMBEDDING_MODEL": model}, place)
        write_report(recording, place)
        if recording.run.interrupted:
            break
    return _finished(console, place, recording)


def _driven(
    console: Console, options: argparse.Namespace, environment: Mapping[str, str], folder: Path | None = None
) -> tuple[Path, Recording]:
    """Preload a service and put the load on it; returns what was recorded, and the folder with its files."""
    with _service(console, options, environment) as (connection, state), Client(connection) as client:
        plan, preload = _planned(options, connection.url)
        folder = folder or new_folder(options.out, f"load-{options.tool}")
        _check_mix(client, plan)
        try:
            added = _preload(console, client, preload)
            if not options.cold:
                preloading.warm(client, preload)
            _say_plan(console, plan, options.tool)
            target = Target(client, connection, _watched(console, state, connection.url))
            recording = run_load(target, plan, preload, tool=options.tool, folder=folder, console=console)
        finally:
            if not options.keep:
                with console.status("deleting the memories of the load"):
                    preloading.forget(client, preload)
    console.print(f"memories: {preload.memories:,} of {len(preload.names)} users ({added:,} added for this run)")
    return folder, recording


def _finished(console: Console, folder: Path, recording: Recording) -> int:
    """Write and print what a run has shown; returns its exit code."""
    console.print(f"report:   {write_report(recording, folder)}")
    stages = stage_figures(recording.plan, recording.run)
    show(console, stages_table(stages))
    beside = beside_of(folder)
    if beside is not None:
        show(console, *models_tables(beside, recording))
    return _exit_code(console, stages, recording)


def _scaling(options: argparse.Namespace) -> int:
    recording = read_recording(options.folder)
    stages = stage_figures(recording.plan, recording.run)
    needs, think_s = demands(stages), sum(recording.plan.think_s) / 2
    if not needs:
        raise ToolError(f"{options.folder}: no CPU figures; they come from a load on a service of this machine")
    console = Console()
    console.print(
        f"this run beside the model of this machine ({options.cores} cores, all parts and the load generator)"
    )
    show(console, check_table(stages, cores=options.cores, think_s=think_s))
    console.print(f"deployed: functions as many as needed, other parts below {FULL:.0%} of their cores")
    show(console, scaling_table(needs, think_s=think_s))
    return 0


def _preload(console: Console, client: Client, preload: Preload) -> int:
    with preload_bar(console, preload.memories) as progress:
        return preloading.load(client, preload, progress)


def _planned(options: argparse.Namespace, url: str) -> tuple[Plan, Preload]:
    stages = parse_stages(options.stages, options.seconds)
    plan = Plan(url, stages, options.ramp, parse_think(options.think), options.mix)
    preload = Preload(options.memories, options.users, options.batch)
    if min(options.memories, options.users, options.batch) < 1 or options.seconds <= 0 or options.ramp < 0:
        raise ToolError("--memories, --users, --batch and --seconds must be above 0, --ramp not below it")
    if options.quick:
        quick = parse_stages("3,6,10", 4.0)
        plan = replace(plan, stages=quick, ramp_s=1.0, think_s=(0.1, 0.3))
        preload = replace(preload, memories=min(preload.memories, 300), users=min(preload.users, 10))
    return plan, preload


def _check_mix(client: Client, plan: Plan) -> None:
    if "extract" in MIXES[plan.mix] and not llm_configured(client.settings()):
        raise ToolError(
            "this mix extracts, but the service has no LLM: give --own, or run `python -m local.llm_stub` and "
            "`OPENAI_BASE_URL=http://127.0.0.1:8090/v1 make up`"
        )


@contextmanager
def _service(
    console: Console, options: argparse.Namespace, environment: Mapping[str, str]
) -> Iterator[tuple[Connection, Path]]:
    """Give the service under load and its state folder: a running one or, with --own, one that ends afterwards."""
    if not options.own:
        given = {"FORGETLESS_API_KEY": environment.get("KEY", ""), **environment}
        yield read_connection(options, given), (options.state or state_folder(environment)).resolve()
        return
    with (
        tempfile.TemporaryDirectory(prefix="forgetless-load-", ignore_cleanup_errors=True) as scratch,
        ExitStack() as running,
    ):
        with console.status("starting a service for this run"):
            llm = llm_stub(Path(scratch)) if options.mix == "extraction" else nullcontext("")
            settings = {"OPENAI_BASE_URL": running.enter_context(llm)}
            if options.model is not None:
                settings["EMBEDDING_MODEL"] = environment["EMBEDDING_MODEL"]
            own = running.enter_context(scratch_service(Path(scratch), settings=settings))
        yield own.connection, own.state


def _watched(console: Console, state: Path, url: str) -> Path | None:
    """Return the state folder if the service under load runs there; only then its processes can be measured."""
    try:
        if Monitor(state).url == url:
            return state
        reason = f"{state} holds another service"
    except ToolError as error:
        reason = str(error)
    console.print(f"[dim]no CPU and memory figures: {reason}[/dim]", soft_wrap=True)
    return None


def _say_plan(console: Console, plan: Plan, tool: str) -> None:
    users = "/".join(str(stage.users) for stage in plan.stages)
    low, high = plan.think_s
    console.print(f"{tool}: {users} users, {low:g}-{high:g} s think time, {plan.seconds:.0f} s in all; Ctrl-C ends it")


def _exit_code(console: Console, stages: Sequence[StageFigures], recording: Recording) -> int:
    failed = sum(not sample.ok for sample in recording.run.samples)
    if recording.run.interrupted:
        console.print("[yellow]stopped before its end; the figures cover the measured time[/yellow]")
    if failed:
        console.print(f"[red]{failed} requests failed[/red]")
    elif not recording.run.samples or not stages:
        console.print("[red]nothing was measured[/red]")
        return 1
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m local.loadtest",
        description=__doc__,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    _load_options(commands.add_parser("load", help="add memories, drive the load, write the report"))
    report = commands.add_parser("report", help="write the report of a run again")
    add_sweep_options(commands.add_parser("sweep", help="compare settings with the default"))
    add_versus_options(commands.add_parser("versus-mem0", help="drive mem0's own server and Forgetless alternately"))
    report.add_argument("folder", type=Path, help="a folder below load-results")
    scaling = commands.add_parser("scaling", help="predict other numbers of users from a run")
    scaling.add_argument("folder", type=Path, help="a folder below load-results")
    scaling.add_argument(
        "--cores", type=int, default=os.cpu_count() or 1, help="cores of the measured machine (default %(default)s)"
    )
    return parser


def _load_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--tool", choices=TOOLS, default=TOOLS[0], help="what drives the load (default %(default)s)")
    add("--host", "--url", dest="url", default=DEFAULT_URL, help="where the service answers (default %(default)s)")
    add("--api-key", help="its key (default: KEY, FORGETLESS_API_KEY, or the file api_key in the state folder)")
    add("--stages", default="30,60,100", help="users of each stage (default %(default)s)")
    add("--seconds", type=float, default=100.0, help="seconds of each stage (default %(default)s)")
    add("--ramp", type=float, default=10.0, help="seconds from one stage to the next (default %(default)s)")
    add("--think", default="1-3", help="seconds between answer and next request; 0 for none (default %(default)s)")
    add(
        "--mix",
        choices=sorted(MIXES),
        default="default",
        help="default: 80 %% searches and 20 %% adds; extraction: an LLM extracts the adds; search: searches only",
    )
    add("--memories", type=int, default=10_000, help="memories that exist before the load (default %(default)s)")
    add("--users", type=int, default=60, help="users who have them (default %(default)s)")
    add("--batch", type=int, default=100, help="memories of one add of the preload (default %(default)s)")
    add("--quick", action="store_true", help="a short run that shows that everything works; its figures mean little")
    add(
        "--model",
        choices=SIZES,
        metavar="NAME",
        help=f"of services that are started for this run: {ENGLISH}, then this one, both in the report "
        f"({', '.join(RANDOM)}: the reference's shape with random weights)",
    )
    add("--own", action="store_true", help="start a service for this run (and an LLM stub, if the mix extracts)")
    add("--cold", action="store_true", help="do not warm up the functions before the load")
    add("--keep", action="store_true", help="keep the memories, so that the next run finds them")
    add("--state", type=Path, help="the state folder of `make up` (FORGETLESS_STATE, .forgetless)")
    add("--out", type=Path, default=Path("load-results"), help="where results go (default %(default)s)")
