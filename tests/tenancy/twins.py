"""Twin worlds for the differential tests: in one of them, others do things between two identical requests.

Everything that is drawn at random is drawn alike in both, and their clocks are moved alike. So the answers to the same
request must be equal in every byte and in every header, but for the numbers in Server-Timing.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import secrets
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch
from urllib.parse import unquote

import numpy as np

from embedder.vector_cache import VectorCache
from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.domain.erasures import Target
from forgetless.domain.key_limits import ANY
from forgetless.domain.keys import ApiKey, Role, key_hash
from forgetless.domain.memory import Message, MessageRef
from forgetless.domain.scope import Scope
from forgetless.domain.times import later
from forgetless.ports.embedder import EmbeddingTask
from tests.fakes.embedder import FakeEmbedder
from tests.tenancy.route_cases import Attack, Ids
from tests.tenancy.worlds import make_project, make_victim
from tests.unit.api.client import ADMIN, Api, make_api
from tests.unit.service.world import World, facts, make_world

__all__ = ["NAME", "VIEWS", "Seen", "Twins", "View", "make_twins"]

T = TypeVar("T")

_AT = "2026-01-01T00:00:00.000000+00:00"
_BEGIN = "2026-02-01T00:00:00.000000+00:00"
_KEY, _OWNER = "key-of-who-asks", "key-of-the-administrator-of-who-asks"
#: What who asks and the neighbours say alike: a word that tells, if anything does.
_WORDS = "zorblax sesame the attacker's own words"
#: The name that neighbours' messages have.
NAME = "Zorblax"


@dataclass(frozen=True)
class View:
    """Who asks: its key, and who its neighbours are: other users of the tenant `default`, or other tenants."""

    name: str
    role: Role
    tenant: str = "default"
    users: tuple[str, ...] = ()
    agents: tuple[str, ...] = ("*",)
    apps: tuple[str, ...] = ("*",)

    def key(self) -> ApiKey:
        limited = {"users": self.users, "agents": self.agents, "apps": self.apps} if self.tenant == "default" else {}
        return ApiKey(key_hash(_KEY), self.tenant, self.role, _AT, **limited)


#: A key that may read all of a tenant has no neighbours within it.
VIEWS = (
    View("a reader of other users", Role.READ, users=("attacker", "nobody-yet")),
    View("a writer of other users", Role.WRITE, users=("attacker", "nobody-yet")),
    View("a writer of one agent", Role.WRITE, users=("attacker",), agents=("helper",), apps=()),
    View("a reader of another tenant", Role.READ, tenant="attackers"),
    View("an administrator of another tenant", Role.ADMIN, tenant="attackers"),
)


@dataclass(frozen=True)
class Seen:
    """All that an answer tells, and what it cost the models, which may be felt as time."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    computed: int
    prompts: tuple[Any, ...]

    def difference(self, other: Seen) -> str:
        """Where the two begin to differ; "" if they do not."""
        for name in ("status", "body", "headers", "computed", "prompts"):
            one, two = getattr(self, name), getattr(other, name)
            if one != two and isinstance(one, bytes):
                place = next((n for n, pair in enumerate(zip(one, two, strict=False)) if pair[0] != pair[1]), 0)
                around = slice(max(0, place - 200), place + 200)
                return f"{name} at {place}: {one[around]!r} {two[around]!r}"
            if one != two:
                return f"{name}: {one} {two}"
        return ""


_DURATION = re.compile(r"dur=[\d.]+")
#: Each look at the clock of tests is a microsecond later, also one that is made for others.
_MICROSECONDS = re.compile(rb"(:\d\d)\.\d{6}")


class CachingEmbedder(FakeEmbedder):
    """Keeps vectors as the embedder does, and counts the texts that it had to compute."""

    def __init__(self) -> None:
        super().__init__()
        self.computed = 0
        self._cache = VectorCache(4096)

    def embed(self, texts: Any, task: EmbeddingTask, *, owner: str = "") -> list[list[float]]:
        keys = self._cache.keys(owner, str(task), [list(text.encode("utf-8", "surrogatepass")) for text in texts])
        known = self._cache.find(keys)
        vectors = super().embed(texts, task, owner=owner)
        self.computed += len(texts) - len(known)
        for key, vector in zip(keys, vectors, strict=False):
            self._cache.put(key, np.array(vector, np.float32))
        return vectors


