"""What a filter means: evaluates it for one memory. This decides wherever a store cannot express the filter.

Types compare strictly (`True` is not 1, "1" is not 1; whole and decimal numbers compare as numbers). A comparison
with an absent key or another type is false. NE, NIN and NOT are exact complements, so they match there. EQ null
matches an absent or null value. A condition on categories holds when it holds for one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import ge, gt, le, lt
from typing import Any

from forgetless.domain.filters.ast import And, Compare, Field, Filter, Not, Operator, Or
from forgetless.domain.memory import Memory
from forgetless.domain.scope import SCOPE_IDS

__all__ = ["evaluate", "value_of"]


def evaluate(where: Filter, memory: Memory) -> bool:
    """Whether `memory` matches the filter."""
    match where:
        case And(items):
            return all(evaluate(item, memory) for item in items)
        case Or(items):
            return any(evaluate(item, memory) for item in items)
        case Not(item):
            return not evaluate(item, memory)
        case Compare(field, operator, value):
            return _COMPARISONS[operator](value_of(field, memory), value)


def value_of(field: Field, memory: Memory) -> Any:
    """The memory's value of a field; None means absent, null, or an empty id or list of categories."""
    if field.metadata:
        return memory.metadata.get(field.name)
    if field.name in SCOPE_IDS:
        return getattr(memory.scope, field.name) or None
    return getattr(memory, field.name) or None


def _equal(found: Any, value: Any) -> bool:
    # Only categories are a tuple; lists in metadata come from JSON and are Python lists.
    if isinstance(found, tuple):
        return value in found
    if found is None or value is None:
        return found is value
    if isinstance(found, bool) or isinstance(value, bool):
        return found is value
    if isinstance(found, int | float) and isinstance(value, int | float):
        return found == value
    return isinstance(found, str) and isinstance(value, str) and found == value


def _same_order(found: Any, value: Any) -> bool:
    if isinstance(found, bool) or isinstance(value, bool):
        return False
    numbers = isinstance(found, int | float) and isinstance(value, int | float)
    return numbers or (isinstance(found, str) and isinstance(value, str))


def _contains(found: Any, value: Any) -> bool:
    if isinstance(found, str):
        return isinstance(value, str) and value in found
    if isinstance(found, list | tuple):
        return any(_equal(one, value) for one in found)
    return False


def _casefolded(found: Any) -> Any:
    if isinstance(found, str):
        return found.casefold()
    if isinstance(found, list | tuple):
        return [one.casefold() if isinstance(one, str) else one for one in found]
    return found


def _any_equal(found: Any, values: Iterable[Any]) -> bool:
    return any(_equal(found, one) for one in values)


def _ordered(holds: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    return lambda found, value: _same_order(found, value) and holds(found, value)


_COMPARISONS: dict[Operator, Callable[[Any, Any], bool]] = {
    Operator.EQ: _equal,
    Operator.NE: lambda found, value: not _equal(found, value),
    Operator.IN: _any_equal,
    Operator.NIN: lambda found, values: not _any_equal(found, values),
    Operator.GT: _ordered(gt),
    Operator.GTE: _ordered(ge),
    Operator.LT: _ordered(lt),
    Operator.LTE: _ordered(le),
    Operator.CONTAINS: _contains,
    Operator.ICONTAINS: lambda found, value: _contains(_casefolded(found), _casefolded(value)),
    Operator.EXISTS: lambda found, _value: found is not None,
}
