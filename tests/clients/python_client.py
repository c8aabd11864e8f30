"""Runs every public method of the installed `mem0ai` against a service; prints one JSON line a method.

Not a test by itself: `test_clients.py` runs it with the Python of each client's own environment, so it imports
nothing but that client. Usage: python python_client.py HOST KEY
"""

from __future__ import annotations

import json
import sys
import time
import uuid
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from mem0 import MemoryClient

NEW = version("mem0ai").startswith("2.")
OLD = version("mem0ai").startswith("0.")
DEADLINE_S = 60.0

client: Any = MemoryClient(api_key=sys.argv[2], host=sys.argv[1])
# What a path must carry whole; clients before 2 write ids into it as they are, so no percent sign for them.
user = f"user {uuid.uuid4().hex[:8]}/x" + ("%25" if NEW else "")
plain = f"plain-{uuid.uuid4().hex[:8]}"
state: dict[str, Any] = {}


def whose(name: str = plain) -> dict[str, Any]:
    """How this version says whose memories it wants."""
    return {"filters": {"user_id": name}} if NEW else {"user_id": name}


def items(answer: Any) -> list[dict[str, Any]]:
    """The results of any answer's shape."""
    found = answer["results"] if isinstance(answer, dict) else answer
    assert isinstance(found, list), answer
    return found


def says(*texts: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text} for text in texts]


def add_verbatim() -> None:
    answer = client.add(says("I live in Lisbon.", "I like green tea."), user_id=plain, infer=False, metadata={"a": 1})
    state["ids"] = [one["id"] for one in items(answer)]
    assert len(state["ids"]) == 2, answer
    client.add(says("With a strange id."), user_id=user, infer=False)


def add_in_background() -> None:
    answer = client.add(
        says("My sister is called Ana. I work at Bosch."),
        user_id=f"{plain}-llm",
        **({} if NEW else {"async_mode": True}),
    )
    state["event"] = answer.get("event_id") or items(answer)[0]["event_id"]
    end = time.monotonic() + DEADLINE_S
    while not items(client.get_all(**whose(f"{plain}-llm"))):
        assert time.monotonic() < end, "the queue has not done it"
        time.sleep(0.2)


def add_and_wait() -> None:
    answer = client.add(says("My brother is called Tom."), user_id=f"{plain}-sync", async_mode=False)
    assert any("Tom" in json.dumps(one) for one in items(answer)), answer


def add_text() -> None:
    answer = client.add("I play chess.", user_id=f"{plain}-text", infer=False)
    assert len(items(answer)) == 1, answer


def search() -> None:
    found = items(client.search("Where do I live?", **whose(), top_k=5))
    assert "Lisbon" in found[0]["memory"], found
    assert 0 <= found[0]["score"] <= 1


def search_logic() -> None:
    filters = {"AND": [{"user_id": plain}, {"created_at": {"gte": "2024-01-01"}}]}
    options = {"version": "v2"} if OLD else {}
    assert items(client.search("tea", filters=filters, **options))
    assert not items(client.search("tea", filters={"AND": [{"user_id": "nobody"}]}, **options))


def get_all() -> None:
    assert len(items(client.get_all(**whose()))) == 2
    if NEW:
        page = client.get_all(filters={"user_id": plain}, page=1, page_size=1)
        assert (page["count"], len(page["results"]), bool(page["next"])) == (2, 1, True), page


def get() -> None:
    memory = client.get(state["ids"][0])
    assert (memory["memory"], memory["user_id"]) == ("I live in Lisbon.", plain), memory


def get_unknown() -> None:
    try:
        client.get(str(uuid.uuid4()))
    except Exception as error:  # noqa: BLE001 - each version raises a class of its own
        said = str(error)
    else:
        said = "nothing was raised"
    assert "Memory not found" in said, said


def update() -> None:
    client.update(state["ids"][0], text="I live in Porto.", metadata={"b": 2})
    memory = client.get(state["ids"][0])
    assert (memory["memory"], memory["metadata"]) == ("I live in Porto.", {"a": 1, "b": 2}), memory


def history() -> None:
    assert [item["event"] for item in client.history(state["ids"][0])] == ["ADD", "UPDATE"]