@dataclass(frozen=True)
class Reply:
    """An answer of the application."""

    status_code: int
    headers: tuple[tuple[str, str], ...]
    content: bytes

    @property
    def text(self) -> str:
        return self.content.decode()

    def json(self) -> Any:
        return json.loads(self.content)


class TwinApi(Api):
    """Draws ids and secrets anew for each request: what a request draws after its answer, for others, does not count.

    It calls the application itself, without the threads of a client.
    """

    draw = ""

    def __init__(self, world: World) -> None:
        made = make_api(world, mcp=True)
        super().__init__(made.client, world)
        self._loop = asyncio.new_event_loop()

    def call(self, method: str, path: str, *, key: str | None = ADMIN, **options: Any) -> Any:
        self.draw += "+"
        body = json.dumps(options["json"]).encode() if options.get("json") is not None else b""
        given = {"Content-Type": "application/json", "X-API-Key": key or "", **(options.get("headers") or {})}
        with _drawn(self.draw):
            return self._loop.run_until_complete(self._answer(method, path, given, body))

    async def _answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        raw, _, query = path.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(raw),
            "raw_path": raw.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items() if value],
            "client": ("192.0.2.7", 7),
            "server": ("forgetless.test", 80),
            "state": {},
        }
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.client.app(scope, receive, send)
        told = tuple((name.decode().lower(), value.decode()) for name, value in sent[0]["headers"])
        return Reply(sent[0]["status"], told, b"".join(one.get("body", b"") for one in sent[1:]))

    def close(self) -> None:
        self._loop.close()
        self.world.ledger.close()


@dataclass
class Twins:
    """The two worlds. `ids` are what the neighbours' things are called, in the crowded one."""

    view: View
    alone: TwinApi
    crowded: TwinApi
    ids: Ids
    _step: int = 0
    _lived: int = 0

    def ask(self, request: Attack, headers: Mapping[str, str] = {}) -> tuple[Seen, Seen]:
        """The answers of both worlds."""
        self._step += 1
        return self._asked(self.alone, request, headers), self._asked(self.crowded, request, headers)

    def let_others(self) -> None:
        """The neighbours do something, in one of the worlds."""
        self._step += 1
        self._lived = self._step
        self.crowded.draw = f"neighbours {self._step}"
        _live_on(self.crowded, self.view, self._step)

    def idempotency_keys(self) -> list[str]:
        """Those that the neighbours have just used."""
        return [f"key {self._lived} {number}" for number in range(2)]

    def last_said(self) -> str:
        """What a neighbour has just said, and nobody before."""
        return f"{_WORDS} {self._lived}"

    def go_on(self) -> Ids:
        """The neighbours do something in one world, and who asks makes new things in both; returns their names."""
        self.let_others()
        made = [self._in_step(api, partial(_make_own, api, self.view)) for api in (self.alone, self.crowded)]
        assert made[0] == made[1], f"the worlds are no twins: {made}"
        return made[0]

    def _asked(self, api: TwinApi, request: Attack, headers: Mapping[str, str]) -> Seen:
        return self._in_step(api, partial(_seen, api, request, headers))

    def _in_step(self, api: TwinApi, do: Callable[[], T]) -> T:
        api.draw = f"step {self._step}"
        api.world.clock.set(later(_BEGIN, self._step))
        return do()

    def close(self) -> None:
        for api in (self.alone, self.crowded):
            api.close()


def _seen(api: Api, request: Attack, headers: Mapping[str, str]) -> Seen:
    embedder, llm = api.world.embedder, api.world.llm
    assert isinstance(embedder, CachingEmbedder)
    assert llm is not None
    before, asked = embedder.computed, len(llm.calls)
    answer = api.call(request.method, request.path, key=_KEY, json=request.body, headers=dict(headers))
    told = tuple(
        (name, _DURATION.sub("dur=0", value))
        for name, value in answer.headers
        if name != "x-ratelimit-reset"  # a time
    )
    return Seen(
        answer.status_code,
        told,
        _MICROSECONDS.sub(rb"\1", answer.content),
        embedder.computed - before,
        tuple(llm.calls[asked:]),
    )


