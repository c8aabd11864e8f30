"""Plants marked words and ids through every route and field that takes a client's words, about one person at a time."""

from __future__ import annotations

import json
import secrets
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from forgetless.domain.scope import Scope
from tests.erasure.scanning import Needles

__all__ = ["Answer", "Call", "CallTool", "Person", "plant", "plant_hook", "plant_one"]


class Answer(Protocol):
    """The answer of an HTTP client."""

    @property
    def status_code(self) -> int:
        """The status."""

    @property
    def text(self) -> str:
        """The body."""

    def json(self) -> Any:
        """The body, read."""


class Call(Protocol):
    """One request of an administrator."""

    def __call__(self, method: str, path: str, **options: Any) -> Answer:
        """Send it; `options` are those of httpx."""


#: Calls a tool over MCP.
CallTool = Callable[[str, Mapping[str, Any]], Any]


@dataclass
class Person:
    """Somebody with ids of their own, whose words are all different."""

    label: str
    token: str = field(default_factory=lambda: secrets.token_hex(3))
    #: The marked words, and the whole texts: of these not even a digest may be left.
    words: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    memories: list[str] = field(default_factory=list)

    @property
    def stem(self) -> str:
        """How all marks begin: small letters and digits, so that no store writes them in another way."""
        return f"zq{self.token}"

    def mark(self, what: str) -> str:
        """A new mark."""
        made = f"{self.stem}{self.label}{what}"
        self.words.append(made)
        return made

    def ids(self, kind: str) -> dict[str, str]:
        """Ids for one way to add; each way has its own run."""
        return {"user_id": self.id("user"), "agent_id": self.id("agent"), "run_id": self.id(f"run{kind}")}

    def id(self, name: str) -> str:
        """The person's user, agent or app id, or one of the runs (`run` is that of the import).

        That of the agent must be escaped in paths.
        """
        name = "runimport" if name == "run" else name
        return f"{self.stem}{self.label}{name}{'é' if name == 'agent' else ''}"

    def needles(self, tenant: str) -> Needles:
        """All that must not be found: the marks, digests of ids and texts, and of the scopes, all without a key."""
        ids = [self.id(name) for name in ("user", "agent", "app", "runimport")]
        scopes = [Scope(tenant, user_id=self.id("user")), Scope(tenant, agent_id=self.id("agent"))]
        exact = [key for scope in scopes for key in (scope.key(), scope.writer_key())]
        return Needles(self.stem, [*ids, *self.texts], exact)


def _ok(answer: Answer) -> Any:
    assert answer.status_code < 300, answer.text
    return answer.json()


def plant(call: Call, person: Person, *, about: str = "user", tool: CallTool | None = None) -> None:
    """Add, change, search, rate and export memories of the person in every way; fill `person.memories`.

    Requests that are kept, such as those of exports, name the person's `about` (user, agent or app).
    """
    _add_selfhosted(call, person)
    _add_roles(call, person)
    _add_with_prefixes(call, person)
    _add_platform(call, person)
    _change(call, person)
    _read(call, person)
    _exports(call, person, about)
    _delete_some(call, person)
    _import(call, person)
    if tool is not None:
        _over_mcp(tool, person)


def plant_one(call: Call, person: Person) -> str:
    """Add one memory with everything that it can have, change and rate it; returns its id."""
    said = {"role": "user", "content": _sentence(person, "one"), "name": person.mark("name")}
    ids = {**person.ids("one"), "app_id": person.id("app")}
    body = {"messages": [said], **ids, "metadata": _metadata(person, "one"), "infer": False, "async_mode": False}
    added = _ok(call("POST", "/v1/memories/", json=body, headers=_key(person, "one")))
    memory_id = str((added["results"] if isinstance(added, Mapping) else added)[0]["id"])
    changes = {"text": _sentence(person, "put"), "metadata": _metadata(person, "put")}
    _ok(call("PUT", f"/v1/memories/{memory_id}/", json=changes, headers=_key(person, "put")))
    rated = {"memory_id": memory_id, "feedback": "NEGATIVE", "feedback_reason": person.mark("reason")}
    _ok(call("POST", "/v1/feedback/", json=rated))
    return memory_id


def _sentence(person: Person, what: str) -> str:
    text = f"I like {person.mark(what)} and {person.mark(what + 'ü')}."
    person.texts.append(text)
    return text


def _key(person: Person, what: str) -> dict[str, str]:
    return {"Idempotency-Key": person.mark("key" + what)}


def _metadata(person: Person, what: str) -> dict[str, Any]:
    return {person.mark("meta" + what): person.mark("value" + what), "nested": {"list": [person.mark("deep" + what)]}}


def _add_selfhosted(call: Call, person: Person) -> None:
    ids = person.ids("selfhosted")
    for infer in (False, True):
        what = f"sh{int(infer)}"
        body = {
            "messages": [{"role": "user", "content": _sentence(person, what), "name": person.mark("name" + what)}],
            **ids,
            "metadata": _metadata(person, what),
            "prompt": person.mark("prompt" + what),
            "infer": infer,
        }
        key = _key(person, what)
        answer = _ok(call("POST", "/memories", json=body, headers=key))
        assert _ok(call("POST", "/memories", json=body, headers=key)) == answer
        person.memories += [one["id"] for one in answer["results"]]


