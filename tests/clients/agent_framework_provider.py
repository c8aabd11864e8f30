"""Gives an agent of Microsoft's Agent Framework its mem0 provider, unmodified; prints one JSON line a step.

Not a test by itself: `test_integrations.py` runs it with the Python of the client's own environment. The agent is the
framework's own; only its model is a stand-in, which shows what it was given. Usage: python THIS HOST KEY
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from agent_framework import Agent, BaseChatClient, ChatResponse, Message
from agent_framework_mem0 import Mem0ContextProvider
from mem0 import AsyncMemoryClient

HOST, KEY = sys.argv[1:]
DEADLINE_S = 60.0
MAI, APP, HELPER = (f"{name}-{uuid.uuid4().hex[:8]}" for name in ("mai", "app", "helper"))
client = AsyncMemoryClient(api_key=KEY, host=HOST)


class Model(BaseChatClient):  # type: ignore[type-arg]
    """Answers with nothing worth remembering, and keeps what it was shown."""

    shown = ""

    def _inner_get_response(self, *, messages: Any, stream: bool, options: Any, **_: Any) -> Any:
        assert not stream, options
        self.shown = "\n".join(message.text for message in messages)

        async def answer() -> Any:
            return ChatResponse(messages=[Message(role="assistant", contents=["Noted."])], response_id="r")

        return answer()


async def say(text: str, **scope: str) -> str:
    """What the model was shown when the user said this."""
    model = Model()
    async with Mem0ContextProvider(mem0_client=client, **scope) as provider:  # type: ignore[arg-type]
        answer = await Agent(client=model, context_providers=[provider]).run(text)
        assert answer.text == "Noted.", answer
    return model.shown


async def stored(filters: dict[str, Any]) -> list[str]:
    """The memories, once the queue has made some."""
    end = time.monotonic() + DEADLINE_S
    while not (found := (await client.get_all(filters=filters))["results"]):
        assert time.monotonic() < end, "the queue has not done it"
        await asyncio.sleep(0.2)
    return [one["memory"] for one in found]


async def writes_for_a_user() -> None:
    await say("My sister is called Ana. I work at Bosch.", user_id=MAI)
    assert any("Bosch" in text for text in await stored({"user_id": MAI}))


async def writes_for_a_user_an_agent_and_an_application() -> None:
    await say("My brother is called Tom.", user_id=MAI, agent_id=HELPER, application_id=APP)
    for filters in ({"agent_id": HELPER}, {"app_id": APP}, {"AND": [{"user_id": MAI}, {"app_id": APP}]}):
        assert any("Tom" in text for text in await stored(filters)), filters


async def shows_the_model_what_it_finds() -> None:
    shown = await say("Where do I work, at Bosch?", user_id=MAI, search_user_id=MAI)
    assert "## Memories" in shown, shown
    assert shown.count("Bosch") > 1, shown
    assert "Bosch" not in await say("Who is it?", user_id=MAI, search_user_id=f"{MAI}-other")


async def finds_by_agent_and_by_application() -> None:
    for scope in ({"search_agent_id": HELPER}, {"search_application_id": APP}):
        assert "Tom" in await say("What is my brother called?", user_id=f"{MAI}-other", **scope), scope


STEPS: tuple[Callable[[], Awaitable[None]], ...] = (
    writes_for_a_user,
    writes_for_a_user_an_agent_and_an_application,
    shows_the_model_what_it_finds,
    finds_by_agent_and_by_application,
)


async def main() -> None:
    for step in STEPS:
        failed = None
        try:
            await step()
        except Exception as error:  # noqa: BLE001 - whatever goes wrong is what is to be told
            failed = f"{type(error).__name__}: {error}"[:2000]
        print(json.dumps({"method": step.__name__, "error": failed}), flush=True)


asyncio.run(main())
