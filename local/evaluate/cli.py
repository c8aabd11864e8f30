"""The command line of the evaluation: reads files and prints recall."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from local.client import Client, add_options, read_connection
from local.evaluate.evaluation import Evaluation, Recipe
from local.evaluate.locomo import Conversation, read_conversation
from local.evaluate.recall import Answer
from local.evaluate.recall_table import recall_figures, recall_table
from local.results.result import Result, show

__all__ = ["main"]


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Evaluate each file and show the figures; raises ToolError."""
    options = _parser().parse_args(arguments)
    recipe = Recipe(speaker=not options.plain, runs=not options.one_run, batch=options.batch)
    conversations = [read_conversation(path) for path in options.files]
    console = Console(stderr=options.json)
    answers: dict[str, list[Answer]] = {}
    with Client(read_connection(options, environment)) as client:
        for conversation in conversations:
            answers[conversation.name] = _evaluate(client, conversation, recipe, options, console)
    show(console, recall_table(answers))
    if options.json:
        json.dump(Result("recall", recall_figures(answers)).as_object(), sys.stdout, indent=1)
        sys.stdout.write("\n")
    return 0


def _evaluate(
    client: Client, conversation: Conversation, recipe: Recipe, options: argparse.Namespace, console: Console
) -> list[Answer]:
    evaluation = Evaluation(client, conversation, recipe)
    try:
        with console.status(f"{conversation.name}: adding {len(conversation.turns)} turns"):
            evaluation.load()
        with console.status(f"{conversation.name}: asking {len(conversation.questions)} questions"):
            return evaluation.ask(options.clients)
    finally:
        if not options.keep:
            evaluation.delete()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m local.evaluate",
        description="Recall@5/10/20 of the running service over LoCoMo-format files.",
        epilog='Example: make eval ARGS="conversation.json --json"',
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a conversation in LoCoMo's format")
    parser.add_argument("--plain", action="store_true", help="store the text alone, without the speaker's name")
    parser.add_argument(
        "--one-run", action="store_true", help="do not use a run for each session, so that context crosses sessions"
    )
    parser.add_argument("--batch", type=int, default=50, help="turns in one call (default %(default)s)")
    parser.add_argument("--clients", type=int, default=4, help="searches at a time (default %(default)s)")
    parser.add_argument("--keep", action="store_true", help="do not delete the evaluation's users afterwards")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON (the table goes to stderr)")
    add_options(parser)
    return parser
