"""Runs the fuzzer's targets in turn, a time each, from one seed."""

from __future__ import annotations

import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from tests.fuzz.embedder_fuzz import EmbedderFuzz
from tests.fuzz.emulator_fuzz import EmulatorFuzz
from tests.fuzz.filter_fuzz import FilterFuzz
from tests.fuzz.oauth_fuzz import OAuthFuzz
from tests.fuzz.request_fuzz import RequestFuzz, ToolFuzz
from tests.fuzz.targets import FaultFoundError, Target
from tests.fuzz.template_fuzz import TemplateFuzz
from tests.fuzz.webhook_fuzz import WebhookFuzz

__all__ = ["TARGETS", "fuzz"]

TARGETS: Mapping[str, Callable[[Path], Target]] = {
    target.name: target
    for target in (
        FilterFuzz,
        RequestFuzz,
        ToolFuzz,
        OAuthFuzz,
        WebhookFuzz,
        EmbedderFuzz,
        EmulatorFuzz,
        TemplateFuzz,
    )
}


def fuzz(name: str, seed: int, more: Callable[[int], bool]) -> Counter[str]:
    """Try cases of the target while `more` says so of their number; return how they ended.

    A case depends on nothing but the seed, its number and what earlier cases have left behind. Raises FaultFoundError
    with the seed and the number of the case.
    """
    ended: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="fl-fuzz-") as folder, closing(TARGETS[name](Path(folder))) as target:
        number = 0
        while more(number):
            try:
                ended[target.case(random.Random(f"{seed} {number}"))] += 1
            except FaultFoundError as fault:
                raise FaultFoundError(f"{name}, seed {seed}, case {number}: {fault}") from fault
            number += 1
    return ended


def for_seconds(seconds: float) -> Callable[[int], bool]:
    """Whether the time is not over yet."""
    end = time.monotonic() + seconds
    return lambda _number: time.monotonic() < end


def report(name: str, ended: Counter[str]) -> str:
    """One line about a target."""
    counts: Sequence[str] = [f"{count:,} {how}" for how, count in ended.most_common()]
    return f"{name:10} {ended.total():>8,} cases: {', '.join(counts)}"
