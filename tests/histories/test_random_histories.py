"""Histories that are right are always accepted; with one answer changed they are nearly always refused."""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.histories.checker import check
from tests.histories.history import History, Kind, Operation, Outcome, load, save
from tests.histories.random_histories import Shape, run

shapes = st.builds(
    Shape,
    operations=st.integers(1, 150),
    clients=st.integers(1, 25),
    unknown=st.sampled_from((0.0, 0.05, 0.3)),
    versions=st.booleans(),
    full=st.integers(1, 8),
)


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32), shape=shapes)
def test_histories_that_are_right_are_accepted(seed: int, shape: Shape) -> None:
    judgement = check(run(seed, shape))

    assert judgement.anomalies == []
    assert judgement.undecided == []


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32), shape=shapes, cut=st.floats(0, 1))
def test_the_beginning_of_a_right_history_is_accepted(seed: int, shape: Shape, cut: float) -> None:
    """As after a run that was killed: what was in flight then is unknown, and nothing is known of the rest."""
    history = run(seed, shape)
    end = max(one.started for one in history.operations) * cut
    begun = [one for one in history.operations if one.started <= end]
    operations = tuple(one if one.ended and one.ended <= end else _unanswered(one) for one in begun)

    assert check(replace(history, operations=operations, rest=None)).anomalies == []


def _unanswered(operation: Operation) -> Operation:
    return replace(operation, ended=None, outcome=Outcome.UNKNOWN, answer={})


#: How an answer is falsified: returns False where it has nothing of the kind.
Falsify = Callable[[dict[str, Any], random.Random], bool]


def _memories(answer: dict[str, Any]) -> list[dict[str, Any]]:
    shown = answer.get("memories") or ([answer["memory"]] if answer.get("memory") else [])
    return [one for one in shown if "superseded_by" in one]


def another_text(answer: dict[str, Any], chance: random.Random) -> bool:
    shown = _memories(answer)
    if shown:
        chance.choice(shown)["text"] = "Wine is for nobody"
    return bool(shown)


def another_version(answer: dict[str, Any], chance: random.Random) -> bool:
    shown = [one for one in _memories(answer) if "version" in one]
    if shown:
        chance.choice(shown)["version"] += chance.choice((-1, 1))
    return bool(shown)


def no_metadata(answer: dict[str, Any], chance: random.Random) -> bool:
    shown = [one for one in _memories(answer) if one["metadata"]]
    if shown:
        chance.choice(shown)["metadata"].popitem()
    return bool(shown)


def another_expiration(answer: dict[str, Any], chance: random.Random) -> bool:
    shown = _memories(answer)
    if shown:
        chance.choice(shown)["expiration"] = "2998-12-31"
    return bool(shown)


def twice(answer: dict[str, Any], chance: random.Random) -> bool:
    shown = answer.get("memories")
    if shown:
        shown.append(chance.choice(shown))
    return bool(shown)


def a_lost_event(answer: dict[str, Any], chance: random.Random) -> bool:
    told = answer.get("events", [])
    if len(told) < 2:
        return False
    # Without the last it may be what was there a moment before.
    told.pop(chance.randrange(len(told) - 1))
    return True


FALSIFIED: tuple[Falsify, ...] = (another_text, another_version, no_metadata, another_expiration, twice, a_lost_event)


def falsified(history: History, falsify: Falsify, chance: random.Random) -> History | None:
    """With one answer changed, where any can be."""
    kinds = {Kind.GET, Kind.LIST, Kind.SEARCH, Kind.HISTORY, Kind.UPDATE}
    answered = [one for one in history.operations if one.outcome is Outcome.OK and one.kind in kinds]
    for operation in chance.sample(answered, len(answered)):
        answer = deepcopy(dict(operation.answer))
        if falsify(answer, chance) and answer != operation.answer:
            changed = replace(operation, answer=answer)
            return replace(
                history, operations=tuple(changed if one is operation else one for one in history.operations)
            )
    return None


def test_with_one_answer_changed_they_are_nearly_always_refused() -> None:
    tried: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    for seed in range(25):
        history = run(seed, Shape(120, clients=6, unknown=0.05))
        for falsify in FALSIFIED:
            wrong = falsified(history, falsify, random.Random(seed))
            if wrong is not None:
                tried[falsify.__name__] += 1
                refused[falsify.__name__] += bool(check(wrong).anomalies)

    assert all(tried[falsify.__name__] > 15 for falsify in FALSIFIED)
    assert {name: refused[name] / tried[name] for name in tried if refused[name] < 0.9 * tried[name]} == {}


def test_with_one_acknowledged_change_undone_they_are_nearly_always_refused() -> None:
    """A change that no client asked for is the same as one that was lost, seen from the other side."""
    tried = refused = 0
    for seed in range(25):
        history = run(seed, Shape(120, clients=6, unknown=0.05))
        changes = [one for one in history.operations if one.outcome is Outcome.OK and one.kind is Kind.UPDATE]
        dropped = random.Random(seed).choice(changes)
        rest = tuple(one for one in history.operations if one is not dropped)
        tried += 1
        refused += bool(check(replace(history, operations=rest)).anomalies)

    assert refused >= 0.9 * tried


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_a_saved_history_is_read_as_it_was(seed: int) -> None:
    history = run(seed, Shape(60))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "history.jsonl"
        save(history, path)

        assert load(path) == history


def test_too_many_orders_are_undecided_and_never_called_good() -> None:
    history = run(5, Shape(150, clients=10))
    needed = check(history).explored

    judgement = check(history, budget=5)

    assert needed > 5
    assert judgement.undecided
    assert not judgement.good