def _add_roles(call: Call, person: Person) -> None:
    """This dialect takes any text as a role."""
    roles = [person.mark("role"), person.id("user")]
    said = [{"role": role, "content": _sentence(person, f"as{place}")} for place, role in enumerate(roles)]
    _ok(call("POST", "/memories", json={"messages": said, **person.ids("selfhosted"), "infer": False}))


def _add_with_prefixes(call: Call, person: Person) -> None:
    """Names before what is said: of two speakers, so that they count as names."""
    speakers = [f"Speaker-{person.mark(f'prefix{number}')}" for number in range(2)]
    for infer in (False, True):
        texts = [f"{name}: {_sentence(person, f'pre{int(infer)}{turn}{place}')}"
                 for turn in range(2) for place, name in enumerate(speakers)]  # fmt: skip
        said = [{"role": "user", "content": text} for text in texts]
        _ok(call("POST", "/memories", json={"messages": said, **person.ids("selfhosted"), "infer": infer}))


def _add_platform(call: Call, person: Person) -> None:
    ids = {**person.ids("platform"), "app_id": person.id("app")}
    for path in ("/v1/memories/", "/v3/memories/add/"):
        for infer in (False, True):
            what = f"pf{path[2]}{int(infer)}"
            said = {"role": "user", "content": _sentence(person, what), "name": person.mark("name" + what)}
            answered = {"role": "assistant", "content": _sentence(person, what + "a")}
            body = {
                "messages": [said, answered],
                **ids,
                "metadata": _metadata(person, what),
                "custom_instructions": person.mark("instructions" + what),
                "includes": person.mark("includes" + what),
                "excludes": person.mark("excludes" + what),
                "custom_categories": [{person.mark("category" + what): person.mark("about" + what)}],
                "infer": infer,
                "async_mode": False,
                "output_format": "v1.1",
            }
            _ok(call("POST", path, json=body, headers=_key(person, what)))
    waits = {"messages": [{"role": "user", "content": _sentence(person, "waits")}], **ids, "infer": True}
    _ok(call("POST", "/v1/memories/", json={**waits, "async_mode": True, "metadata": _metadata(person, "waits")}))
    listed = _ok(call("GET", "/v1/memories/", params={"user_id": person.id("user"), "page_size": 100, "page": 1}))
    person.memories = [one["id"] for one in listed["results"]]


def _change(call: Call, person: Person) -> None:
    first, second, third = person.memories[:3]
    _ok(call("PUT", f"/memories/{first}", json={"text": _sentence(person, "put"), "metadata": _metadata(person, "p")}))
    body = {"text": _sentence(person, "putv1"), "metadata": _metadata(person, "pv1")}
    _ok(call("PUT", f"/v1/memories/{second}/", json=body, headers=_key(person, "put")))
    batch = {"memories": [{"memory_id": third, "text": _sentence(person, "batch"), "metadata": _metadata(person, "b")}]}
    _ok(call("PUT", "/v1/batch/", json=batch))
    rated = {"memory_id": first, "feedback": "NEGATIVE", "feedback_reason": person.mark("reason")}
    _ok(call("POST", "/v1/feedback/", json=rated, headers=_key(person, "feedback")))


def _read(call: Call, person: Person) -> None:
    user = {"user_id": person.id("user")}
    for path, query in (("/search", "query"), ("/v1/memories/search/", "q1"), ("/v2/memories/search/", "q2")):
        body = {"query": person.mark("asked" + query), "filters": user, "metadata": {"topic": person.mark("f" + query)}}
        _ok(call("POST", path, json=body if path.startswith("/v2") else {**body, "filters": user}))
    for page in (1, 2):
        _ok(call("GET", "/v1/memories/", params={**user, "page": page, "page_size": 2}))
        _ok(call("GET", "/v1/entities/", params={"page": page, "page_size": 1}))
    call("GET", f"/v2/entities/user/{user['user_id']}/")
    call("GET", f"/v1/memories/user/{user['user_id']}/")
    call("GET", f"/memories/{person.mark('noid')}")
    call("POST", "/memories", json={"messages": [{"content": person.mark("wrong")}], **user})
    _ok(call("GET", "/v1/events/"))


def _exports(call: Call, person: Person, about: str) -> None:
    schema = {"type": "object", "properties": {"name": {"type": "string", "description": person.mark("schema")}}}
    where = {"AND": [{f"{about}_id": person.id(about)}]}
    body = {"schema": schema, "filters": where, "export_instructions": person.mark("wanted")}
    made = _ok(call("POST", "/v1/exports/", json=body))
    _ok(call("POST", "/v1/exports/get/", json={"memory_export_id": made["id"]}))
    _ok(call("POST", "/v1/summary/", json={"filters": {"user_id": person.id("user")}}))
    assert call("GET", "/export").status_code == 200


