"""What a filter means: evaluates it for one memory. This decides wherever a store cannot express the filter.

Types compare strictly (`True` is not 1, "1" is not 1; whole and decimal numbers compare as numbers). A comparison
with an absent key or another type is false. NE, NIN and NOT are exact complements, so they match there. EQ null
matches an absent or null value. A condition on categories holds when it holds for one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import ge, gt, le, lt
from typing import Any

from forgetless.domain.errors import CostlyFilterError
from forgetless.domain.filters.ast import And, Compare, Field, Filter, Not, Operator, Or
from forgetless.domain.heavy_work import HEAVY_WORK
from forgetless.domain.limits import MOST_FILTER_STEPS
from forgetless.domain.memory import Memory
from forgetless.domain.scope import SCOPE_IDS

__all__ = ["Matcher", "evaluate", "value_of"]

#: A step takes a microsecond at most, whatever a client has chosen: so many characters that are searched or folded, so
#: many pairs of a character of a text and one of what is looked for (CPython compares each pair of short ones), and so
#: many entries of a list.
_CHARS_OF_A_STEP = 250
_PAIRS_OF_A_STEP = 4000
_ENTRIES_OF_A_STEP = 5
#: CPython compares pairs in texts of fewer characters; in those of the second number only for words of fewer than the
#: third. Otherwise the time is linear (`fastsearch.h`).
_SHORT_CHARS, _MIDDLE_CHARS, _SHORT_WORD = 2500, 30_000, 100
#: After so many steps, some tens of milliseconds, the filter of a request counts as heavy work.
_LIGHT_STEPS = 20_000
_CATEGORIES = Field("categories")
#: Stands for entries of lists that nothing is equal to: lists and objects.
_NOTHING = object()

_Test = Callable[[Any], bool]
_Check = Callable[[Memory], bool]


def evaluate(where: Filter, memory: Memory) -> bool:
    """Whether `memory` matches the filter. To judge many memories, make one `Matcher`."""
    return Matcher(where)(memory)


class Matcher:
    """A filter that is prepared to judge many memories, and counts its work.

    Each condition is a step for each memory; what it searches in the memory counts besides. What a client sends is
    bounded, and so is the number of rows that are looked at; only the product of both shows when it is too much.
    """

    def __init__(self, where: Filter) -> None:
        self.steps = 0
        self._most = MOST_FILTER_STEPS
        self._conditions = 0
        #: Of the present memory, by field, because many conditions may ask for the same: texts without differences of
        #: case, and the entries of lists, with and without these differences.
        self._folded: dict[str, Any] = {}
        self._entries: dict[str, frozenset[Any]] = {}
        self._check = self._compiled(where)

    def __call__(self, memory: Memory) -> bool:
        """Whether the memory matches; raises CostlyFilterError if it alone costs more than one request may spend."""
        if self.steps < _LIGHT_STEPS:
            return self._judged(memory)
        with HEAVY_WORK.of_owner(may_fail=True):
            return self._judged(memory)

    def _judged(self, memory: Memory) -> bool:
        self._most = self.steps + MOST_FILTER_STEPS
        self._spend(self._conditions)
        self._folded.clear()
        self._entries.clear()
        return self._check(memory)

    @property
    def exhausted(self) -> bool:
        """Whether the filter has cost as much as one request may spend, since the last `rested`."""
        return self.steps >= MOST_FILTER_STEPS

    def rested(self) -> None:
        """Count from 0 again."""
        self.steps = 0

    def _spend(self, steps: int) -> None:
        self.steps += steps
        if self.steps > self._most:
            raise CostlyFilterError(
                "filters: so many conditions are too much work for one of the memories; use fewer of them"
            )

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
                if field == _CATEGORIES:  # the only field with several values that each condition compares
                    return lambda memory: test(self._read_tuple(read(memory)))
                return lambda memory: test(read(memory))

    def _read_tuple(self, found: Any) -> Any:
        self._spend(len(found or ()) // _ENTRIES_OF_A_STEP)
        return found

    def _contains(self, where: Compare) -> _Check:
        field, value = where.field, where.value
        folds = where.op is Operator.ICONTAINS
        wanted = _casefolded(value) if folds else value
        chars = len(wanted) if isinstance(wanted, str) else 0
        entry, read = _entry(wanted), _reader(field)
        place = f"{field.metadata}{folds}{field.name}"

        def check(memory: Memory) -> bool:
            found = read(memory)
            if found is None:
                return False
            if folds:
                found = self._casefolded(place, found)
            if isinstance(found, str):
                self._spend(_search_steps(len(found), chars))
                return isinstance(wanted, str) and wanted in found
            return isinstance(found, list | tuple) and entry in self._entries_of(place, found)

        return check

    def _entries_of(self, place: str, found: Sequence[Any]) -> frozenset[Any]:
        """The entries of a list, so that any number of conditions costs one walk through it."""
        entries = self._entries.get(place)
        if entries is None:
            self._spend(len(found) // _ENTRIES_OF_A_STEP)
            entries = self._entries[place] = frozenset(map(_entry, found))
        return entries

    def _casefolded(self, place: str, found: Any) -> Any:
        folded = self._folded.get(place)
        if folded is None:
            self._spend(1 + _folding_steps(found))
            folded = self._folded[place] = _casefolded(found)
        return folded


def _search_steps(text: int, word: int) -> int:
    """What it costs to find a word of so many characters in a text of so many, at worst."""
    steps = text // _CHARS_OF_A_STEP
    in_pairs = text < _SHORT_CHARS or (text < _MIDDLE_CHARS and word < _SHORT_WORD)
    return steps + text * word // _PAIRS_OF_A_STEP if in_pairs and word > 1 else steps


def _folding_steps(found: Any) -> int:
    if isinstance(found, str):
        return len(found) // _CHARS_OF_A_STEP
    if isinstance(found, list | tuple):
        chars = sum(len(one) for one in found if isinstance(one, str))
        return len(found) // _ENTRIES_OF_A_STEP + chars // _CHARS_OF_A_STEP
    return 0


def _entry(value: Any) -> Any:
    """What stands for an entry of a list among others: equal only for what `_equal` finds equal."""
    if isinstance(value, bool):
        return (bool, value)
    return value if value is None or isinstance(value, str | int | float) else _NOTHING


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
