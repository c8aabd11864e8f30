"""The filter compiler: from the AST to Milvus' filter expressions, every literal escaped, nothing else let in.

An expression always finds a superset of what the filter matches, since callers filter again. What Milvus versions do
not express alike is left out. Negation is pushed down to the conditions (Lite has no `not`); a condition on metadata
is left out when negated, as versions differ on absent keys.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from forgetless.adapters.index_milvus.rows import KEYED, TIMES, is_literal, is_path, key_text
from forgetless.domain.filters.ast import And, Compare, Field, Filter, Not, Operator, Or

__all__ = ["compile_filter", "lit"]

#: A metadata list is written as one condition for each value, so it must end.
MAX_METADATA_VALUES = 50
#: Longer or deeper expressions are not sent: a parser's stack ends somewhere, and protobuf reads 100 levels,
#: two for each pair that `and` and `or` join.
MAX_EXPRESSION_CHARS = 100_000
MAX_EXPRESSION_DEPTH = 40

_SIGNS = {Operator.GT: ">", Operator.GTE: ">=", Operator.LT: "<", Operator.LTE: "<="}
_INVERSE = {">": "<=", ">=": "<", "<": ">=", "<=": ">"}
_COMPLEMENTS = {Operator.NE: Operator.EQ, Operator.NIN: Operator.IN}


@dataclass(frozen=True, slots=True)
class _Part:
    """One compiled piece: `text` is "" where it says nothing by itself, then `holds` tells which constant it is."""

    text: str = ""
    holds: bool = True
    depth: int = 1


_EVERYTHING = _Part()
_NOTHING = _Part(holds=False)
#: A condition that is not expressed lets every row pass.
_LEFT_OUT = _EVERYTHING


def compile_filter(where: Filter, tenant: str) -> str:
    """The expression for `where` within the tenant; it finds at least the rows that the evaluator confirms."""
    only_tenant = f"tenant == {lit(key_text(tenant))}"
    part = _compile(where, negated=False)
    if len(part.text) > MAX_EXPRESSION_CHARS or part.depth > MAX_EXPRESSION_DEPTH:
        return only_tenant
    if part.text:
        return f"{only_tenant} and {part.text}"
    # No version starts below 1: the constant `false` is not known to Lite.
    return only_tenant if part.holds else f"{only_tenant} and version < 0"


def lit(text: str) -> str:
    """The only way for a text into an expression; raises ValueError for what a literal cannot hold."""
    if not is_literal(text):
        raise ValueError("a literal must not hold control characters or lone surrogates")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _compile(where: Filter, *, negated: bool) -> _Part:
    match where:
        case Not(item):
            return _compile(item, negated=not negated)
        case And(items):
            parts = [_compile(item, negated=negated) for item in items]
            return _any(parts) if negated else _all(parts)
        case Or(items):
            parts = [_compile(item, negated=negated) for item in items]
            return _all(parts) if negated else _any(parts)
        case Compare(field, operator, value):
            if operator in _COMPLEMENTS:
                operator, negated = _COMPLEMENTS[operator], not negated
            return _condition(field, operator, value, negated=negated)


def _all(parts: Sequence[_Part]) -> _Part:
    if any(not part.text and not part.holds for part in parts):
        return _NOTHING
    return _joined(" and ", [part for part in parts if part.text])


def _any(parts: Sequence[_Part]) -> _Part:
    if any(not part.text and part.holds for part in parts):
        return _EVERYTHING
    texts = [part for part in parts if part.text]
    return _joined(" or ", texts) if texts else _NOTHING


def _joined(word: str, parts: Sequence[_Part]) -> _Part:
    """All parts joined in balanced pairs: a chain would nest as deep as it is long."""
    if len(parts) < 2:
        return parts[0] if parts else _EVERYTHING
    middle = len(parts) // 2
    left = _joined(word, parts[:middle])
    right = _joined(word, parts[middle:])
    return _Part(f"({left.text}{word}{right.text})", depth=max(left.depth, right.depth) + 1)


def _condition(field: Field, operator: Operator, value: Any, *, negated: bool) -> _Part:
    if operator is Operator.IN and not value:
        return _EVERYTHING if negated else _NOTHING
    if field.metadata:
        return _LEFT_OUT if negated else _metadata(field.name, operator, value)
    if field.name == "categories":
        return _LEFT_OUT if negated else _categories(operator, value)
    if field.name in TIMES and operator in _SIGNS:
        return _ordered(field.name, _SIGNS[operator], value, negated=negated)
    # Not every field has a column: rows hold the words of a text, for one, and not the text.
    has_column = field.name in KEYED or field.name in TIMES
    if has_column and operator in (Operator.EQ, Operator.IN, Operator.EXISTS):
        return _equality(field.name, operator, value, negated=negated)
    return _LEFT_OUT


def _equality(name: str, operator: Operator, value: Any, *, negated: bool) -> _Part:
    """EQ, IN and EXISTS of a text field, in which "" is what is absent."""
    if operator is Operator.EXISTS:
        values, negated = [""], not negated
    else:
        wanted = value if operator is Operator.IN else (value,)
        # A text "" equals nothing that is stored; null asks for what is absent.
        values = ["" if one is None else one for one in wanted if one is None or (isinstance(one, str) and one)]
    if not values:
        return _EVERYTHING if negated else _NOTHING
    if name in TIMES and not all(map(is_literal, values)):
        return _LEFT_OUT
    literals = list(dict.fromkeys(lit(one if name in TIMES else key_text(one)) for one in values))
    column = KEYED.get(name, name)
    if len(literals) == 1:
        return _Part(f"{column} {'!=' if negated else '=='} {literals[0]}")
    return _Part(f"{column} {'not in' if negated else 'in'} [{', '.join(literals)}]")


def _ordered(name: str, sign: str, value: Any, *, negated: bool) -> _Part:
    if not isinstance(value, str):
        return _EVERYTHING if negated else _NOTHING
    if not is_literal(value):
        return _LEFT_OUT
    if negated:
        return _Part(f'({name} == "" or {name} {_INVERSE[sign]} {lit(value)})')
    return _Part(f'({name} != "" and {name} {sign} {lit(value)})')


def _categories(operator: Operator, value: Any) -> _Part:
    wanted = value if operator is Operator.IN else (value,)
    if operator not in (Operator.EQ, Operator.IN, Operator.CONTAINS) or None in wanted:
        return _LEFT_OUT
    # Longer or odd categories are not in the row, which then is not complete.
    literals = [lit(one) for one in wanted if isinstance(one, str) and key_text(one) == one]
    if not literals:
        return _Part("complete == false")
    return _complete([f"array_contains_any(categories, [{', '.join(literals)}])"])


def _metadata(name: str, operator: Operator, value: Any) -> _Part:
    sign = "==" if operator in (Operator.EQ, Operator.IN) else _SIGNS.get(operator)
    values = value if operator is Operator.IN else (value,)
    if sign is None or not is_path(name) or len(values) > MAX_METADATA_VALUES:
        return _LEFT_OUT
    literals = [_scalar(one) for one in values]
    if None in literals:
        return _LEFT_OUT
    return _complete([f"metadata[{lit(name)}] {sign} {literal}" for literal in literals])


def _complete(conditions: Sequence[str]) -> _Part:
    """Any of the conditions; rows that had to leave something out pass too."""
    return _joined(" or ", [_Part(text) for text in ("complete == false", *conditions)])


def _scalar(value: Any) -> str | None:
    """A literal for a value of metadata; None where versions would not read it alike."""
    if isinstance(value, str):
        return lit(value) if is_literal(value) else None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else None
    # The smallest whole number would be read as a negated one beyond 64 bits.
    return str(value) if isinstance(value, int) and abs(value) < 2**63 else None
