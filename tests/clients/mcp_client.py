"""Uses /mcp by a client of Python, unmodified; prints one JSON line a step.

Not a test by itself: `test_mcp_clients.py` runs it with the Python of each client's own environment, so it imports
nothing but that client. Usage: python mcp_client.py CLIENT HOST KEY
"""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

CLIENT, HOST, KEY = sys.argv[1:]
HEADERS = {"Authorization": f"Bearer {KEY}"}
MAI, ANA = (f"{name}-{uuid.uuid4().hex[:8]}" for name in ("mai", "ana"))
URL = f"{HOST}/mcp?user_id={MAI}"

Call = Callable[[str, dict[str, Any]], Awaitable["Answer"]]


@dataclass
class Answer:
    """What a tool gave, or the text of its refusal."""

    refused: bool
    text: str

    @property
    def result(self) -> dict[str, Any]:
        assert not self.refused, self.text
        found: dict[str, Any] = json.loads(self.text)
        return found

    @property
    def texts(self) -> list[str]:
        return sorted(one["memory"] for one in self.result["results"])


@dataclass
class Connected:
    """A connection: the input schemas of the tools by their names, and how to call one."""

    tools: dict[str, Any]
    call: Call


def session_answer(result: Any) -> Answer:
    """The answer in an object of the official SDK, whose names differ between its lines."""
    refused = result.is_error if hasattr(result, "is_error") else result.isError
    structured = result.structured_content if hasattr(result, "structured_content") else result.structuredContent
    text = result.content[0].text
    assert refused or json.loads(text) == structured, result
    return Answer(bool(refused), text)


def schemas(tools: Any) -> dict[str, Any]:
    return {tool.name: tool.input_schema if hasattr(tool, "input_schema") else tool.inputSchema for tool in tools}


@asynccontextmanager
async def mcp_1() -> AsyncIterator[Connected]:
    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client

    async with (
        streamablehttp_client(URL, headers=HEADERS) as (reading, writing, _),
        ClientSession(reading, writing) as session,
    ):
        await session.initialize()

        async def call(name: str, arguments: dict[str, Any]) -> Answer:
            return session_answer(await session.call_tool(name, arguments))

        yield Connected(schemas((await session.list_tools()).tools), call)


@asynccontextmanager
async def mcp_2() -> AsyncIterator[Connected]:
    import httpx2
    from mcp import Client
    from mcp.client.streamable_http import streamable_http_client

    async with (
        httpx2.AsyncClient(headers=HEADERS, timeout=60) as http,
        Client(streamable_http_client(URL, http_client=http)) as client,
    ):

        async def call(name: str, arguments: dict[str, Any]) -> Answer:
            return session_answer(await client.call_tool(name, arguments))

        yield Connected(schemas((await client.list_tools()).tools), call)


@asynccontextmanager
async def fastmcp() -> AsyncIterator[Connected]:
    from fastmcp import Client
    from fastmcp.client.transports import StreamableHttpTransport

    async with Client(StreamableHttpTransport(URL, headers=HEADERS), timeout=60) as client:

        async def call(name: str, arguments: dict[str, Any]) -> Answer:
            return session_answer(await client.call_tool(name, arguments, raise_on_error=False))

        yield Connected(schemas(await client.list_tools()), call)


@asynccontextmanager
async def langchain_mcp_adapters() -> AsyncIterator[Connected]:
    from langchain_mcp_adapters.client import MultiServerMCPClient

    server = {"transport": "streamable_http", "url": URL, "headers": HEADERS}
    tools = {tool.name: tool for tool in await MultiServerMCPClient({"forgetless": server}).get_tools()}

    async def call(name: str, arguments: dict[str, Any]) -> Answer:
        # As an agent calls it, which gets a message with the status instead of an exception.
        message = await tools[name].ainvoke({"name": name, "args": arguments, "id": "1", "type": "tool_call"})
        content = message.content
        return Answer(message.status == "error", content if isinstance(content, str) else content[0]["text"])

    yield Connected({name: tool.args_schema for name, tool in tools.items()}, call)


