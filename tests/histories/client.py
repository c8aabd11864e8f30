"""A client: each method sends one kind of request in one of the two dialects and records the operation."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from tests.histories.accepted_adds import ask_after
from tests.histories.answer_states import event_of_export, event_of_history, state
from tests.histories.history import EventSeen, Kind, Outcome, State
from tests.histories.providers import spoken
from tests.histories.recorder import Draft, Recorder
from tests.histories.requester import Answer, Requester
from tests.histories.shared_knowledge import SharedKnowledge

__all__ = ["Client"]

Scope = Mapping[str, str]
#: Reads the part of a good answer that is recorded.
Shown = Callable[[Any], Mapping[str, Any]]

_LIMIT = 100


class Client:
    """A client for one thread. `words` gives a new word for each text; `queued` is called with jobs in the queue."""

    def __init__(
        self,
        number: int,
        requester: Requester,
        knowledge: SharedKnowledge,
        recorder: Recorder,
        chance: random.Random,
        *,
        word: Callable[[], str],
        queued: Callable[[str], None] | None,
    ) -> None:
        self._number = number
        self._requester = requester
        self._knowledge = knowledge
        self._recorder = recorder
        self._chance = chance
        self._word = word
        self._queued = queued

    def add(self, scope: Scope, *, infer: bool, replacing: str | None = None) -> None:
        """Add one or two memories, verbatim or extracted by the LLM; `replacing` names a word of those to supersede."""
        texts = [self._text(scope) for _ in range(2 if self._likely(0.15) else 1)]
        said = [spoken(text, supersedes=replacing) for text in texts] if infer else texts
        metadata = {"tag": self._chance.choice("ab"), "by": self._number}
        expiration = self._expiration() if self._likely(0.1) else None
        platform = self._likely(0.5)
        request = {"scope": dict(scope), "texts": texts, "metadata": metadata, "expiration": expiration}
        request |= {"infer": infer, "queued": infer and platform and self._queued is not None}
        request |= {"replacing": replacing} if replacing else {}
        body = {"messages": [{"role": "user", "content": one} for one in said], **scope, "infer": infer}
        body |= {"metadata": metadata} | ({"expiration_date": expiration} if expiration else {})
        path = "/v3/memories/add/" if platform else "/memories"
        asked = self._ask(request, "POST", path, body=body, partly=True, key_share=0.6)
        if asked is not None:
            self._added(request, asked)

    def update(self, id_: str, scope: Scope, version: int | None) -> None:
        """Change text, metadata or expiration, or several of them; with `version` only if it is still current."""
        change: dict[str, Any] = {}
        if self._likely(0.5):
            change["text"] = self._text(scope)
        if self._likely(0.35):
            change["metadata"] = {self._chance.choice(("tag", f"m{self._number}")): self._chance.choice("abc")}
        if self._likely(0.2) or not change:
            change["expiration"] = self._expiration()
        body = {("expiration_date" if name == "expiration" else name): value for name, value in change.items()}
        request: dict[str, Any] = {"id": id_, **change}
        headers = {}
        if version is not None:
            request["if_version"] = version
            headers["If-Match"] = f'"{version}"'
        path = self._chance.choice((f"/memories/{id_}", f"/v1/memories/{id_}/"))
        asked = self._ask(request, "PUT", path, body=body, headers=headers, key_share=0.3)
        self._record(Kind.UPDATE, request, asked, _updated)

    def delete(self, id_: str) -> None:
        """Delete one memory."""
        request: dict[str, Any] = {"id": id_}
        path = self._chance.choice((f"/memories/{id_}", f"/v1/memories/{id_}/"))
        asked = self._ask(request, "DELETE", path, key_share=0.3)
        if asked is not None and asked.outcome is not Outcome.FAILED:
            self._knowledge.lost(id_)
        self._record(Kind.DELETE, request, asked)

    def delete_scope(self, scope: Scope) -> None:
        """Delete all memories of a user, of a run, or of everybody (no scope), in one of the ways to say so."""
        path, query = self._chance.choice(_ways_to_delete(scope))
        request: dict[str, Any] = {"scope": dict(scope)}
        asked = self._ask(request, *path, query=query, partly=True, key_share=0.3)
        self._knowledge.emptied(scope)
        self._record(Kind.SCOPE_DELETE, request, asked)

    def delete_matching(self, scope: Scope) -> None:
        """Delete the memories of a scope that have a tag."""
        tag = self._chance.choice("abc")
        request: dict[str, Any] = {"scope": dict(scope), "metadata": {"tag": tag}}
        query = {**scope, "metadata": f'{{"tag": "{tag}"}}'}
        asked = self._ask(request, "DELETE", "/v1/memories/", query=query, partly=True, key_share=0.3)
        if asked is None or asked.outcome is not Outcome.OK:
            self._record(Kind.FILTER_DELETE, request, asked)
            return
        # It ends when its event does, which may be later than its answer.
        event = asked.body["event_id"]
        self._recorder.wait_for(event, self._draft(Kind.FILTER_DELETE, request, asked, {"event": event}))
        ask_after(event, self._requester, self._recorder)

    def get(self, id_: str) -> None:
        """Get one memory."""
        request = {"id": id_}
        path = self._chance.choice((f"/memories/{id_}", f"/v1/memories/{id_}/"))
        asked = self._ask(request, "GET", path)
        if asked is not None and asked.status == 404:
            # This is how the Platform dialect says that there is none.
            asked = Answer(Outcome.OK, 200, None, asked.started, asked.headers)
        shown = self._record(Kind.GET, request, asked, lambda body: {"memory": None if body is None else state(body)})
        if shown and shown["memory"] is None:
            self._knowledge.lost(id_)
        elif shown:
            self._knowledge.saw([shown["memory"]])

    def list(self, scope: Scope) -> None:
        """List a scope's memories."""
        request = {"scope": dict(scope), "limit": _LIMIT, "show_expired": self._likely(0.5)}
        if self._likely(0.5):
            query = {**scope, "top_k": _LIMIT, "show_expired": request["show_expired"]}
            asked = self._ask(request, "GET", "/memories", query=query)
        else:
            body = {"filters": {"AND": [{name: value} for name, value in scope.items()]}}
            body["show_expired"] = request["show_expired"]
            asked = self._ask(request, "POST", "/v3/memories/", body=body, query={"page_size": _LIMIT})
        self._seen(self._record(Kind.LIST, request, asked, _listed))

    def search(self, scope: Scope, word: str) -> None:
        """Search for the memory that has a word; others of the scope may also be found."""
        request = {"scope": dict(scope), "query": word, "limit": _LIMIT, "show_expired": self._likely(0.5)}
        body = {"query": word, "filters": dict(scope), "top_k": _LIMIT, "threshold": 0, "explain": True}
        asked = self._ask(request, "POST", "/search", body=body | {"show_expired": request["show_expired"]})
        self._seen(self._record(Kind.SEARCH, request, asked, _listed))

    def history(self, id_: str) -> None:
        """Read the history of a memory."""
        request = {"id": id_}
        path = self._chance.choice((f"/memories/{id_}/history", f"/v1/memories/{id_}/history/"))
        asked = self._ask(request, "GET", path)
        if asked is not None and asked.status == 404:
            asked = Answer(Outcome.OK, 200, [], asked.started, asked.headers)
        self._record(Kind.HISTORY, request, asked, lambda body: {"events": [event_of_history(one) for one in body]})

    def export(self) -> None:
        """Export all memories of the tenant, portion by portion."""
        events: list[EventSeen] = []
        cursor, started = None, None
        while True:
            asked = self._ask({}, "GET", "/export", query={"cursor": cursor} if cursor else None)
            if asked is None:
                return
            started = asked.started if started is None else started
            if asked.outcome is not Outcome.OK:
                break
            events += [event for line in asked.body.splitlines() if (event := event_of_export(line))]
            cursor = asked.headers.get("X-Next-Cursor")
            if not cursor:
                break
        whole = Answer(asked.outcome, asked.status, asked.body, started, asked.headers)
        self._record(Kind.EXPORT, {}, whole, lambda _: {"events": events})

    def look_after_events(self) -> None:
        """Ask for the result of one of the accepted adds, or deletes by filter."""
        event = self._chance.choice(list(self._recorder.waiting) or [""])
        if event:
            ask_after(event, self._requester, self._recorder)

    def _added(self, request: Mapping[str, Any], asked: Answer) -> None:
        event = asked.body.get("event_id") if isinstance(asked.body, dict) else None
        told = {"event": event} if event else {}
        if event and (asked.status == 504 or asked.body.get("status") == "PENDING"):
            draft = self._draft(Kind.ADD, request, asked, told)
            self._recorder.wait_for(event, draft)
            if self._queued is not None:
                self._queued(event)
            return

        def shown(body: Any) -> Mapping[str, Any]:
            memories: list[State] = [{"id": one["id"], "text": one["memory"]} for one in body["results"]]
            self._knowledge.saw(memories, request["scope"])
            if [one["text"] for one in memories] != request["texts"]:
                # A repeat of an add that was done before tells what its memories say now, and of those left only.
                return told
            return {**told, "memories": memories, "indexed": body.get("indexed", True)}

        self._record(Kind.ADD, request, asked, shown)

    def _ask(
        self,
        request: dict[str, Any],
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        key_share: float = 0.0,
        **options: Any,
    ) -> Answer | None:
        """Send a request, sometimes with an Idempotency-Key; only then it may be repeated."""
        given = dict(headers or {})
        if key_share and self._likely(key_share):
            request["key"] = given["Idempotency-Key"] = str(uuid.UUID(int=self._chance.getrandbits(128)))
        return self._requester.ask(method, path, headers=given, repeat="key" in request, **options)

    def _record(
        self, kind: Kind, request: Mapping[str, Any], asked: Answer | None, shown: Shown = lambda _: {}
    ) -> Mapping[str, Any]:
        """Record the operation and return the recorded part of its answer, which may be empty."""
        if asked is None:
            return {}
        answer = shown(asked.body) if asked.outcome is Outcome.OK else {}
        self._recorder.add(self._draft(kind, request, asked, answer))
        return answer

    def _draft(self, kind: Kind, request: Mapping[str, Any], asked: Answer, answer: Mapping[str, Any]) -> Draft:
        told = {"status": asked.status} if asked.status else {}
        failed = {} if asked.outcome is Outcome.OK else {"error": asked.error}
        ended = time.monotonic() if asked.status or asked.outcome is not Outcome.UNKNOWN else None
        return Draft(
            self._number, kind, asked.started, ended, asked.outcome, dict(request), {**told, **failed, **answer}
        )

    def _seen(self, shown: Mapping[str, Any]) -> None:
        self._knowledge.saw(shown.get("memories", ()))

    def _text(self, scope: Scope) -> str:
        text = f"Tea is for {self._word()}"
        self._knowledge.wrote(scope, text)
        return text

    def _expiration(self) -> str | None:
        return self._chance.choice((None, "2999-01-01", "2999-06-01", "2020-01-01"))

    def _likely(self, share: float) -> bool:
        return self._chance.random() < share


