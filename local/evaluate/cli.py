"""The command line of the evaluation: reads conversations, asks a service, and prints, stores or compares recall."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from local.client import Client, add_options, read_connection
from local.evaluate.comparison import comparison_table
from local.evaluate.conversations import Conversation
from local.evaluate.evaluation import Evaluation, Recipe
from local.evaluate.fact_replies import fact_replies
from local.evaluate.files import OWN, read_conversations
from local.evaluate.recall_tables import calibration_tables, recall_figures, recall_table
from local.evaluate.runs import AnsweredConversation, Run
from local.loadtest.scratch_service import scratch_service
from local.results.result import Result, show

__all__ = ["main"]


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Evaluate the files, or compare two runs, and show the figures; raises ToolError."""
    options = _parser().parse_args(arguments)
    console = Console(stderr=options.json)
    if options.compare:
        before, after = map(Run.read, options.compare)
        show(console, comparison_table(before, after))
        return 0
    files = options.files or sorted(OWN.glob("*.jsonl"))
    conversations = [one for path in files for one in read_conversations(path)]
    recipe = _recipe(options)
    about = {"at": datetime.now(UTC).isoformat(timespec="seconds"), **asdict(recipe)}
    with _client(options, environment, conversations) as client:
        run = Run(_tested(client, conversations, recipe, options, console), about)
    if options.save:
        run.save(options.save)
    show(console, recall_table(run), *calibration_tables(run))
    if options.json:
        json.dump(Result("recall", recall_figures(run)).as_object(), sys.stdout, indent=1)
        sys.stdout.write("\n")
    return 0


def _recipe(options: argparse.Namespace) -> Recipe:
    return Recipe(
        names=options.names,
        runs=not options.one_run,
        times=not options.no_times,
        batch=options.batch,
        threshold=options.threshold,
        calibrate=options.calibrate,
        extract=options.own_service,
    )


@contextmanager
def _client(
    options: argparse.Namespace, environment: Mapping[str, str], conversations: Sequence[Conversation]
) -> Iterator[Client]:
    """A client of the running service, or of one that is started for this evaluation in a folder of its own."""
    with ExitStack() as stack:
        if options.own_service:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="forgetless-eval-")))
            llm = stack.enter_context(fact_replies(conversations))
            settings = {"OPENAI_BASE_URL": llm, "OPENAI_API_KEY": "none"}
            connection = stack.enter_context(scratch_service(folder, settings=settings)).connection
        else:
            connection = read_connection(options, environment)
        yield stack.enter_context(Client(connection))


def _tested(
    client: Client,
    conversations: Sequence[Conversation],
    recipe: Recipe,
    options: argparse.Namespace,
    console: Console,
) -> list[AnsweredConversation]:
    """Add all conversations, then ask: other users' data stand beside each, as in use."""
    evaluations = [Evaluation(client, conversation, recipe) for conversation in conversations]
    tested = []
    try:
        for conversation, evaluation in zip(conversations, evaluations, strict=True):
            with console.status(f"{conversation.name}: adding {len(conversation.turns)} turns"):
                evaluation.load()
        for conversation, evaluation in zip(conversations, evaluations, strict=True):
            with console.status(f"{conversation.name}: asking {len(conversation.questions)} questions"):
                tested.append(
                    AnsweredConversation(conversation.name, conversation.group, evaluation.ask(options.clients))
                )
    finally:
        if not options.keep:
            for evaluation in evaluations:
                evaluation.delete()
    return tested


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m local.evaluate",
        description="Recall@5/10/20 of a service over conversations in LoCoMo's or our own format.",
        epilog='Examples: make eval ARGS="conversation.json --save after.json", '
        'make eval ARGS="--compare before.json after.json"',
    )
    parser.add_argument(
        "files", nargs="*", type=Path, metavar="FILE", help="conversations (default: our own, in local/evaluate/data)"
    )
    parser.add_argument(
        "--compare", nargs=2, type=Path, metavar=("BEFORE", "AFTER"), help="compare two runs that --save wrote"
    )
    parser.add_argument("--save", type=Path, metavar="FILE", help="store the run as JSON")
    parser.add_argument(
        "--own-service", action="store_true", help="start a service for this run, on free ports and an empty ledger"
    )
    parser.add_argument(
        "--calibrate",
        action="store_true",
        help="score all rows of each question, to see what scores mean",
    )
    parser.add_argument(
        "--names",
        choices=("text", "field", "none"),
        default="text",
        help="where a speaker's name stands: in the text as in a transcript, in the message's name, or nowhere",
    )
    parser.add_argument("--no-times", action="store_true", help="do not send the conversations' times")
    parser.add_argument(
        "--one-run", action="store_true", help="do not use a run for each session, so that context crosses sessions"
    )
    parser.add_argument("--threshold", type=float, help="the least score of a result (default: the service's)")
    parser.add_argument("--batch", type=int, default=50, help="turns in one call (default %(default)s)")
    parser.add_argument("--clients", type=int, default=4, help="searches at a time (default %(default)s)")
    parser.add_argument("--keep", action="store_true", help="do not delete the evaluation's users afterwards")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON (the tables go to stderr)")
    add_options(parser)
    return parser