@asynccontextmanager
async def openai_agents() -> AsyncIterator[Connected]:
    from agents import Agent
    from agents.mcp import MCPServerStreamableHttp, MCPUtil
    from agents.run_context import RunContextWrapper

    params: Any = {"url": URL, "headers": HEADERS, "timeout": 60}
    async with MCPServerStreamableHttp(params, client_session_timeout_seconds=60) as server:
        agent: Any = Agent(name="tester", mcp_servers=[server])
        # The functions that the model is shown, in the strict form wherever that can be.
        functions = await MCPUtil.get_function_tools(server, True, RunContextWrapper(None), agent)

        async def call(name: str, arguments: dict[str, Any]) -> Answer:
            return session_answer(await server.call_tool(name, arguments))

        yield Connected({one.name: one.params_json_schema for one in functions}, call)


async def lists_ten_tools_without_references(on: Connected) -> None:
    assert len(on.tools) == 10, sorted(on.tools)
    for name, schema in on.tools.items():
        assert schema["type"] == "object", (name, schema)
        assert "$ref" not in json.dumps(schema), (name, schema)


async def adds_for_the_user_of_the_address(on: Connected) -> None:
    added = await on.call("add_memory", {"text": "Nilo hates trams.", "run_id": "s1", "infer": False})
    assert [one["event"] for one in added.result["results"]] == ["ADD"], added
    said = [{"role": "user", "content": "Nilo is a dog."}, {"role": "assistant", "content": "Noted."}]
    await on.call("add_memory", {"messages": said, "user_id": ANA, "infer": False})


async def adds_what_the_llm_extracts(on: Connected) -> None:
    added = await on.call("add_memory", {"text": "My sister is called Ana. I work at Bosch.", "app_id": "llm"})
    assert added.result["extraction"] == "llm", added
    assert added.result["results"], added


async def searches_and_finds(on: Connected) -> None:
    found = await on.call("search_memories", {"query": "What does the dog fear?", "run_id": "s1", "threshold": 0})
    assert found.texts == ["Nilo hates trams."]


async def filters_name_another_user(on: Connected) -> None:
    for filters in ({"AND": [{"user_id": ANA}]}, {"user_id": {"in": [ANA]}}):
        found = await on.call("get_memories", {"filters": filters})
        assert found.texts == ["Nilo is a dog.", "Noted."], found
    found = await on.call("get_memories", {"filters": {"NOT": [{"user_id": ANA}]}, "run_id": "s1"})
    assert found.texts == ["Nilo hates trams."], found


async def leaves_out_by_null(on: Connected) -> None:
    nulls = {"user_id": None, "agent_id": None, "filters": None, "cursor": None, "as_of": None}
    found = await on.call("get_memories", {**nulls, "run_id": "s1"})
    assert found.texts == ["Nilo hates trams."], found


async def updates_and_deletes(on: Connected) -> None:
    (one,) = (await on.call("get_memories", {"run_id": "s1"})).result["results"]
    changed = await on.call("update_memory", {"memory_id": one["id"], "text": "Nilo loves trams."})
    assert changed.result["memory"]["memory"] == "Nilo loves trams.", changed
    read = await on.call("get_memory", {"memory_id": one["id"]})
    assert read.result["memory"]["version"] == 2, read
    assert (await on.call("delete_memory", {"memory_id": one["id"]})).result["deleted"] == 1


async def is_told_what_is_wrong(on: Connected) -> None:
    refused = await on.call("get_memory", {"memory_id": "unknown"})
    assert refused.refused, refused
    assert "not found" in refused.text, refused


STEPS = (
    lists_ten_tools_without_references,
    adds_for_the_user_of_the_address,
    adds_what_the_llm_extracts,
    searches_and_finds,
    filters_name_another_user,
    leaves_out_by_null,
    updates_and_deletes,
    is_told_what_is_wrong,
)
CLIENTS = {
    "mcp-1": mcp_1,
    "mcp-2": mcp_2,
    "fastmcp": fastmcp,
    "langchain-mcp-adapters": langchain_mcp_adapters,
    "openai-agents": openai_agents,
}


async def main() -> None:
    async with CLIENTS[CLIENT]() as on:
        for step in STEPS:
            failed = None
            try:
                await step(on)
            except Exception as error:  # noqa: BLE001 - whatever goes wrong is what is to be told
                failed = f"{type(error).__name__}: {error}"[:2000]
            print(json.dumps({"method": step.__name__, "error": failed}), flush=True)


asyncio.run(main())
