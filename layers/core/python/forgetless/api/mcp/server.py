"""The endpoint /mcp: streamable HTTP without sessions, with the official SDK and a new manager for each request.

A Lambda environment serves one request at a time, and nothing may run between two requests. The SDK's session manager
can run only once, so each request has its own. Answers are JSON, never a stream; GET (a stream) and DELETE (a session)
are answered with 405.

The SDK reads what comes and writes what goes on an event loop, and some of it takes long. Where other requests are in
progress, each request of /mcp therefore has a turn of its tenant, a thread, and an event loop in it.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from functools import partial
from typing import Any

import anyio
from mcp.server.lowlevel.server import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
)
from pydantic import ValidationError
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

import forgetless
from forgetless.api.access import require
from forgetless.api.body_limit import MAX_BODY_BYTES, read_body, replayed
from forgetless.api.caller import MCP_NEEDS, MCP_ROUTE, MCP_STATUS, MCP_TOOL, get_caller
from forgetless.api.errors import in_one_line, status_of
from forgetless.api.field_checks import check_ids_once
from forgetless.api.json_response import json_response
from forgetless.api.mcp.arguments import ignored_note, read_arguments, unknown_arguments
from forgetless.api.mcp.calls import Connection
from forgetless.api.mcp.serialize import BESIDE_BYTES, Answer, answer_bytes
from forgetless.api.mcp.tools import INSTRUCTIONS, TOOLS, MemoryTool
from forgetless.api.mcp.wire import MemoryId
from forgetless.api.routing import Runner, reading, run_inline
from forgetless.api.size_limits import check_sizes
from forgetless.api.usage import counted
from forgetless.api.value_count import check_value_count, is_light, json_work, read_few
from forgetless.domain.errors import DeadlineError, DependencyError, ForgetlessError
from forgetless.domain.heavy_work import heavy_work
from forgetless.domain.keys import Role
from forgetless.domain.limits import ANSWER_BYTES
from forgetless.domain.scope import SCOPE_IDS
from forgetless.ports.named_ids import note_id

__all__ = ["McpEndpoint"]

_logger = logging.getLogger(__name__)

#: The most values of a message beside the arguments of a tool, which may be as many as in other bodies.
_MOST_BESIDE = 1000

#: A caller with a key may use any host name. A request without a key is refused before this.
_ANY_HOST = TransportSecuritySettings(enable_dns_rebinding_protection=False)


class McpEndpoint:
    """The ASGI application of /mcp, which runs after authentication."""

    def __init__(self, *, run: Runner) -> None:
        self._run = run
        self._server: Server[Any] = Server(
            "forgetless",
            version=forgetless.__version__,
            title="Forgetless",
            instructions=INSTRUCTIONS,
            on_list_tools=_list_tools,
            on_call_tool=self._call_tool,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"][MCP_ROUTE] = scope["path"]
        if scope["method"] != "POST":
            refusal = json_response({"detail": "Method Not Allowed"}, status=405, headers={"Allow": "POST"})
            await refusal(scope, receive, send)
            return
        body = await read_body(receive)
        if self._run is run_inline:
            await self._handle(scope, body, send)
            return
        for message in await self._run(partial(anyio.run, self._answered, scope, body)):
            await send(message)

    async def _answered(self, scope: Scope, body: bytes) -> list[Message]:
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(message)

        await self._handle(scope, body, keep)
        return messages

    async def _handle(self, scope: Scope, body: bytes, send: Send) -> None:
        if not is_light(body):
            _check_values(body)
        manager = StreamableHTTPSessionManager(
            self._server,
            json_response=True,
            stateless=True,
            security_settings=_ANY_HOST,
            max_request_body_size=MAX_BODY_BYTES,
        )
        async with manager.run():
            await manager.handle_request(scope, replayed(body, _nothing_follows), send)

    async def _call_tool(self, context: Any, params: CallToolRequestParams) -> CallToolResult:
        tool = TOOLS.get(params.name)
        if tool is None:
            raise MCPError(INVALID_PARAMS, f"Unknown tool {params.name!r}; the tools are: {', '.join(TOOLS)}.")
        state = context.request.scope["state"]
        state[MCP_TOOL], state[MCP_NEEDS] = params.name, tool.needs
        given = params.arguments or {}
        ignored: list[str] = []
        try:
            require(get_caller(context.request.scope).key, tool.needs)
            ignored = unknown_arguments(params.name, tool.arguments, given, forgiving=tool.forgiving)
            result = await self._result(context.request, tool, given)
        except ValidationError as error:
            state[MCP_STATUS] = 400
            return _refused(_sentence(in_one_line(error, "arguments")) + ignored_note(ignored))
        except ForgetlessError as error:
            state[MCP_STATUS] = status_of(error)
            return _refused(_sentence(_reason(error)) + ignored_note(ignored))
        except Exception:
            state[MCP_STATUS] = 500
            _logger.exception("tool %s failed", params.name)
            return _refused("Internal error. It was logged; nothing can be done about it from here.")
        if ignored:
            result = result.model_copy(update={"ignored": [*(result.ignored or ()), *ignored]})
        size = answer_bytes(result)
        if size > ANSWER_BYTES + BESIDE_BYTES:
            return _refused("The answer would be larger than 6 MB; ask for less.")
        with heavy_work(size):
            return _answer(result)

    async def _result(self, request: Request, tool: MemoryTool, given: dict[str, Any]) -> Answer:
        limits = get_caller(request.scope).limits
        arguments = read_arguments(tool.arguments, given, limits)
        check_sizes(arguments, limits)
        if isinstance(arguments, MemoryId):
            note_id("memory_id", arguments.memory_id)
        call = partial(tool.call, _connection(request), arguments)
        # This is the event loop of this request alone.
        with reading(self._run, changes=tool.needs is not Role.READ):
            return await counted(run_inline, request.scope, tool.counts, call)


async def _nothing_follows() -> Message:
    """What would be received next. That the client leaves changes nothing, as the answer is no stream."""
    await anyio.sleep_forever()
    raise AssertionError


async def _list_tools(context: Any, params: PaginatedRequestParams | None) -> ListToolsResult:
    del context, params
    return ListToolsResult(tools=[tool.announced for tool in TOOLS.values()])


def _connection(request: Request) -> Connection:
    check_ids_once(request.query_params)
    in_address = {name: request.query_params[name] for name in SCOPE_IDS if name in request.query_params}
    return Connection(get_caller(request.scope), in_address)


def _answer(result: Answer) -> CallToolResult:
    # Both forms have the same content: clients of protocol versions before 2025-06-18 know only the text.
    text = result.model_dump_json(exclude_none=True)
    structured = result.model_dump(mode="json", exclude_none=True)
    return CallToolResult(content=[TextContent(type="text", text=text)], structured_content=structured)


def _check_values(body: bytes) -> None:
    """Raise InvalidRequestError if the body holds too many values; whether it is JSON at all, the SDK says.

    The SDK takes ten times as long to read them, and longest for those that no tool ever sees.
    """
    with suppress(ValueError, RecursionError), json_work(body):
        message = read_few(body)
        match message:
            case {"params": {"arguments": dict() as arguments, **params}, **others}:
                check_value_count(arguments)
                message = {**others, "params": params}
        check_value_count({"body": message}, most=_MOST_BESIDE)


def _refused(reason: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=reason)], is_error=True)


def _reason(error: ForgetlessError) -> str:
    if isinstance(error, DeadlineError):
        # Whoever tried again would store everything twice.
        return f"{error.message} as event {error.event_id}. Do not send it again."
    if isinstance(error, DependencyError) and error.retry_after is not None:
        return f"{_sentence(error.message)} Try again in {error.retry_after} s."
    return error.message


def _sentence(text: str) -> str:
    """The text with a full stop at its end, because others may follow."""
    return text if text.endswith((".", "!", "?")) else f"{text}."