def _delete_some(call: Call, person: Person) -> None:
    _ok(call("DELETE", f"/memories/{person.memories[3]}", headers=_key(person, "one")))
    _ok(call("DELETE", "/v1/batch/", json={"memories": [{"memory_id": person.memories[4]}]}))
    where = {"AND": [{"user_id": person.id("user")}, {"metadata": {"topic": person.mark("filtered")}}]}
    params = {"user_id": person.id("user"), "filters": json.dumps(where)}
    _ok(call("DELETE", "/v1/memories/", params=params, headers=_key(person, "filtered")))


def _import(call: Call, person: Person) -> None:
    id_ = str(uuid.uuid4())
    ids = {"user_id": person.id("user"), "run_id": person.id("runimport")}
    lines = []
    for number in range(2):
        what, spoken = f"imported{number}", {"actor_id": person.mark(f"actor{number}"), "role": "user"}
        line = {"id": str(uuid.uuid4()), "memory": _sentence(person, what), **ids, **spoken}
        lines.append(json.dumps({**line, "metadata": _metadata(person, f"i{number}")}))
    _ok(call("POST", "/import-jobs", json={"id": id_, "file": "memories.jsonl", "lines": 2}))
    content = ("\n".join(lines) + "\n").encode()
    _ok(call("POST", f"/import-jobs/{id_}/lines", params={"line": 1, "last": True}, content=content))
    _ok(call("POST", "/export-jobs", json={"id": (export := str(uuid.uuid4()))}))
    assert call("POST", f"/export-jobs/{export}/lines", json={"cursor": None}).status_code == 200


def plant_failed(call: Call, person: Person) -> None:
    """Add what the LLM fails on, and import jobs of every state, with marks in each of their fields."""
    ids = {"user_id": person.id("user"), "agent_id": person.id("agent"), "app_id": person.id("app")}
    asked = {"metadata": _metadata(person, "failed"), "prompt": person.mark("prompt")}
    said = [{"role": "user", "content": _sentence(person, "failed"), "name": person.mark("failedname")}]
    assert call("POST", "/memories", json={"messages": said, **ids, **asked, "infer": True}).status_code == 502
    wanted = {"custom_instructions": person.mark("rules"), "custom_categories": [{person.mark("category"): "c"}]}
    _ok(call("POST", "/v3/memories/add/", json={"messages": said, **ids, **wanted, "infer": True}))
    lines = [{"format": "forgetless-events", "version": 1}]
    for state in ("SUCCEEDED", "FAILED", "PENDING"):
        lines += [_job_line(person, state, ids, messages) for messages in (1, 0)]
    content = "".join(json.dumps(line) + "\n" for line in lines).encode()
    _ok(call("POST", "/import-jobs", json={"id": (id_ := str(uuid.uuid4()))}))
    imported = _ok(call("POST", f"/import-jobs/{id_}/lines", params={"line": 1, "last": True}, content=content))
    assert (imported["jobs"], imported["refused"]) == (5, 1), "one that has not ended needs a message"


def _job_line(person: Person, state: str, ids: Mapping[str, str], messages: int) -> dict[str, Any]:
    name, at = f"{state.lower()}{messages}", "2026-01-02T03:04:05.000000+00:00"
    said = {"role": "user", "content": _sentence(person, name), "name": person.mark(f"by{name}"), "created_at": at}
    # What is to run may not ask for what no version knows.
    odd = {person.mark(f"odd{name}"): 1} if state == "SUCCEEDED" else {}
    return {
        "type": "job",
        "id": str(uuid.uuid4()),
        "scope": dict(ids),
        "state": state,
        "created_at": at,
        "updated_at": at,
        "request": {"prompt": person.mark(f"asked{name}"), **odd},
        "results": [
            {"id": str(uuid.uuid4()), "event": person.mark(f"event{name}"), "memory": person.mark(f"of{name}")}
        ],
        "error": f"{person.mark(f'code{name}')} said {person.mark(f'error{name}')}",
        "lease_owner": person.mark(f"owner{name}"),
        "messages": [{"position": place, **said} for place in range(messages)],
    }


def _over_mcp(tool: CallTool, person: Person) -> None:
    ids = {**person.ids("mcp"), "app_id": person.id("app")}
    for infer in (False, True):
        tool("add_memory", {"text": _sentence(person, f"mcp{int(infer)}"), **ids, "infer": infer,
                            "metadata": _metadata(person, f"mcp{int(infer)}")})  # fmt: skip
    said = [{"role": "user", "content": _sentence(person, "mcpsaid"), "name": person.mark("mcpname")}]
    tool("add_memory", {"messages": said, **ids, "infer": False})
    tool("search_memories", {"query": person.mark("mcpquery"), "user_id": ids["user_id"]})
    tool("update_memory", {"memory_id": person.memories[0], "text": _sentence(person, "mcpput")})


def plant_hook(call: Call, url: str) -> None:
    """Register a webhook for everything, so that deliveries are recorded."""
    kinds = ["memory_add", "memory_update", "memory_delete"]
    path = "/api/v1/webhooks/projects/default/"
    project = call("GET", "/v1/ping/").json().get("project_id", "default")
    _ok(call("POST", path.replace("default", project), json={"name": "all", "url": url, "event_types": kinds}))
