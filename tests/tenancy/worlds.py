"""Two worlds that an attacker must not be able to tell apart: one with a victim in it, and one without."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from forgetless.domain.bulk_jobs import BulkKind
from forgetless.domain.keys import ApiKey, Role, key_hash
from tests.tenancy.route_cases import Attack, Ids
from tests.unit.api.client import Api, make_api, put_key
from tests.unit.service.world import make_world

__all__ = ["ATTACKER", "MARK", "Answer", "Pair", "Rows", "make_pair", "make_project", "make_victim"]

#: Stands in everything that the victim has written.
MARK = "sesame-7f3a"
ATTACKER = "key-of-the-attacker"
_READER_LABEL = f"{MARK} reader"

#: What differs from one request to the next whatever else is there: ids and times of what it makes.
_OWN = (
    (re.compile(r"\bWyI[A-Za-z0-9_-]{8,}"), "a cursor"),  # it holds a time and an id
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "an id"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(\+00:00|Z)?"), "a time"),
    (re.compile(r"fgl_[\w-]+"), "a key"),
    (re.compile(r'"[0-9a-f]{32}"'), '"a digest"'),  # each tenant has a random key for them
    (re.compile(r'"(latency|request_id)": ?("[^"]*"|[\d.e-]+)'), r'"\1": 0'),
)

#: Rows of every table, in words.
Rows = dict[str, set[str]]


@dataclass(frozen=True)
class Answer:
    """What an attacker learns."""

    status: int
    body: str
    retry_after: str | None

    def comparable(self) -> Answer:
        """Without what is new each time, and without the order of equals, which follows from new ids."""
        body = self.body
        for pattern, word in _OWN:
            body = pattern.sub(word, body)
        return Answer(
            self.status,
            json.dumps(_ordered([json.loads(line) for line in body.splitlines()]), sort_keys=True),
            self.retry_after,
        )


@dataclass
class Pair:
    """The two worlds, and what of the victim's was there at first."""

    inhabited: Api
    empty: Api
    ids: Ids
    same_tenant: bool
    at_first: Rows

    def attack(self, attack: Attack) -> tuple[Answer, Answer]:
        """The answers of both worlds; the attacker has something of its own in each."""
        return self._send(self.inhabited, attack), self._send(self.empty, attack)

    def _send(self, api: Api, attack: Attack) -> Answer:
        said = [{"role": "user", "content": "the attacker's own sesame"}]
        own = {"messages": said, "user_id": "attacker", "infer": False}
        assert api.post("/memories", own, key=ATTACKER).status_code == 200
        answer = api.call(attack.method, attack.path, key=ATTACKER, json=attack.body)
        return Answer(answer.status_code, answer.text, answer.headers.get("Retry-After"))

    def damage(self) -> list[str]:
        """What of the victim's has changed since the beginning; in another tenant also what has been added."""
        now = _rows(self.inhabited)
        gone = [f"{table} lost {row}" for table, rows in self.at_first.items() for row in rows - now[table]]
        more = [f"{table} got {row}" for table, rows in now.items() for row in rows - self.at_first[table]]
        return gone + [row for row in more if not self.same_tenant or self.ids.user in row]

    def close(self) -> None:
        for api in (self.inhabited, self.empty):
            api.world.ledger.close()


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _ordered(one) for name, one in value.items()}
    if isinstance(value, list):
        return sorted(map(_ordered, value), key=lambda one: json.dumps(one, sort_keys=True))
    return value


def make_pair(folder: Path, tenant: str, role: Role, *users: str) -> Pair:
    """Both worlds; the attacker's key belongs to `tenant`, has this role and is limited to these users."""
    apis: list[Api] = []
    for name in ("inhabited", "empty"):
        (folder / name).mkdir()
        apis.append(make_api(make_world(folder / name)))
        put_key(apis[-1].world, ATTACKER, tenant, role, *users)
        # Its first use is noted now, not in the middle of an attack.
        apis[-1].get("/configure/providers", key=ATTACKER)
    inhabited, empty = apis
    if tenant == "default":
        # The tenant's settings are no user's: they are there whoever else is.
        make_project(empty)
    ids = make_victim(inhabited)
    inhabited.world.services.audit.flush()  # what waits for the audit list of the tenant is no damage later
    return Pair(inhabited, empty, ids, same_tenant=tenant == "default", at_first=_rows(inhabited))


