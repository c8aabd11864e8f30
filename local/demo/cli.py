"""The command line of the demo: replays the story, asks the questions, and shows the answers."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.markup import escape

from local.client import Client, add_options, llm_configured, read_connection
from local.demo.replay import Asked, Replay
from local.demo.story import DAYS, QUESTIONS
from local.results.report import Table
from local.results.result import show

__all__ = ["main"]

_WITHOUT_LLM = """No LLM is configured, so messages were stored as they are. With OPENAI_BASE_URL or
FORGETLESS_LLM_MODEL set for `make up`, this demo shows extraction and supersession too."""


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Replay and ask; raises ToolError. The exit code is 0 however good the answers are."""
    options = _parser().parse_args(arguments)
    console = Console()
    connection = read_connection(options, environment)
    with Client(connection) as client:
        _replay_and_ask(console, Replay(client, "demo", infer=False), options.top_k, forgets=options.forget)
        if llm_configured(client.settings()):
            console.rule("the same story, with facts extracted by the LLM")
            _replay_and_ask(console, Replay(client, "demo-facts", infer=True), options.top_k, forgets=options.forget)
        else:
            console.print(_WITHOUT_LLM, soft_wrap=True)
    if not options.forget:
        console.print(
            f"\nSee what is remembered, and why it was found: {connection.url}/console#/entities", soft_wrap=True
        )
    return 0


def _replay_and_ask(console: Console, replay: Replay, top_k: int, *, forgets: bool) -> None:
    replay.forget()
    try:
        _tell(console, replay)
        asked = []
        for one in replay.ask(top_k):
            asked.append(one)
            _show_answers(console, one)
        good = sum(one.good for one in asked)
        slowest = max(one.seconds for one in asked) * 1000
        console.print(
            f"[bold]{good} of {len(QUESTIONS)} questions answered[/] within the first {top_k} results", end=""
        )
        console.print(f"; slowest search {slowest:.0f} ms\n")
        if replay.infer:
            _show_superseded(console, replay)
    finally:
        if forgets:
            replay.forget()


def _tell(console: Console, replay: Replay) -> None:
    said = sum(len(day.said) for day in DAYS)
    console.print(f"[bold]{said} messages of {len(DAYS)} conversations, in order[/]")
    for told in replay.tell():
        console.print(
            f"  {told.day.date}  {told.day.user:<6} {len(told.day.said):>2} messages → {len(told.results):>2} memories"
            f"  {told.seconds * 1000:5.0f} ms"
        )
        if replay.infer:
            for result in told.results:
                console.print(f"      [dim]{escape(result['memory'])}[/]")
    console.print()


def _show_answers(console: Console, asked: Asked) -> None:
    mark = "[green]✓[/]" if asked.good else "[yellow]·[/]"
    question, took = asked.question, f"[dim]{asked.seconds * 1000:.0f} ms[/]"
    console.print(f"{mark} {question.user}: [bold]{escape(question.text)}[/]  {took}", soft_wrap=True)
    rows = tuple(
        (f"{result['score']:.2f}", str((result.get("metadata") or {}).get("day", "")), result["memory"])
        for result in asked.results
    )
    show(console, Table(("score", "day", "memory"), rows or (("", "", "nothing found"),), left=(1, 2)))


def _show_superseded(console: Console, replay: Replay) -> None:
    histories = list(replay.superseded())
    console.print(f"[bold]{len(histories)} facts were superseded[/]: searches hide them, their history stays")
    for events in histories[:1]:
        for event in events:
            text = event["new_memory"] or event["old_memory"] or ""
            when = event["updated_at"] or event["created_at"]
            console.print(f"  {event['event']:<6} {when}  {escape(text)}", soft_wrap=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m local.demo",
        description="Replay a conversation of several days into the running service and ask ten questions.",
    )
    parser.add_argument("--top-k", type=int, default=3, help="results for each question (default %(default)s)")
    parser.add_argument("--forget", action="store_true", help="delete the demo's memories afterwards")
    add_options(parser)
    return parser