def users() -> None:
    assert {plain, user} <= {one["name"] for one in client.users()["results"]}


def batch_update() -> None:
    client.batch_update([{"memory_id": state["ids"][1], "text": "I like black tea."}])
    assert client.get(state["ids"][1])["memory"] == "I like black tea."


def batch_delete() -> None:
    client.batch_delete([{"memory_id": state["ids"][1]}])
    assert len(items(client.get_all(**whose()))) == 1


def feedback() -> None:
    try:
        answer = client.feedback(state["ids"][0], "POSITIVE", "right")
    except TypeError:
        assert not NEW, "only clients before 2 fail after the request, by a fault of their own"
    else:
        assert answer["feedback"] == "POSITIVE", answer


def export() -> None:
    schema = {"type": "object", "properties": {"facts": {"type": "array", "items": {"type": "string"}}}}
    made = client.create_memory_export(json.dumps(schema), filters={"AND": [{"user_id": plain}]})
    shaped = client.get_memory_export(memory_export_id=made["id"])
    assert "facts" in shaped, shaped


def summary() -> None:
    assert isinstance(client.get_summary(filters={"user_id": plain}), list)


def project_settings() -> None:
    client.project.update(custom_instructions="Keep everything.")
    assert client.project.get(fields=["custom_instructions"]) == {"custom_instructions": "Keep everything."}
    client.update_project(custom_categories=[{"places": "cities and countries"}])
    assert client.get_project(fields=["custom_categories"])["custom_categories"] == [{"places": "cities and countries"}]
    assert client.project.get()["project_id"] == client.project_id


def project_members() -> None:
    client.project.add_member("ana@example.com", "READER")
    client.project.update_member("ana@example.com", "OWNER")
    assert client.project.get_members()["members"][0]["role"] == "OWNER"
    client.project.remove_member("ana@example.com")


def project_create() -> None:
    assert client.project.create("another")["project_id"]


def project_delete() -> None:
    try:
        client.project.delete()
    except Exception as error:  # noqa: BLE001 - each version raises a class of its own
        said = str(error)
    else:
        said = "deleted"
    assert "cannot be deleted" in said, said


def webhooks() -> None:
    made = client.create_webhook("https://example.com/hook", "hook", client.project_id, ["memory_add"])
    client.update_webhook(made["webhook_id"], name="renamed")
    assert "renamed" in {one["name"] for one in client.get_webhooks(client.project_id)}
    client.delete_webhook(made["webhook_id"])


def profiles() -> None:
    assert client.get_profile(plain)["status"] == "not_enabled"
    assert client.generate_profile(plain)["status"] == "not_enabled"
    assert client.sample_profiles(limit=2)["status"] == "not_enabled"
    assert client.update_profile_settings(enabled=True)["enabled"] is False
    assert client.get_profile_settings()["enabled"] is False


def delete() -> None:
    client.delete(state["ids"][0])
    assert not items(client.get_all(**whose()))


def delete_all() -> None:
    client.add(says("Gone soon."), user_id=plain, infer=False)
    client.delete_all(user_id=plain)
    assert not items(client.get_all(**whose()))


def delete_users() -> None:
    client.delete_users(user_id=user)
    assert user not in {one["name"] for one in client.users()["results"]}


def reset() -> None:
    client.add(says("Gone too."), user_id=plain, infer=False)
    client.reset()
    assert client.users()["results"] == []


#: In order: later ones use what earlier ones left.
METHODS: tuple[Callable[[], None], ...] = (
    add_verbatim,
    add_in_background,
    add_and_wait,
    add_text,
    search,
    search_logic,
    get_all,
    get,
    get_unknown,
    update,
    history,
    users,
    batch_update,
    batch_delete,
    feedback,
    export,
    summary,
    project_settings,
    project_members,
    project_create,
    project_delete,
    webhooks,
    *((profiles,) if hasattr(client, "get_profile") else ()),
    delete,
    delete_all,
    delete_users,
    reset,
)

for method in METHODS:
    try:
        method()
    except Exception as error:  # noqa: BLE001 - whatever goes wrong is what is to be told
        print(json.dumps({"method": method.__name__, "error": f"{type(error).__name__}: {error}"[:2000]}))
    else:
        print(json.dumps({"method": method.__name__, "error": None}))
