"""The table of MCP tools: their names are those of mem0's own MCP server, and each says when to use it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from mcp_types import Tool, ToolAnnotations

from forgetless.api.mcp import calls, serialize, wire
from forgetless.api.mcp.schemas import input_schema, output_schema
from forgetless.domain.keys import Role
from forgetless.domain.usage import UsageKind

__all__ = ["INSTRUCTIONS", "TOOLS", "MemoryTool"]

A = TypeVar("A", bound=wire.Arguments)

#: The instructions that a client may show to its model in addition to the tools.
INSTRUCTIONS = (
    "Long-term memory. Before answering, search_memories for what is known of the person and the matter; after "
    "learning something that will matter later (preferences, facts, decisions, corrections), add_memory."
)


@dataclass(frozen=True, slots=True)
class MemoryTool:
    """One tool: its description for clients, the model of its arguments, and the function that it calls."""

    announced: Tool
    arguments: type[wire.Arguments]
    call: Callable[[calls.Connection, Any], serialize.Answer]
    #: Whether arguments that it does not have are ignored, whatever they are: it destroys nothing.
    forgiving: bool
    #: The role that a key needs for it.
    needs: Role
    #: What a call that succeeds counts as, besides as a request.
    counts: UsageKind | None


@dataclass(frozen=True, slots=True)
class _Effect:
    """What a tool does to the memories; hosts are told so, and may ask their user first."""

    reads: bool
    destroys: bool
    repeatable: bool
    forgiving: bool


#: What calls count as; all others count as requests alone.
_COUNTED: dict[Callable[..., Any], UsageKind] = {
    calls.add_memory: UsageKind.ADDS,
    calls.search_memories: UsageKind.SEARCHES,
}


def _tool(
    title: str,
    call: Callable[[calls.Connection, A], serialize.Answer],
    takes: type[A],
    gives: type[serialize.Answer],
    description: str,
    *,
    needs: Role,
    effect: _Effect,
) -> MemoryTool:
    announced = Tool(
        name=call.__name__,
        title=title,
        description=description,
        input_schema=input_schema(takes),
        output_schema=output_schema(gives),
        # The hint is false because no tool reaches anything outside the memories.
        annotations=ToolAnnotations(
            title=title,
            open_world_hint=False,
            read_only_hint=effect.reads,
            destructive_hint=effect.destroys,
            idempotent_hint=effect.repeatable,
        ),
    )
    return MemoryTool(announced, takes, call, effect.forgiving, needs, _COUNTED.get(call))


_READS = _Effect(reads=True, destroys=False, repeatable=True, forgiving=True)
_ADDS = _Effect(reads=False, destroys=False, repeatable=False, forgiving=True)
_RESTORES = _Effect(reads=False, destroys=False, repeatable=True, forgiving=False)
_DESTROYS = _Effect(reads=False, destroys=True, repeatable=True, forgiving=False)

_ALL = (
    _tool(
        "Remember",
        calls.add_memory,
        wire.AddMemory,
        serialize.Added,
        "Store something for later conversations: a preference, a fact, a decision, a correction. Use it whenever "
        "the user says something worth knowing next time, or asks you to remember. Write the statement so that it "
        "can be understood alone, with names and dates. Older facts that it contradicts are superseded automatically.",
        needs=Role.WRITE,
        effect=_ADDS,
    ),
    _tool(
        "Search memories",
        calls.search_memories,
        wire.SearchMemories,
        serialize.SomeMemories,
        "Find what is remembered about something, by meaning and by words. Use it before answering anything that "
        "may depend on what was said in earlier conversations. For questions about earlier times, give as_of.",
        needs=Role.READ,
        effect=_READS,
    ),
    _tool(
        "List memories",
        calls.get_memories,
        wire.GetMemories,
        serialize.SomeMemories,
        "List what is remembered, newest first. Use it to review everything about somebody; to look for something "
        "in particular, search_memories is better.",
        needs=Role.READ,
        effect=_READS,
    ),
    _tool(
        "Get a memory",
        calls.get_memory,
        wire.GetMemory,
        serialize.OneMemory,
        "Read one memory by its id, also one that a newer memory has superseded.",
        needs=Role.READ,
        effect=_READS,
    ),
    _tool(
        "Change a memory",
        calls.update_memory,
        wire.UpdateMemory,
        serialize.OneMemory,
        "Correct one memory that is wrong or incomplete. Find its id with search_memories first. The old text "
        "stays in the history.",
        needs=Role.WRITE,
        effect=_DESTROYS,
    ),
    _tool(
        "Bring a memory back",
        calls.restore_memory,
        wire.MemoryId,
        serialize.OneMemory,
        "Bring back one memory that a newer memory has superseded, if it still holds after all. The newer memory "
        "stays; delete it with delete_memory if it is wrong.",
        needs=Role.WRITE,
        effect=_RESTORES,
    ),
    _tool(
        "Forget a memory",
        calls.delete_memory,
        wire.MemoryId,
        serialize.Deleted,
        "Delete one memory for good, with its history's texts. Use it only when the user wants it forgotten; to "
        "correct it, use update_memory.",
        needs=Role.WRITE,
        effect=_DESTROYS,
    ),
    _tool(
        "Forget all memories of a scope",
        calls.delete_all_memories,
        wire.DeletedScope,
        serialize.Deleted,
        "Delete every memory that has all the ids given, for good. Name the ids explicitly, and ask the user first. "
        "Needs an administrator's key.",
        needs=Role.ADMIN,
        effect=_DESTROYS,
    ),
    _tool(
        "List who has memories",
        calls.list_entities,
        wire.ListEntities,
        serialize.Entities,
        "List the users, agents, apps and runs that have memories, with their number. Use it when you do not know "
        "whose memories to look in.",
        needs=Role.READ,
        effect=_READS,
    ),
    _tool(
        "Forget somebody",
        calls.delete_entities,
        wire.DeletedEntity,
        serialize.Deleted,
        "Delete one user, agent, app or run with all memories, for good: exactly one id. Ask the user first. Needs "
        "an administrator's key.",
        needs=Role.ADMIN,
        effect=_DESTROYS,
    ),
)

#: Every tool by its name.
TOOLS = {tool.announced.name: tool for tool in _ALL}
