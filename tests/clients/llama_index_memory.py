"""Uses LlamaIndex' mem0 memory, unmodified; prints one JSON line a step.

Not a test by itself: `test_integrations.py` runs it with the Python of the client's own environment. The client is
handed over: `from_client` of this version passes arguments that no `mem0ai` which it allows takes.
Usage: python THIS HOST KEY
"""

from __future__ import annotations

import json
import sys
import time
import uuid
from collections.abc import Callable
from typing import Any

from llama_index.core.llms import ChatMessage
from llama_index.core.memory import Memory
from llama_index.memory.mem0 import Mem0Memory
from mem0 import MemoryClient

HOST, KEY = sys.argv[1:]
DEADLINE_S = 60.0
MAI = f"mai-{uuid.uuid4().hex[:8]}"
client: Any = MemoryClient(api_key=KEY, host=HOST)


def memory(**context: str) -> Any:
    return Mem0Memory(context=context, client=client, primary_memory=Memory.from_defaults())


def stored(**filters: str) -> list[str]:
    """The memories, once the queue has made some."""
    end = time.monotonic() + DEADLINE_S
    while not (found := client.get_all(filters=filters)["results"]):
        assert time.monotonic() < end, "the queue has not done it"
        time.sleep(0.2)
    return [one["memory"] for one in found]


def put() -> None:
    of_mai = memory(user_id=MAI)
    of_mai.put(ChatMessage(role="user", content="My sister is called Ana. I work at Bosch."))
    of_mai.put(ChatMessage(role="assistant", content="Noted."))
    assert any("Bosch" in text for text in stored(user_id=MAI))
    assert len(of_mai.get_all()) == 2


def get() -> None:
    (shown,) = memory(user_id=MAI).get("Where do I work, at Bosch?")
    assert shown.role == "system", shown
    assert "Bosch" in shown.content, shown


def set_messages() -> None:
    of_both = memory(user_id=MAI, agent_id=f"{MAI}-helper", run_id="s1")
    of_both.set([ChatMessage(role="user", content="My brother is called Tom.")])
    for filters in ({"agent_id": f"{MAI}-helper"}, {"user_id": MAI, "run_id": "s1"}):
        assert any("Tom" in text for text in stored(**filters)), filters
    shown, said = of_both.get("What is my brother called?")
    assert "Tom" in shown.content, shown
    assert said.content == "My brother is called Tom.", said


def search() -> None:
    found = memory(user_id=MAI).search("Where do I work, at Bosch?", filters={"user_id": MAI}, top_k=2)
    assert 0 < len(found["results"]) <= 2, found


def reset() -> None:
    of_mai = memory(user_id=MAI)
    of_mai.reset()
    assert of_mai.get_all() == []
    assert stored(user_id=MAI)


STEPS: tuple[Callable[[], None], ...] = (put, get, set_messages, search, reset)

for step in STEPS:
    failed = None
    try:
        step()
    except Exception as error:  # noqa: BLE001 - whatever goes wrong is what is to be told
        failed = f"{type(error).__name__}: {error}"[:2000]
    print(json.dumps({"method": step.__name__, "error": failed}), flush=True)