def make_twins(folder: Path, view: View) -> Twins:
    """Both worlds, with what who asks owns in each, and with the neighbours in one."""
    apis: list[TwinApi] = []
    for name in ("alone", "crowded"):
        (folder / name).mkdir()
        with _drawn("the beginning"):
            world = make_world(folder / name, lambda _messages: facts("Likes sesame tea"))
            _give_key_of_digests(world)
            world.embedder = CachingEmbedder()
            world.__post_init__()
            api = TwinApi(world)
            world.ledger.put_key(view.key())
            world.ledger.put_key(ApiKey(key_hash(_OWNER), view.tenant, Role.ADMIN, _AT))
            for key in (_KEY, _OWNER):
                api.get("/configure/providers", key=key)
            # Somebody else's name: the tenant has its key of digests in both worlds.
            world.services.names.note([_named(view.tenant)])
            webhook = make_project(api) if view.tenant == "default" else ""
        apis.append(api)
    apis[1].draw = "the neighbours"
    ids = make_victim(apis[1], webhook)
    return Twins(view, *apis, ids)


def _give_key_of_digests(world: World) -> None:
    """The ledger draws it by itself, and ids of adds under an Idempotency-Key follow from it."""
    assert isinstance(world.ledger, SqliteLedger)
    query = "UPDATE secrets SET value = ? WHERE name = 'digests'"
    world.ledger._connections.write(lambda db: db.execute(query, (bytes(32),)), durable=False)


def _named(tenant: str) -> Message:
    return Message(MessageRef("", 0), Scope(tenant, user_id="first"), "user", "hello", _AT, "Ada")


def _make_own(api: Api, view: View) -> Ids:
    """Things of who asks, by its administrator; settings of a tenant that it shares are not its own."""
    scope = {"user_id": "attacker", "run_id": "own-run"}
    scope |= {"agent_id": "helper"} if view.agents or view.tenant != "default" else {}
    said = {"messages": [{"role": "user", "content": _WORDS}], "infer": False, **scope}
    added = api.post("/v3/memories/add/", said, key=_OWNER).json()
    memory = added["results"][0]["id"]
    place = api.get("/v1/ping/", key=_OWNER).json()
    export = {"schema": {"properties": {"memory": {"type": "string"}}}, "filters": {"user_id": "attacker"}}
    entities = api.get("/v1/entities/", key=_OWNER).json()["results"]
    return Ids(
        user="attacker",
        agent="helper",
        run="own-run",
        app="own-app",
        memory=memory,
        event=added["event_id"],
        bulk="none",
        key="none",
        number=next(str(one["id"]) for one in entities if one["name"] == "attacker"),
        organization=place["org_id"],
        project=place["project_id"],
        webhook="none",
        export=api.post("/v1/exports/", export, key=_OWNER).json()["id"],
    )


def _live_on(api: Api, view: View, step: int) -> None:
    """What neighbours do between two requests: they say the same words, in the same agent, run and app."""
    user = "victim" if view.tenant == "default" else ("victim", "attacker")[step % 2]
    scope = {"user_id": user, "agent_id": "helper", "run_id": "own-run"}
    for number, text in enumerate((_WORDS, f"{_WORDS} {step}")):
        said = {"messages": [{"role": "user", "content": text}], "infer": (step + number) % 3 == 0, **scope}
        added = api.post("/memories", said, headers={"Idempotency-Key": f"key {step} {number}"}).json()["results"]
        if step % 5 == 0 and added:
            api.delete(f"/memories/{added[0]['id']}")
    # What the same user tells another agent is beyond the limits, too.
    beyond = view.tenant == "default" and ANY not in view.agents
    named = {"user_id": "attacker", "agent_id": "other"} if beyond else scope
    spoken = {"role": "user", "content": f"{_WORDS} {step}", "name": NAME}
    body = {"messages": [spoken], "infer": False, "async_mode": False, **named}
    assert api.post("/v1/memories/", body).json()[0]["event"] == "ADD"
    if step % 7 == 0:
        # An erasure that hides rows until they are removed.
        api.world.ledger.begin_erasure("default", [Target({"user_id": "victim"})], at=_AT)


@contextmanager
def _drawn(seed: str) -> Iterator[None]:
    """Ids and secrets are drawn from this seed."""
    dice = random.Random(seed)
    with (
        patch.object(uuid, "uuid4", lambda: uuid.UUID(int=dice.getrandbits(128), version=4)),
        patch.object(secrets, "token_bytes", lambda nbytes=32: dice.randbytes(nbytes or 32)),
    ):
        yield