def _updated(body: Any) -> Mapping[str, Any]:
    """Platform shows the memory; the self-hosted dialect says that it is done."""
    if "memory" in body:
        return {"memory": state(body)}
    return {"memory": {"version": int(body["version"])}} if "version" in body else {}


def _listed(body: Any) -> Mapping[str, Any]:
    return {"memories": [state(one) for one in body["results"]]}


def _ways_to_delete(scope: Scope) -> list[tuple[tuple[str, str], Scope | None]]:
    """Method, path and query of each request that deletes everything of the scope."""
    if not scope:
        wild = dict.fromkeys(("user_id", "agent_id", "app_id", "run_id"), "*")
        return [(("POST", "/reset"), None), (("DELETE", "/v1/memories/"), wild)]
    ways: list[tuple[tuple[str, str], Scope | None]] = [
        (("DELETE", path), scope) for path in ("/memories", "/v1/memories/")
    ]
    if len(scope) == 1:
        [(name, value)] = scope.items()
        ways.append((("DELETE", f"/v2/entities/{name.removesuffix('_id')}/{value}/"), None))
    elif "run_id" in scope:
        # There is one run, so that any run of the user is that one.
        ways.append((("DELETE", "/v1/memories/"), {**scope, "run_id": "*"}))
    return ways
