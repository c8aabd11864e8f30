"""Reads the final state of a tenant by every kind of request, and the ledger and index directly."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tests.histories.answer_states import event_of_export, event_of_history, state
from tests.histories.history import EventSeen, Kind, Outcome, Rest
from tests.histories.processes import WorldError
from tests.histories.recorder import Draft
from tests.histories.requester import Answer, Requester
from tests.histories.shared_knowledge import word_of
from tests.histories.world import Settled

__all__ = ["read_rest"]

_MANY = 1000
#: The most searches for words that no memory has any more.
_OLD_WORDS = 60


def read_rest(
    requester: Requester,
    settled: Settled,
    scopes: Sequence[Mapping[str, str]],
    written: Iterable[Draft],
    chance: random.Random,
) -> Rest:
    """Read the final state. Raises WorldError when the service does not answer, because then nothing can be checked."""
    export = _by_id(event for event in _export(requester))
    ids = sorted({*settled.ledger, *export})
    histories = {
        id_: [event_of_history(one) for one in _asked(requester, "GET", f"/memories/{id_}/history")] for id_ in ids
    }
    found = {id_: _asked(requester, "GET", f"/memories/{id_}") for id_ in ids}
    get = {id_: None if one is None else state(one) for id_, one in found.items()}
    lists = [{"scope": dict(scope), "memories": _list(requester, scope)} for scope in scopes]
    entities = _asked(requester, "GET", "/entities")
    totals = [{"kind": one["type"], "id": one["id"], "total": one["total_memories"]} for one in entities]
    current = {word_of(one["text"]) for shown in lists for one in shown["memories"]}
    searches = [
        {"scope": dict(scope), "query": word, "memories": _search(requester, scope, word)}
        for scope, word in _words(written, settled.ledger, scopes, current, chance)
    ]
    return Rest(
        ledger=settled.ledger,
        export=export,
        history=histories,
        get=get,
        lists=lists,
        totals=totals,
        searches=searches,
        index=[{"id": id_, "version": version, "hash": hash_} for id_, version, hash_ in settled.rows],
        pending=settled.pending,
    )


def _words(
    written: Iterable[Draft],
    ledger: Mapping[str, list[EventSeen]],
    scopes: Sequence[Mapping[str, str]],
    current: set[str],
    chance: random.Random,
) -> list[tuple[Mapping[str, str], str]]:
    """Return every current word and some that are no longer current, with their scopes.

    What was deleted keeps no ids, so its words are looked for in any scope.
    """
    wanted: dict[str, Mapping[str, str]] = {}
    for draft in written:
        if draft.kind is Kind.ADD:
            wanted |= {word_of(text): draft.request["scope"] for text in draft.request["texts"]}
        elif draft.kind is Kind.UPDATE and "text" in draft.request:
            events = ledger.get(draft.request["id"])
            if events:
                wanted[word_of(draft.request["text"])] = events[0]["scope"] or chance.choice(scopes)
    old = [word for word in wanted if word not in current]
    chosen = [word for word in wanted if word in current] + chance.sample(old, min(len(old), _OLD_WORDS))
    return [(wanted[word], word) for word in chosen]


def _export(requester: Requester) -> Iterable[EventSeen]:
    cursor = None
    while True:
        answer = _answered(requester, "GET", "/export", query={"cursor": cursor} if cursor else None)
        yield from (event for line in answer.body.splitlines() if (event := event_of_export(line)))
        cursor = answer.headers.get("X-Next-Cursor")
        if not cursor:
            return


def _by_id(events: Iterable[EventSeen]) -> dict[str, list[EventSeen]]:
    found: dict[str, list[EventSeen]] = {}
    for event in events:
        found.setdefault(event["id"], []).append(event)
    return found


def _list(requester: Requester, scope: Mapping[str, str]) -> list[Any]:
    body = _asked(requester, "GET", "/memories", query={**scope, "top_k": _MANY, "show_expired": True})
    return [state(one) for one in body["results"]]


def _search(requester: Requester, scope: Mapping[str, str], word: str) -> list[Any]:
    asked = {"query": word, "filters": dict(scope), "top_k": _MANY, "threshold": 0, "explain": True}
    body = _asked(requester, "POST", "/search", body=asked | {"show_expired": True})
    return [state(one) for one in body["results"]]


def _asked(requester: Requester, method: str, path: str, **options: Any) -> Any:
    return _answered(requester, method, path, **options).body


def _answered(requester: Requester, method: str, path: str, **options: Any) -> Answer:
    answer = requester.ask(method, path, repeat=True, **options)
    if answer is None or answer.outcome is not Outcome.OK:
        said = "no answer" if answer is None else f"{answer.status}: {answer.error}"
        raise WorldError(f"at rest {method} {path} is answered with {said}")
    return answer
