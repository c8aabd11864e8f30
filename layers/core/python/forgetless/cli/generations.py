"""The command `generations`: which index serves, how far the next one is, and how to switch, go back and drop."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict

from forgetless.adapters.clock import SystemClock
from forgetless.cli.text import printable
from forgetless.domain.bulk_jobs import BulkJob
from forgetless.domain.errors import ForgetlessError, InvalidRequestError
from forgetless.domain.generations import Generation, Generations, Phase
from forgetless.runtime.composition import build_services, is_absent
from forgetless.runtime.settings import Settings
from forgetless.service.generations.kept import GenerationServices

__all__ = ["add_generations_command"]

OK = 0
_LOOK_S = 5.0

_DESCRIPTION = """
A generation is the index of one embedding model and one recipe. After a change, the next one is filled while the old
one serves. Without an action, the command shows both. The work is done by the running service, so commands return at
once; a switch takes about two minutes.
"""
_SAYS = {
    Phase.SPREADING: "is about to be filled",
    Phase.FILLING: "is being filled",
    Phase.READY: "is filled and does not serve yet",
    Phase.JOINING: "is about to serve",
    Phase.SETTLING: "served until now",
    Phase.OLD: "served before, and can serve again",
    Phase.STALE: "served before, and cannot serve again",
}
Act = Callable[[GenerationServices, argparse.Namespace], str]


def add_generations_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    command = commands.add_parser(
        "generations", help="show the generations of the index, switch, go back or drop", description=_DESCRIPTION
    )
    command.add_argument("--json", action="store_true", help="print the record as JSON")
    command.add_argument("--compare", action="store_true", help="search for 200 sampled memories in both, and compare")
    command.add_argument("--watch", action="store_true", help="print what changes, until nothing is being filled")
    command.set_defaults(run=_run, act=None)
    actions = command.add_subparsers(metavar="ACTION")
    fill = actions.add_parser("fill", help="fill the generation that the settings ask for")
    fill.add_argument("--switch", action="store_true", help="let it serve once it is filled, if it finds enough")
    fill.set_defaults(act=_fill)
    switch = actions.add_parser("switch", help="let the filled generation serve")
    switch.set_defaults(act=_switch)
    back = actions.add_parser("back", help="let the generation serve again that served before")
    back.set_defaults(act=_back)
    for one in (switch, back):
        one.add_argument("--force", action="store_true", help="even if it lacks memories or finds too few")
    drop = actions.add_parser("drop", help="drop the generation that does not serve, and its rows")
    drop.set_defaults(act=_drop)


def _run(settings: Settings, options: argparse.Namespace) -> int:
    if is_absent(settings):
        raise InvalidRequestError(f"there is no ledger yet: {settings.ledger_path}")
    with closing(build_services(settings)) as services:
        generations = services.generations
        assert generations is not None
        if options.act is not None:
            print(printable(options.act(generations, options)))
            return OK
        if options.watch:
            _watch(generations)
            return OK
        known = generations.upkeep.record.now()
        if options.json:
            job = generations.upkeep.job()
            past_job = generations.upkeep.past_job()
            progress = {"progress": None if job is None else asdict(job)}
            past = {"past_progress": None if past_job is None else asdict(past_job)}
            print(json.dumps({**known.body(), **progress, **past}, indent=1))
            return OK
        for line in _lines(generations, known, compare=options.compare):
            print(printable(line))
    return OK


def _watch(generations: GenerationServices) -> None:
    """Print a line at each change. It waits for sweep to begin what the settings ask for."""
    clock, wanted, last = SystemClock(), generations.upkeep.rules.wanted.collection, ""
    while True:
        known = generations.upkeep.record.now()
        job = generations.upkeep.job() if known.worked_on else None
        line = _state(known) if job is None else f"{_state(known)}: {_progress(job)}"
        if known.other is not None and line != last:
            last = line
            print(printable(line), flush=True)
        if not known.worked_on and not known.lacks(wanted) and not known.switching:
            return
        clock.sleep(_LOOK_S)


def _state(known: Generations) -> str:
    other = known.other
    if other is None:
        return f"{known.serving.collection} serves"
    reason = f" ({known.reason})" if known.reason else ""
    serves = "" if known.phase is Phase.FILLING else f"{known.serving.collection} serves; "
    return f"{serves}{other.collection} {_SAYS[known.phase]}{reason}"


def _fill(generations: GenerationServices, options: argparse.Namespace) -> str:
    known = generations.upkeep.begin(switching=options.switch)
    return f"{known.other.collection if known.other else ''} {_SAYS.get(known.phase, '')}"


def _switch(generations: GenerationServices, options: argparse.Namespace) -> str:
    known = generations.upkeep.switch(force=options.force)
    return f"{known.other.collection if known.other else ''} serves soon, unless `forgetless generations` says why not"


def _back(generations: GenerationServices, options: argparse.Namespace) -> str:
    known = generations.upkeep.back(force=options.force)
    return f"{known.other.collection if known.other else ''} serves again soon"


def _drop(generations: GenerationServices, options: argparse.Namespace) -> str:
    del options
    return f"{generations.upkeep.drop().collection} is dropped"


def _lines(generations: GenerationServices, known: Generations, *, compare: bool) -> Iterator[str]:
    yield f"{known.serving.collection} serves, with {_rows(generations, known.serving)}"
    yield from _past(generations, known)
    if known.other is None:
        rules = generations.upkeep.rules
        wanted, begins = rules.wanted.collection, rules.by_itself and known.lacks(rules.wanted.collection)
        if wanted != known.serving.collection:
            how = "sweep begins to fill it soon" if begins else "forgetless generations fill --switch"
            yield f"{wanted} is what the settings ask for: {how}"
        return
    yield f"{known.other.collection} {_SAYS[known.phase]}, with {_rows(generations, known.other)}"
    job = generations.upkeep.job()
    if job is not None and not job.finished:
        yield f"  {_progress(job)}"
    if known.reason:
        yield f"  {known.reason}"
    if known.phase is Phase.READY and not known.switching:
        yield "  to let it serve: forgetless generations switch (--force, whatever it lacks)"
    if compare:
        yield f"  {generations.check.measure(known).shown}"


def _rows(generations: GenerationServices, generation: Generation) -> str:
    try:
        return f"{generations.beside.count(generation)[0]:,} rows"
    except ForgetlessError as error:
        return f"rows that cannot be counted: {error.message}"


def _past(generations: GenerationServices, known: Generations) -> Iterator[str]:
    """What the serving generation has of the past."""
    try:
        rows = f"{generations.beside.count(known.serving)[1]:,} rows"
    except ForgetlessError as error:
        rows = f"rows that cannot be counted: {error.message}"
    job = None if known.past_is_filled else generations.upkeep.past_job()
    if known.past_is_filled:
        yield f"  its past versions, for as_of and known_at: {rows}"
    else:
        done = "sweep begins to fill them soon" if job is None else f"being filled: {_progress(job)}"
        yield f"  its past versions, for as_of and known_at: {rows}, {done}"


def _progress(job: BulkJob) -> str:
    # What changes meanwhile is brought again.
    total = "" if job.total is None or job.total < job.done else f" of {job.total:,}"
    error = f"; {job.error}" if job.error else ""
    return f"{job.done:,}{total} memories brought{error}"
