"""The command `migrate`: brings the ledger to this program's schema, or says what the upgrade will do and how long."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from forgetless.cli.text import printable
from forgetless.domain.errors import ForgetlessError
from forgetless.ports.embedder import EmbeddingTask
from forgetless.ports.schema_plan import SchemaPlan
from forgetless.runtime.composition import build_embedder, build_erasure_log, build_ledger, collection_name
from forgetless.runtime.index_note import place_of, read_note
from forgetless.runtime.settings import Settings

__all__ = ["add_migrate_command"]

OK = 0
#: What is embedded to measure how fast a new generation of the index is filled: memories of the usual length.
_SAMPLES = [f"Likes to drink green tea in the garden after work, number {number}." for number in range(64)]


@dataclass(frozen=True, slots=True)
class _IndexPlan:
    """`held` is the collection that is in use, None if unknown; `seconds` is None if nothing has to be embedded."""

    held: str | None
    ours: str
    memories: int | None
    seconds: float | None
    problem: str = ""

    @property
    def rebuilt(self) -> bool:
        """Whether all memories are embedded again."""
        return self.held is not None and self.held != self.ours


def add_migrate_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    migrate = commands.add_parser(
        "migrate",
        help="migrate the ledger to this program's schema; with --plan only say what an upgrade will do",
        description="SQLite's ledger is migrated by whatever opens it first; DynamoDB's by this command alone. "
        "docs/upgrades.md has the order of an upgrade, and the way back.",
    )
    migrate.add_argument("--create", action="store_true", help="create the DynamoDB tables, where no template does")
    migrate.add_argument("--plan", action="store_true", help="change nothing, and say what will be done and how long")
    migrate.add_argument("--no-trial", action="store_true", help="with --plan: do not try it on a copy of the file")
    migrate.add_argument("--json", action="store_true", help="with --plan: print it as JSON")
    migrate.add_argument("--marker", type=Path, help="with --plan: the marker of `forgetless reindex`")
    migrate.set_defaults(run=_migrate)


def _migrate(settings: Settings, options: argparse.Namespace) -> int:
    if options.plan:
        return _plan(settings, options)
    ledger = build_ledger(settings)
    if options.create and settings.ledger == "dynamodb":
        from forgetless.adapters.ledger_dynamodb import DynamoLedger  # noqa: PLC0415

        assert isinstance(ledger, DynamoLedger)
        ledger.create_table()
        _create_log(settings)
    print(f"steps: {ledger.migrate()}")
    ledger.close()
    return OK


def _create_log(settings: Settings) -> None:
    from forgetless.adapters.ledger_dynamodb.erasure_log import DynamoErasureLog  # noqa: PLC0415

    log = build_erasure_log(settings)
    assert isinstance(log, DynamoErasureLog)
    log.create_table()
    log.close()


def _plan(settings: Settings, options: argparse.Namespace) -> int:
    schema = _schema_plan(settings, trial=not options.no_trial)
    index = _index_plan(settings, options, schema)
    if options.json:
        print(json.dumps({"ledger": asdict(schema), "index": asdict(index)}, indent=1))
        return OK
    print("\n".join(printable(line) for line in [*_ledger_lines(schema), *_index_lines(index)]))
    return OK


def _schema_plan(settings: Settings, *, trial: bool) -> SchemaPlan:
    if settings.ledger == "sqlite":
        from forgetless.adapters.ledger_sqlite.schema_plan import plan  # noqa: PLC0415

        return plan(Path(settings.ledger_path), trial=trial)
    from forgetless.adapters.ledger_dynamodb import DynamoLedger  # noqa: PLC0415

    with closing(build_ledger(settings)) as ledger:
        assert isinstance(ledger, DynamoLedger)
        return ledger.plan()


def _index_plan(settings: Settings, options: argparse.Namespace, schema: SchemaPlan) -> _IndexPlan:
    note, ours = read_note(place_of(settings, options.marker)), collection_name(settings)
    held = None if note is None else note.collection
    if held is None or held == ours or not schema.held:
        return _IndexPlan(held, ours, None, None)
    try:
        rate = _embeddings_per_s(settings)
    except ForgetlessError as error:
        return _IndexPlan(held, ours, schema.memories, None, error.message)
    return _IndexPlan(held, ours, schema.memories, None if schema.memories is None else schema.memories / rate)


def _embeddings_per_s(settings: Settings) -> float:
    with closing(build_embedder(settings)) as embedder:
        embedder.embed(_SAMPLES[:1], task=EmbeddingTask.PASSAGE)  # opens the connection
        began = time.monotonic()
        embedder.embed(_SAMPLES, task=EmbeddingTask.PASSAGE)
        return len(_SAMPLES) / (time.monotonic() - began)


def _ledger_lines(plan: SchemaPlan) -> Sequence[str]:
    if not plan.held:
        return [f"ledger  {plan.ledger}: there is none yet; it is made with schema {plan.ours}"]
    if plan.held > plan.ours:
        may = "may use it" if plan.least <= plan.ours else f"cannot use it; the least is schema {plan.least}"
        return [f"ledger  {plan.ledger}: schema {plan.held} of a newer Forgetless; this one has {plan.ours} and {may}"]
    if not plan.steps:
        return [f"ledger  {plan.ledger}: schema {plan.held}, as it is"]
    took = "" if plan.seconds is None else f", {_duration(plan.seconds)}"
    rows = "" if plan.rows is None else f" over {plan.rows:,} rows"
    back = (
        f"a Forgetless of schema {plan.held} can go on using it, meanwhile and afterwards"
        if plan.can_be_taken_back
        else f"a Forgetless of schema {plan.held} cannot use it any more: stop the service, and make a copy first"
    )
    steps = f"{plan.steps} step{'s' if plan.steps > 1 else ''}"
    return [f"ledger  {plan.ledger}: schema {plan.held} to {plan.ours}, {steps}{rows}{took}", f"        {back}"]


def _index_lines(plan: _IndexPlan) -> Sequence[str]:
    if not plan.rebuilt:
        known = "as it is" if plan.held else "not known here; `forgetless check --start` compares it"
        return [f"index   {plan.ours}: {known}"]
    count = "all" if plan.memories is None else f"{plan.memories:,}"
    took = f", {_duration(plan.seconds)}" if plan.seconds is not None else ""
    problem = f" (how long is not known: {plan.problem})" if plan.problem else ""
    return [
        f"index   a new generation, {plan.ours} after {plan.held}: {count} memories are embedded again{took}{problem}",
        "        the present one serves until the new one is filled (forgetless generations)",
    ]


def _duration(seconds: float) -> str:
    return f"about {seconds:.1f} seconds" if seconds < 90 else f"about {seconds / 60:.0f} minutes"
