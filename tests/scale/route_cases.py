"""What is asked of every route of both dialects, by the route's method and path; a test demands a case for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.scale.filled_ledger import LIMITED
from tests.scale.stage import Ask

__all__ = ["ROUTE_CASES"]

_ALICE = {"user_id": "alice"}
#: A moment at which everything was known, and one within the times of both ledgers.
_THEN = {"as_of": "2026-01-08"}
_EARLIER = {"as_of": "2026-01-01T00:50:00Z", "known_at": "2026-01-01T01:00:00Z"}
#: Two conditions: one that half of the memories meet, and one that five of them meet, the oldest.
_OFTEN = {"AND": [_ALICE, {"metadata": {"topic": "often"}}]}
_RARE = {"AND": [_ALICE, {"metadata": {"topic": "rare"}}]}
_SAID = [{"role": "user", "content": "I drink my tea with ginger"}]
_CALL = [{"role": "user", "content": f"number {number} of the things that I planted"} for number in range(20)]
_BATCH = 100
_HOOK = {"name": "another", "url": "https://other.example/", "event_types": ["memory_add"]}
_SCHEMA = {"properties": {"memory": {"type": "string"}}}
_PLACE = "/api/v1/orgs/organizations/<organization>/projects/"
_HERE = f"{_PLACE}<project>/"
_MEMBER = {"email": "bob@example.com"}


def _search(path: str, **more: Any) -> Sequence[Ask]:
    query = {"query": "tea in the garden", "threshold": 0, **more}
    whole = {**query, "filters": _ALICE}
    return (
        Ask(path, whole, "a user with everything"),
        Ask(path, {**query, "filters": {"user_id": "user-1"}}, "a user with one memory"),
        Ask(path, {**query, "filters": {**_ALICE, "metadata": {"topic": "rare"}}}, "a filter that matches little"),
        Ask(path, {**whole, "top_k": 1000}, "a thousand results"),
        Ask(path, whole, "a limited key", LIMITED),
        Ask(path, {**whole, **_THEN}, "in the past"),
        Ask(path, {**whole, **_EARLIER, "top_k": 50}, "known and true in the past"),
    )


def _pages(path: str) -> Sequence[Ask]:
    """Pages of a list whose filter is in the body."""
    return (
        Ask(path, {"filters": _ALICE, "page": 1, "page_size": 50}, "the first page"),
        Ask(path, {"filters": _ALICE, "page": 3, "page_size": 50}, "the third page"),
        Ask(path, {"filters": _OFTEN, "page": 1, "page_size": 50}, "a filter that matches much"),
        Ask(path, {"filters": _RARE, "page": 1, "page_size": 50}, "a filter that matches little"),
        Ask(path, {"filters": {"user_id": "user-1"}, "page": 1, "page_size": 50}, "a user with one memory"),
        Ask(path, {"filters": {"OR": [_ALICE, {"user_id": "user-1"}]}, "page": 1, "page_size": 50}, "two users"),
        Ask(path, {"filters": _ALICE, **_THEN, "page": 1, "page_size": 50}, "in the past"),
        Ask(path, {"filters": {"agent_id": "helper"}, "page": 1, "page_size": 50}, "a limited key", LIMITED),
    )


def _erasures(path: str, *names: str, **options: Any) -> Sequence[Ask]:
    """Deletions of a scope with everything, by each of these ids, and of one with a single memory."""
    whole = {"user_id": "alice", "agent_id": "helper", "app_id": "notes", "run_id": "talk"}
    everything = [
        Ask(f"{path}?{name}={whole[name]}", name=f"everything by {name}", destroys=True, **options) for name in names
    ]
    return (*everything, Ask(f"{path}?user_id=user-7", name="a user with one memory", destroys=True, **options))


_SELFHOSTED: Mapping[str, Sequence[Ask]] = {
    "POST /memories": (
        Ask("/memories", {"messages": _SAID, "infer": False, **_ALICE}, "verbatim"),
        Ask("/memories", {"messages": _CALL, "infer": False, **_ALICE}, "twenty verbatim"),
        Ask("/memories", {"messages": _SAID, **_ALICE}, "facts"),
        Ask(
            "/memories",
            {"messages": _SAID, "infer": False, **_ALICE},
            "a repeat's key",
            headers={"Idempotency-Key": "1"},
        ),
    ),
    "GET /memories": (
        Ask("/memories?user_id=alice", name="a user"),
        Ask("/memories?agent_id=helper&run_id=talk&top_k=1000", name="a thousand"),
        Ask("/memories", name="the whole tenant"),
        Ask("/memories?user_id=alice&as_of=2026-01-08", name="in the past"),
        Ask("/memories?user_id=alice&as_of=2025-01-01", name="before everything"),
        Ask("/memories?agent_id=helper", name="a limited key", key=LIMITED),
    ),
    "DELETE /memories": _erasures("/memories", "user_id", "agent_id", "run_id"),
    "GET /memories/{memory_id:id}/history": (Ask("/memories/<memory>/history"),),
    "GET /memories/{memory_id:id}": (
        Ask("/memories/<memory>"),
        Ask("/memories/<memory>?as_of=2026-01-08", name="in the past"),
    ),
    "PUT /memories/{memory_id:id}": (
        Ask("/memories/<memory>", {"text": "green tea"}, "text"),
        Ask("/memories/<memory>", {"metadata": {"topic": "green"}}, "metadata"),
    ),
    "DELETE /memories/{memory_id:id}": (Ask("/memories/<memory>"),),
    "POST /reset": (Ask("/reset", destroys=True),),
    "POST /search": _search("/search"),
    "GET /entities": (Ask("/entities"), Ask("/entities", name="a limited key", key=LIMITED)),
    "DELETE /entities/{entity_type}/{entity_id:id}": (
        Ask("/entities/user/alice", name="everything", destroys=True),
        Ask("/entities/user/user-7", name="a user with one memory", destroys=True),
    ),
    "GET /configure": (Ask("/configure"),),
    "GET /configure/providers": (Ask("/configure/providers"),),
    "POST /configure": (Ask("/configure", {}, statuses=(403,)),),
    "POST /generate-instructions": (Ask("/generate-instructions", {"use_case": "a garden"}),),
    "GET /api-keys": (Ask("/api-keys"),),
    "POST /api-keys": (Ask("/api-keys", {"label": "mine", "role": "read"}, statuses=(201,)),),
    "POST /api-keys/{key_id}/rotate": (Ask("/api-keys/<key>/rotate", {}, statuses=(201,)),),
    "DELETE /api-keys/{key_id}": (Ask("/api-keys/<key>"),),
    "GET /usage": (
        Ask("/usage"),
        Ask("/usage?by=key", name="by key"),
        Ask("/usage", name="a limited key", key=LIMITED),
    ),
    "GET /audit": (Ask("/audit"), Ask("/audit?user_id=user-1"), Ask("/audit?kind=refusal", name="refusals")),
    "GET /export": (Ask("/export"),),
    "POST /import-jobs": (Ask("/import-jobs", {"id": "4f1c0a52-7c11-4a51-9a39-2f6f3f3b6a01"}),),
    "POST /import-jobs/{job_id}/lines": (
        Ask("/import-jobs/<new import>/lines?line=1", {"id": "an old note", "memory": "old tea", **_ALICE}),
    ),
    "POST /import-checks": (Ask("/import-checks", {"id": "an old note", "memory": "old tea", **_ALICE}),),
    "POST /export-jobs": (Ask("/export-jobs", {"id": "4f1c0a52-7c11-4a51-9a39-2f6f3f3b6a02"}),),
    "POST /export-jobs/{job_id}/lines": (Ask("/export-jobs/<new export>/lines", {"cursor": None}),),
    "GET /api/v1/webhooks/{webhook_id}/deliveries/": (Ask("/api/v1/webhooks/<hook>/deliveries/"),),
    "GET /health": (Ask("/health"),),
    "GET /": (Ask("/", statuses=(307,)),),
}

_ADD = {"messages": _SAID, **_ALICE}

_PLATFORM: Mapping[str, Sequence[Ask]] = {
    "GET /v1/ping/": (Ask("/v1/ping/"),),
    "POST /v3/memories/add/": (
        Ask("/v3/memories/add/", {**_ADD, "infer": False}, "verbatim"),
        Ask("/v3/memories/add/", _ADD, "facts, queued"),
        Ask("/v3/memories/add/", {**_ADD, "async_mode": False}, "facts, at once"),
    ),
    "POST /v1/memories/": (Ask("/v1/memories/", {**_ADD, "infer": False}),),
    "POST /v3/memories/search/": _search("/v3/memories/search/"),
    "POST /v2/memories/search/": _search("/v2/memories/search/")[:1],
    "POST /v1/memories/search/": _search("/v1/memories/search/")[:1],
    "POST /v1/memories/explain/": _search("/v1/memories/explain/", memory_id="<memory>")[:4],
    "POST /v3/memories/": _pages("/v3/memories/"),
    "POST /v2/memories/": _pages("/v2/memories/")[:4],
    "GET /v1/memories/": (
        Ask("/v1/memories/?user_id=alice", name="without pages"),
        Ask("/v1/memories/?user_id=alice&page=2&page_size=50", name="a page"),
    ),
    "PUT /v1/batch/": (
        Ask("/v1/batch/", {"memories": [{"memory_id": "<memory>", "text": "black tea"}] * _BATCH}, "text"),
        Ask("/v1/batch/", {"memories": [{"memory_id": "<memory>", "metadata": {"a": 1}}] * _BATCH}, "metadata"),
    ),
    "DELETE /v1/batch/": (Ask("/v1/batch/", {"memories": [{"memory_id": "<memory>"}] * _BATCH}, destroys=True),),
    "GET /v1/events/": (
        Ask("/v1/events/", name="the first page"),
        Ask("/v1/events/?page=3&page_size=50", name="the third page"),
        Ask("/v1/events/?status=FAILED&page_size=20", name="the few that failed"),
        Ask("/v1/events/?user_id=user-1&page_size=20", name="those of a user"),
    ),
    "GET /v1/event/{event_id}/": (Ask("/v1/event/<job>/"),),
    "POST /v1/event/{event_id}/retry/": (Ask("/v1/event/<job>/retry/", statuses=(409,)),),
    "DELETE /v1/event/{event_id}/": (Ask("/v1/event/<job>/", statuses=(409,)),),
    "POST /v1/exports/": (Ask("/v1/exports/", {"schema": _SCHEMA, "filters": _ALICE}, statuses=(201,), counts=True),),
    "POST /v1/exports/get/": (
        Ask("/v1/exports/get/", {"memory_export_id": "<export>"}, "by its id"),
        Ask("/v1/exports/get/", {"filters": _ALICE}, "by its filters", statuses=(200, 404)),
    ),
    "POST /v1/summary/": (
        Ask("/v1/summary/", {"filters": _ALICE}, "everything"),
        Ask("/v1/summary/", {"filters": _RARE}, "a filter that matches little"),
    ),
    "POST /v1/feedback/": (Ask("/v1/feedback/", {"memory_id": "<memory>", "feedback": "NEGATIVE"}),),
    "GET /v1/feedback/": (Ask("/v1/feedback/"),),
    f"POST {_PLACE}".replace("<organization>", "{org_id}"): (Ask(_PLACE, {"name": "another"}),),
    **{
        f"{method} {_PLACE}{{project}}/".replace("<organization>", "{org_id}"): asked
        for method, asked in {
            "GET": (Ask(_HERE),),
            "PATCH": (Ask(_HERE, {"custom_instructions": "Remember plants."}),),
            "DELETE": (Ask(_HERE, statuses=(403,)),),
        }.items()
    },
    **{
        f"{method} {_PLACE}{{project}}/members/".replace("<organization>", "{org_id}"): asked
        for method, asked in {
            "GET": (Ask(f"{_HERE}members/"),),
            "POST": (Ask(f"{_HERE}members/", {**_MEMBER, "role": "READER"}),),
            "PUT": (Ask(f"{_HERE}members/", {**_MEMBER, "role": "OWNER"}, statuses=(200, 404)),),
            "DELETE": (Ask(f"{_HERE}members/?email=bob@example.com", statuses=(200, 404)),),
        }.items()
    },
    "GET /api/v1/webhooks/projects/{project}/": (Ask("/api/v1/webhooks/projects/<project>/"),),
    "POST /api/v1/webhooks/projects/{project}/": (Ask("/api/v1/webhooks/projects/<project>/", _HOOK, statuses=(201,)),),
    "PUT /api/v1/webhooks/{webhook_id}/": (Ask("/api/v1/webhooks/<hook>/", {"name": "renamed"}),),
    "DELETE /api/v1/webhooks/{webhook_id}/": (Ask("/api/v1/webhooks/<hook>/", destroys=True),),
    "GET /v2/entities/user/{entity_id:path}/profile/": (Ask("/v2/entities/user/alice/profile/"),),
    "POST /v2/profiles/jobs/": (
        Ask("/v2/profiles/jobs/", {"operation": "trigger", "entity_type": "user", "entity_id": "alice"}),
    ),
    "GET /v2/profiles/jobs/{job_id}/": (Ask("/v2/profiles/jobs/<job>/", statuses=(404,)),),
    "GET /v2/profiles/settings/": (Ask("/v2/profiles/settings/"),),
    "POST /v2/profiles/settings/": (Ask("/v2/profiles/settings/", {"enabled": True}),),
    "GET /v1/entities/": (
        Ask("/v1/entities/", name="all"),
        Ask("/v1/entities/?page=2&page_size=50", name="a page"),
        Ask("/v1/entities/?page=1&page_size=50", name="a limited key", key=LIMITED),
    ),
    "DELETE /v1/entities/{entity_type}/{entity_id:path}/": (
        Ask("/v1/entities/user/123456/", name="an unknown number", statuses=(400,)),
    ),
    "GET /v2/entities/{entity_type}/{entity_id:path}/": (
        Ask("/v2/entities/user/alice/", name="everything"),
        Ask("/v2/entities/user/user-1/", name="a user with one memory"),
    ),
    "DELETE /v2/entities/{entity_type}/{entity_id:path}/": (
        Ask("/v2/entities/app/notes/", name="everything", destroys=True),
    ),
    **{
        f"GET /v1/memories/{kind}/{{entity_id:path}}/": (
            Ask(f"/v1/memories/{kind}/{name}/", name="everything"),
            Ask(f"/v1/memories/{kind}/{kind}-1/", name="a single memory"),
        )
        for kind, name in {"user": "alice", "agent": "helper", "app": "notes", "run": "talk"}.items()
    },
    "DELETE /v1/memories/": (
        *_erasures("/v1/memories/", "user_id", "agent_id", "app_id", "run_id"),
        Ask("/v1/memories/?user_id=*", name="every user", destroys=True),
        Ask("/v1/memories/?user_id=*&agent_id=helper", name="every user of an agent", destroys=True),
        Ask("/v1/memories/?user_id=*&agent_id=*&app_id=*&run_id=*", name="everything", destroys=True),
        Ask('/v1/memories/?user_id=alice&metadata={"topic":"often"}', name="by a filter", destroys=True),
        Ask(
            '/v1/memories/?user_id=alice&metadata={"topic":"rare"}',
            name="by a filter that matches little",
            destroys=True,
        ),
    ),
    "GET /v1/memories/{memory_id:path}/history/": (Ask("/v1/memories/<memory>/history/"),),
    "GET /v1/memories/{memory_id:path}/superseded/": (Ask("/v1/memories/<memory>/superseded/"),),
    "POST /v1/memories/{memory_id:path}/restore/": (Ask("/v1/memories/<superseded>/restore/"),),
    "GET /v1/memories/{memory_id:path}/": (Ask("/v1/memories/<memory>/"),),
    "PUT /v1/memories/{memory_id:path}/": (Ask("/v1/memories/<memory>/", {"text": "white tea"}),),
    "DELETE /v1/memories/{memory_id:path}/": (
        Ask("/v1/memories/<memory>/"),
        Ask("/v1/memories/<successor>/?delete_linked=true", name="with what it superseded", destroys=True),
    ),
}

ROUTE_CASES: Mapping[str, Sequence[Ask]] = {**_SELFHOSTED, **_PLATFORM}
