"""The entities that a filter names: noted for the audit list, and required of readers who are no administrators."""

from __future__ import annotations

from forgetless.api.caller import Caller
from forgetless.domain.errors import ForbiddenError
from forgetless.domain.filters.ast import Filter
from forgetless.domain.filters.scope_ids import named_entities, named_memories, pins_an_entity
from forgetless.ports.named_ids import note_id

__all__ = ["check_may_list", "check_reader", "note_entities"]

_NO_TENANT_WIDE = (
    "Admin role required to read everybody's memories: name a user, agent, app or run, and with OR one in each branch."
)


def note_entities(where: Filter) -> bool:
    """Note the ids that the filter names, for the audit list; returns whether it names an entity, be it by `*`."""
    found = list(named_entities(where))
    for condition in found:
        for value in condition.value if isinstance(condition.value, tuple) else [condition.value]:
            note_id(condition.field.name, "*" if value is None else value)
    for memory_id in named_memories(where):
        if memory_id is not None:
            note_id("memory_id", memory_id)
    return bool(found)


def check_may_list(caller: Caller, what: str, *, where: str = "") -> None:
    """Raise ForbiddenError if the key reaches the whole tenant but is not an administrator's; `where` tells more."""
    if not caller.admin and caller.key_limits is None:
        raise ForbiddenError(f"Admin role required to list everybody's {what}{where}.")


def check_reader(caller: Caller, where: Filter) -> None:
    """Raise ForbiddenError if the filter may match everybody's memories and the key is not an administrator's."""
    if not caller.admin and not pins_an_entity(where):
        raise ForbiddenError(_NO_TENANT_WIDE)
