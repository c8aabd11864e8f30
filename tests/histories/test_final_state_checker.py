"""At rest every reader must agree with the ledger; each disagreement is found and named."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

from tests.histories.anomalies import AnomalyKind
from tests.histories.checker import check
from tests.histories.fault_free_service import TODAY, Model
from tests.histories.history import History, Rest
from tests.histories.history_script import ZOE, Script

#: Changes what one reader shows, in place.
Damage = Callable[[Any], None]


def settled() -> History:
    """Three memories that live (one of them updated), one superseded and one deleted."""
    script, model = Script(), Model()

    def add(at: float, id_: str, text: str, **options: Any) -> None:
        script.add((at, at + 1), id_, text, **options)
        request = {"scope": ZOE, "texts": [text], "metadata": {}, "expiration": None}
        model.add([id_], request)

    add(0, "m1", "tea")
    add(2, "m2", "milk")
    add(4, "m3", "juice")
    add(6, "m4", "cocoa", infer=True, supersedes=[["m3", "m4"]])
    model.supersede("m3", "m4")
    add(8, "m5", "wine")
    script.delete((10, 11), "m5")
    model.delete("m5")
    script.update((12, 13), "m2", text="coffee")
    model.update("m2", {"text": "coffee"})
    add(14, "m6", "water", infer=True)
    return script.history(model.rest([ZOE]))


def damaged(part: str, damage: Damage) -> History:
    history = settled()
    value = deepcopy(getattr(history.rest, part))
    damage(value)
    assert history.rest is not None
    return replace(history, rest=replace(history.rest, **{part: value}))


def _row(text: str, id_: str, version: int) -> dict[str, Any]:
    return {"id": id_, "version": version, "hash": hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()}


def _double(ledger: Any) -> None:
    ledger["m2"][0]["job"], ledger["m2"][0]["position"] = ledger["m1"][0]["job"], ledger["m1"][0]["position"]


DAMAGES: dict[str, tuple[str, Damage, AnomalyKind]] = {
    "an export lacks a memory": ("export", lambda part: part.pop("m1"), AnomalyKind.READERS_DISAGREE),
    "an export lacks an event": ("export", lambda part: part["m2"].pop(), AnomalyKind.READERS_DISAGREE),
    "an export has another text": (
        "export",
        lambda part: part["m2"][1].update(text="milk"),
        AnomalyKind.READERS_DISAGREE,
    ),
    "an export has words of a deleted memory": (
        "export",
        lambda part: part["m5"][0].update(text="wine"),
        AnomalyKind.ERASED_LEGIBLE,
    ),
    "a history has other metadata": (
        "history",
        lambda part: part["m1"][0].update(metadata={"k": 1}),
        AnomalyKind.READERS_DISAGREE,
    ),
    "a history has words of a deleted memory": (
        "history",
        lambda part: part["m5"][0].update(text="wine"),
        AnomalyKind.ERASED_LEGIBLE,
    ),
    "a get finds nothing": ("get", lambda part: part.update(m1=None), AnomalyKind.READERS_DISAGREE),
    "a get shows an old text": ("get", lambda part: part["m2"].update(text="milk"), AnomalyKind.READERS_DISAGREE),
    "a get shows a deleted memory": (
        "get",
        lambda part: part.update(m5={"id": "m5", "text": "wine"}),
        AnomalyKind.ERASED_LEGIBLE,
    ),
    "a list lacks a memory": ("lists", lambda part: part[0]["memories"].pop(0), AnomalyKind.READERS_DISAGREE),
    "a list has a memory twice": (
        "lists",
        lambda part: part[0]["memories"].append(part[0]["memories"][0]),
        AnomalyKind.LISTED_TWICE,
    ),
    "a list shows a superseded memory": (
        "lists",
        lambda part: part[0]["memories"].append({"id": "m3", "text": "juice"}),
        AnomalyKind.READERS_DISAGREE,
    ),
    "a total is too high": ("totals", lambda part: part[0].update(total=5), AnomalyKind.TOTAL_WRONG),
    "a total is missing": ("totals", lambda part: part.clear(), AnomalyKind.TOTAL_WRONG),
    "a total is of nobody": (
        "totals",
        lambda part: part.append({"kind": "user", "id": "yan", "total": 1}),
        AnomalyKind.TOTAL_WRONG,
    ),
    "a search finds nothing": ("searches", lambda part: part[0]["memories"].clear(), AnomalyKind.INDEX_WRONG),
    "a search shows an old text": (
        "searches",
        lambda part: part[1]["memories"][0].update(text="milk"),
        AnomalyKind.READERS_DISAGREE,
    ),
    "a search shows a deleted memory": (
        "searches",
        lambda part: part[0]["memories"].append({"id": "m5", "text": "wine"}),
        AnomalyKind.ERASED_LEGIBLE,
    ),
    "the index lacks a row": ("index", lambda part: part.pop(), AnomalyKind.INDEX_WRONG),
    "the index has an old row": (
        "index",
        lambda part: part.append({"id": "m2", "version": 1}),
        AnomalyKind.INDEX_WRONG,
    ),
    "the index has a row of a deleted memory": (
        "index",
        lambda part: part.append({"id": "m5", "version": 1}),
        AnomalyKind.INDEX_WRONG,
    ),
    "a row is made of another text": (
        "index",
        lambda part: part.append(_row("milk", "m2", 2)),
        AnomalyKind.INDEX_WRONG,
    ),
    "two memories have one place in a job": ("ledger", _double, AnomalyKind.DOUBLED_ADD),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_disagreement_is_found_and_named(name: str) -> None:
    part, damage, kind = DAMAGES[name]

    judgement = check(damaged(part, damage))

    assert {anomaly.kind for anomaly in judgement.anomalies} == {kind}


def test_readers_that_agree_are_accepted() -> None:
    history = damaged("index", lambda part: part.append(_row("coffee", "m2", 2)))

    assert check(history).anomalies == []


def test_what_was_not_looked_at_is_not_judged() -> None:
    assert check(replace(settled(), rest=Rest())).anomalies == []


def test_an_acknowledged_memory_that_the_ledger_lacks_is_a_lost_add() -> None:
    history = settled()
    assert history.rest is not None
    ledger = {id_: events for id_, events in (history.rest.ledger or {}).items() if id_ != "m1"}

    judgement = check(replace(history, rest=Rest(ledger=ledger)))

    assert [(anomaly.kind, anomaly.memories) for anomaly in judgement.anomalies] == [(AnomalyKind.LOST_ADD, ("m1",))]


def test_an_acknowledged_update_that_the_ledger_lacks_is_a_lost_update() -> None:
    history = damaged("ledger", lambda part: part["m2"].pop())
    assert history.rest is not None

    judgement = check(replace(history, rest=Rest(ledger=history.rest.ledger)))

    assert [(anomaly.kind, anomaly.memories) for anomaly in judgement.anomalies] == [(AnomalyKind.LOST_UPDATE, ("m2",))]


def test_versions_with_a_gap_are_found() -> None:
    history = damaged("ledger", lambda part: part["m2"][1].update(version=3))
    assert history.rest is not None

    judgement = check(replace(history, rest=Rest(ledger=history.rest.ledger)))

    assert AnomalyKind.VERSIONS_NOT_CONTIGUOUS in {anomaly.kind for anomaly in judgement.anomalies}


def test_one_fact_twice_in_a_scope_is_found() -> None:
    script, model = Script(), Model()
    for at, id_ in ((0, "m1"), (1, "m2")):
        script.add((at, at + 3), id_, "tea", infer=True)
        model.add([id_], {"scope": ZOE, "texts": ["tea"], "metadata": {}, "expiration": None})

    judgement = check(script.history(Rest(ledger=model.rest([ZOE]).ledger)))

    assert [anomaly.kind for anomaly in judgement.anomalies] == [AnomalyKind.FACT_TWICE]


def test_an_index_that_finds_a_memory_by_a_text_that_was_never_stored_is_found() -> None:
    """What an update that lost a race has written there."""
    script, model = Script(), Model()
    script.add((0, 1), "m1", "tea")
    script.update((2, 5), "m1", text="milk", status=409)
    model.add(["m1"], {"scope": ZOE, "texts": ["tea"], "metadata": {}, "expiration": None})
    rest = model.rest([ZOE])
    found = {"scope": ZOE, "query": "milk", "memories": [{**model.state("m1"), "words": 4.2}]}

    judgement = check(script.history(replace(rest, searches=[*(rest.searches or ()), found])))

    assert [anomaly.kind for anomaly in judgement.anomalies] == [AnomalyKind.INDEX_WRONG]


def test_what_is_pending_at_rest_is_found() -> None:
    history = settled()
    assert history.rest is not None

    judgement = check(replace(history, rest=replace(history.rest, pending=2)))

    assert [anomaly.kind for anomaly in judgement.anomalies] == [AnomalyKind.INDEX_WRONG]
    assert history.settings["today"] == TODAY
