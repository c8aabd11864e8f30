"""What a filter means: evaluates it for one memory. This decides wherever a store cannot express the filter.

Types compare strictly (`True` is not 1, "1" is not 1; whole and decimal numbers compare as numbers). A comparison
with an absent key or another type is false. NE, NIN and NOT are exact complements, so they match there. EQ null
matches an absent or null value. A condition on categories holds when it holds for one of them.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import ge, gt, le, lt
from typing import Any

from forgetless.domain.filters.ast import And, Compare, Field, Filter, Not, Operator, Or
from forgetless.domain.limits import MOST_FILTER_STEPS
from forgetless.domain.memory import Memory
from forgetless.domain.scope import SCOPE_IDS

__all__ = ["Matcher", "evaluate", "value_of"]

#: So many characters, or list entries, that are searched count as one more step.
_CHARS_OF_A_STEP = 1000
_ENTRIES_OF_A_STEP = 20

_Test = Callable[[Any], bool]
_Check = Callable[[Memory], bool]


def evaluate(where: Filter, memory: Memory) -> bool:
    """Whether `memory` matches the filter. To judge many memories, make one `Matcher`."""
    return Matcher(where)(memory)


class Matcher:
    """A filter that is prepared to judge many memories, and counts its work.

    Each condition is a step for each memory, and so is each thousand characters that are searched. What a client sends
    is bounded, and so is the number of rows that are looked at; only the product of both shows when it is too much.
    """

    def __init__(self, where: Filter) -> None:
        self.steps = 0
        self._conditions = 0
        #: The texts of the present memory without differences of case, by field: many conditions may ask for them.
        self._folded: dict[Field, Any] = {}
        self._check = self._compiled(where)

    def __call__(self, memory: Memory) -> bool:
        """Whether the memory matches."""
        self.steps += self._conditions
        self._folded.clear()
        return self._check(memory)

    @property
    def exhausted(self) -> bool:
        """Whether the filter has cost as much as one request may spend."""
        return self.steps >= MOST_FILTER_STEPS

    def _compiled(self, where: Filter) -> _Check:
        self._conditions += 1
        match where:
            case And(items):
                return _every([self._compiled(item) for item in items])
            case Or(items):
                return _some([self._compiled(item) for item in items])
            case Not(item):
                negated = self._compiled(item)
                return lambda memory: not negated(memory)
            case Compare(field, Operator.CONTAINS | Operator.ICONTAINS, _):
                return self._contains(where)
            case Compare(field, operator, value):
                test, read = _TESTS[operator](value), _reader(field)
                return lambda memory: test(read(memory))

    def _contains(self, where: Compare) -> _Check:
        field, value = where.field, where.value
        folds = where.op is Operator.ICONTAINS
        wanted = _casefolded(value) if folds else value

        def check(memory: Memory) -> bool:
            found = self._casefolded(field, memory) if folds else value_of(field, memory)
            if isinstance(found, str):
                self.steps += len(found) // _CHARS_OF_A_STEP
                return isinstance(wanted, str) and wanted in found
            if isinstance(found, list | tuple):
                self.steps += len(found) // _ENTRIES_OF_A_STEP
                return any(_equal(one, wanted) for one in found)
            return False

        return check

    def _casefolded(self, field: Field, memory: Memory) -> Any:
        if field not in self._folded:
            found = value_of(field, memory)
            self.steps += len(found) // _CHARS_OF_A_STEP if isinstance(found, str) else 0
            self._folded[field] = _casefolded(found)
        return self._folded[field]


def value_of(field: Field, memory: Memory) -> Any:
    """The memory's value of a field; None means absent, null, or an empty id or list of categories."""
    return _reader(field)(memory)


def _reader(field: Field) -> Callable[[Memory], Any]:
    """What reads the value of a field: which field it is need not be found out for each memory."""
    name = field.name
    if field.metadata:
        return lambda memory: memory.metadata.get(name)
    if name in SCOPE_IDS:
        return lambda memory: getattr(memory.scope, name) or None
    return lambda memory: getattr(memory, name) or None


# Loops, because the generators of `all` and `any` cost more than most conditions.
def _every(checks: list[_Check]) -> _Check:
    def holds(memory: Memory) -> bool:
        for check in checks:  # noqa: SIM110 - as above
            if not check(memory):
                return False
        return True

    return holds


def _some(checks: list[_Check]) -> _Check:
    def holds(memory: Memory) -> bool:
        for check in checks:  # noqa: SIM110 - as above
            if check(memory):
                return True
        return False

    return holds


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


def _casefolded(found: Any) -> Any:
    if isinstance(found, str):
        return found.casefold()
    if isinstance(found, list | tuple):
        return [one.casefold() if isinstance(one, str) else one for one in found]
    return found


def _equal_to(value: Any) -> _Test:
    if isinstance(value, str):  # nearly every condition: nothing but the same text, or a tuple that has it, is equal
        return lambda found: found == value or (isinstance(found, tuple) and value in found)
    return lambda found: _equal(found, value)


def _one_of(values: tuple[Any, ...]) -> _Test:
    """Whether a value equals one of these, at the same cost for any number of them."""
    numbers = frozenset(one for one in values if isinstance(one, int | float) and not isinstance(one, bool))
    texts = frozenset(one for one in values if isinstance(one, str))
    booleans = frozenset(one for one in values if isinstance(one, bool))
    absent = None in values

    def test(found: Any) -> bool:
        if isinstance(found, tuple):
            return any(one in texts for one in found)
        if found is None:
            return absent
        if isinstance(found, bool):
            return found in booleans
        if isinstance(found, int | float):
            return found in numbers
        return isinstance(found, str) and found in texts

    return test


def _none(of: Callable[[Any], _Test]) -> Callable[[Any], _Test]:
    def test_of(value: Any) -> _Test:
        test = of(value)
        return lambda found: not test(found)

    return test_of


def _ordered(holds: Callable[[Any, Any], bool]) -> Callable[[Any], _Test]:
    return lambda value: lambda found: _same_order(found, value) and holds(found, value)


_TESTS: dict[Operator, Callable[[Any], _Test]] = {
    Operator.EQ: _equal_to,
    Operator.NE: _none(_equal_to),
    Operator.IN: _one_of,
    Operator.NIN: _none(_one_of),
    Operator.GT: _ordered(gt),
    Operator.GTE: _ordered(ge),
    Operator.LT: _ordered(lt),
    Operator.LTE: _ordered(le),
    Operator.EXISTS: lambda _value: lambda found: found is not None,
}