def make_victim(api: Api, webhook: str = "") -> Ids:
    """Something of every kind for the tenant `default`; returns what it is called.

    `webhook` is that of a project that is there already.
    """
    names = {"user_id": "victim", "agent_id": "victims-agent", "run_id": "victims-run", "app_id": "victims-app"}
    said = {"messages": [{"role": "user", "content": f"{MARK} is the word"}], "infer": False, **names}
    once = {"Idempotency-Key": MARK}
    added = _done(api.post("/v3/memories/add/", {**said, "metadata": {"secret": MARK}}, headers=once))
    memory = added["results"][0]["id"]
    _done(api.put(f"/memories/{memory}", {"text": f"{MARK} is still the word"}))
    gone = _done(api.post("/memories", said))["results"][0]["id"]
    _done(api.delete(f"/memories/{gone}"))
    _done(api.post("/v1/feedback/", {"memory_id": memory, "feedback": "POSITIVE", "feedback_reason": MARK}))
    key = _done(api.post("/api-keys", {"label": f"{MARK} reader", "role": "read"}))["id"]
    export = {"schema": {"properties": {MARK: {"type": "string"}}}, "filters": {"user_id": names["user_id"]}}
    place = _done(api.get("/v1/ping/"))
    entities = _done(api.get("/v1/entities/"))["results"]
    return Ids(
        **{name.removesuffix("_id"): value for name, value in names.items()},
        memory=memory,
        event=added["event_id"],
        bulk=api.world.services.bulk.start("default", BulkKind.REINDEX, {"ids": names}).id,
        key=key,
        number=next(str(one["id"]) for one in entities if one["type"] == "user"),
        organization=place["org_id"],
        project=place["project_id"],
        webhook=webhook or make_project(api),
        export=_done(api.post("/v1/exports/", export))["id"],
    )


def make_project(api: Api) -> str:
    """Settings of the tenant, a member and a webhook; returns the webhook's id."""
    place = _done(api.get("/v1/ping/"))
    project = place["project_id"]
    path = f"/api/v1/orgs/organizations/{place['org_id']}/projects/{project}/"
    _done(api.call("PATCH", path, json={"custom_instructions": "the rules of the tenant"}))
    _done(api.post(f"{path}members/", {"email": "victim@example.com"}))
    hook = {"name": MARK, "url": f"https://{MARK}.example/", "event_types": ["memory_add"]}
    found: str = _done(api.post(f"/api/v1/webhooks/projects/{project}/", hook))["webhook_id"]
    return found


def _done(answer: httpx2.Response) -> Any:
    assert answer.status_code in {200, 201}, answer.text
    return answer.json()


def _rows(api: Api) -> Rows:
    """Every row of the victim's tenant in every table and in the index."""
    found: Rows = {}
    attacker = ApiKey(key_hash(ATTACKER), "", Role.READ, "").id.encode()
    api.world.services.meter.flush()  # what the victim's own requests have left to be counted
    with closing(sqlite3.connect(api.world.ledger._connections._path)) as db:
        for (table,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
            if "tenant" in columns:
                text = ", (SELECT body FROM texts WHERE texts.text_id = one.text_id)" if "text_id" in columns else ""
                rows = db.execute(f"SELECT *{text} FROM {table} AS one WHERE tenant = ?", (b"default",)).fetchall()
                # The total and the usage of the tenant are everybody's, and the attacker's key has its own usage.
                whose = columns.index("key_id") if "key_id" in columns else None
                shared = [row for row in rows if whose is not None and row[whose] in {b"", attacker}]
                shared += [row for row in rows if table == "totals" and row[1] == "tenant"]
                found[table] = {repr(row) for row in rows} - {repr(row) for row in shared}
        keys = db.execute("SELECT hash, body FROM keys").fetchall()
        found["keys"] = {repr(row) for row in keys if json.loads(row[1])["tenant"] == "default"}
    found["index"] = {repr(row) for row in api.world.index._rows if row.memory.scope.tenant == "default"}
    return found
