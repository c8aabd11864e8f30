"""A service in this process to plant in, what finishes all that waits in it, and the ways to erase."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import anyio

from forgetless.ports.llm import ChatMessage
from forgetless.service.webhooks.delivery import DeliveryService
from local.llm_stub.rules import answer_for
from tests.erasure.planting import Answer, Call, CallTool, Person
from tests.unit.api.client import ADMIN, Api
from tests.unit.api.mcp_client import connected
from tests.unit.service.webhooks.post import Receiver
from tests.unit.service.world import World

__all__ = ["WAYS", "finish", "reply", "tool_of"]

#: Longer than sweep waits for what was lost, and in all longer than late writes may land in DynamoDB.
_LONG_S, _TIMES = 190.0, 6


def reply(messages: Sequence[ChatMessage]) -> str:
    """The LLM: facts by fixed rules."""
    return answer_for(messages[0].content, messages[-1].content)


def finish(world: World) -> None:
    """Let sweep, the worker of bulk jobs and the deliveries do all that waits, and time pass."""
    deliveries = DeliveryService(ledger=world.ledger, sender=Receiver(), clock=world.clock)
    for _ in range(_TIMES):
        world.clock.advance(_LONG_S)
        world.services.sweep.sweep()
        while world.services.bulk_worker.turn():
            world.clock.advance(1)
        deliveries.run()
    world.services.audit.flush()


def tool_of(api: Api, *, key: str = ADMIN) -> CallTool:
    """Calls tools over MCP with this key."""

    def call(name: str, arguments: Mapping[str, Any]) -> Any:
        async def main() -> Any:
            async with connected(api.client.app, key=key) as client:
                return await client.call_tool(name, dict(arguments))

        answer = anyio.run(main)
        assert not answer.is_error, answer
        return answer

    return call


def _user(call: Call, person: Person) -> list[Answer]:
    headers = {"Idempotency-Key": person.mark("keyentity")}
    return [call("DELETE", f"/v2/entities/user/{person.id('user')}/", headers=headers)]


def _agent(call: Call, person: Person) -> list[Answer]:
    imported = {"run_id": person.id("run")}  # no line of mem0's export has an agent
    return [
        call("DELETE", "/memories", params={"agent_id": person.id("agent")}),
        call("DELETE", "/v1/memories/", params=imported),
    ]


def _runs(call: Call, person: Person) -> list[Answer]:
    names = [f"run{kind}" for kind in ("selfhosted", "platform", "mcp", "import")]
    return [call("DELETE", "/memories", params={"run_id": person.id(name)}) for name in names]


def _reset(call: Call, _person: Person) -> list[Answer]:
    return [call("POST", "/reset")]


#: By what is erased: the requests that do it.
WAYS: Mapping[str, Callable[[Call, Person], list[Answer]]] = {
    "user": _user,
    "agent": _agent,
    "run": _runs,
    "reset": _reset,
}
