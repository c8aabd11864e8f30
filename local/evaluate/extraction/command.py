"""The command line of make eval-extraction: asks an LLM for the facts of every case and prints how right they are."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from rich.console import Console

from forgetless.adapters.clock import SystemClock
from forgetless.domain.errors import ForgetlessError
from forgetless.domain.supersession import SupersessionRules
from forgetless.ports.llm import Llm
from forgetless.ports.metrics import LLM_TOKENS, Metric, recording_metrics
from forgetless.runtime.composition import build_embedder, build_llm
from forgetless.runtime.settings import load_settings
from forgetless.service.writing.extraction import extract
from forgetless.service.writing.supersession import Supersession
from local.client import ToolError
from local.evaluate.extraction.cases import CASES, Case, read_cases
from local.evaluate.extraction.recording import RecordingLlm, read_replies, replaying, write_replies
from local.evaluate.extraction.report import Spent, extraction_tables, figures_of
from local.evaluate.extraction.scoring import CaseScore, score
from local.results.result import Result, show

__all__ = ["main"]

#: Replies that are kept beside the cases; docs/evaluation.md says by whom.
RECORDED = Path(__file__).with_name("replies.jsonl")
_DEADLINE_S = 120.0


class _TokenCount:
    """A sink of metrics that adds up the LLM's tokens."""

    def __init__(self, spent: Spent) -> None:
        self._spent = spent

    def record(self, metric: Metric, value: float, labels: tuple[str, ...], _tenant: str) -> None:
        if metric is LLM_TOKENS and labels == ("prompt",):
            self._spent.prompt += int(value)
        elif metric is LLM_TOKENS and labels == ("completion",):
            self._spent.completion += int(value)

    def flush(self) -> None:
        """Nothing is written."""


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Evaluate and print; raises ToolError."""
    options = _parser().parse_args(arguments)
    cases = read_cases(options.cases)
    spent = Spent()
    with _connected(options, environment, cases) as (llm, rules), recording_metrics(_TokenCount(spent)):
        recorder = RecordingLlm(llm)
        scores, replies = [], {}
        for case in cases:
            scores.append(_scored(case, recorder, rules))
            replies[case.name] = recorder.said
        spent.calls, spent.chars = recorder.calls, recorder.chars
    if options.record:
        write_replies(options.record, replies)
    console = Console(stderr=options.json)
    show(console, *extraction_tables(scores))
    for line in spent.lines(options.prices):
        console.print(line, highlight=False)
    if options.json:
        figures = Result("extraction", figures_of(scores, spent, options.prices))
        json.dump(figures.as_object(), sys.stdout, indent=1)
        sys.stdout.write("\n")
    return 0


@contextmanager
def _connected(
    options: argparse.Namespace, environment: Mapping[str, str], cases: Sequence[Case]
) -> Iterator[tuple[Llm, Supersession]]:
    """The LLM that the options and the environment name, or the recording; and the rules of supersession."""
    given = {"OPENAI_BASE_URL": options.url, "FORGETLESS_LLM_MODEL": options.model}
    with ExitStack() as stack:
        if options.replies:
            given["OPENAI_BASE_URL"] = stack.enter_context(replaying(cases, read_replies(options.replies)))
        settings = load_settings({**environment, **{name: value for name, value in given.items() if value}})
        llm = build_llm(settings)
        if llm is None:
            raise ToolError(
                "no LLM: give --url and --model, or set OPENAI_BASE_URL, or repeat a recording by --replies"
            )
        embedder = stack.enter_context(closing(build_embedder(settings)))
        # How near a fact must be to what it supersedes has an evaluation of its own (local/evaluate/supersessions.py).
        rules = SupersessionRules(nearness=-1.0, any_role=settings.supersession.any_role)
        yield stack.enter_context(closing(llm)), Supersession(embedder=embedder, rules=rules)


def _scored(case: Case, llm: Llm, supersession: Supersession) -> CaseScore:
    request = case.request
    try:
        facts = extract(llm, request, deadline_s=_DEADLINE_S, clock=SystemClock())
    except (ForgetlessError, TimeoutError) as error:
        return score(case, [], [], failure=str(error) or type(error).__name__)
    scope = request.messages[0].scope
    return score(case, facts, supersession.restrict(scope, facts, request.existing, request.messages))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m local.evaluate.extraction",
        description="Precision and recall of an LLM's extractions, its supersessions, tokens and cost. The LLM is that "
        "of the settings (OPENAI_BASE_URL, OPENAI_API_KEY, FORGETLESS_LLM_MODEL, FORGETLESS_LLM_OPTIONS).",
        epilog='Example: make eval-extraction ARGS="--url http://127.0.0.1:11434/v1 --model qwen3:8b"',
    )
    parser.add_argument("--url", help="an OpenAI-compatible endpoint (default: OPENAI_BASE_URL)")
    parser.add_argument("--model", help="its model (default: FORGETLESS_LLM_MODEL)")
    parser.add_argument("--cases", type=Path, default=CASES, help="the cases (default: our own)")
    parser.add_argument(
        "--replies", type=Path, nargs="?", const=RECORDED, help="score a recording instead of an LLM (default: ours)"
    )
    parser.add_argument("--record", type=Path, metavar="FILE", help="keep the replies, for --replies")
    parser.add_argument(
        "--prices", type=float, nargs=2, metavar=("PROMPT", "COMPLETION"), help="what a million tokens cost"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON (the tables go to stderr)")
    return parser
