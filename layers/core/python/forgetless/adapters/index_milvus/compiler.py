"""The filter compiler: turns the AST into a Milvus filter expression and escapes every literal.

An expression always finds a superset of what the filter matches, because callers filter again. Conditions that Milvus
versions treat differently are left out. Negation is pushed down to the conditions, because Lite has no `not`. A negated
condition on metadata is left out, because versions treat absent keys differently.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from forgetless.adapters.index_milvus.rows import KEYED, TIMES, is_literal, is_path, key_text
from forgetless.domain.filters.ast import And, Compare, Field, Filter, Not, Operator, Or

__all__ = ["compile_filter", "lit"]

#: A list of metadata values becomes one condition for each value, so its length is limited.
MAX_METADATA_VALUES = 50
#: Longer or deeper expressions are not sent: a parser's stack is limited, and protobuf reads 100 levels, of which each
#: `and` or `or` takes two.
MAX_EXPRESSION_CHARS = 100_000
MAX_EXPRESSION_DEPTH = 40
#: More conditions on metadata are not sent either: Milvus reads the JSON of each of the tenant's rows for each of them,
#: and everybody's searches wait. With the largest rows (MAX_METADATA_BYTES), these take 0.4 s for a thousand rows.
MAX_METADATA_CONDITIONS = MAX_METADATA_VALUES
#: What joining conjuncts adds: the word and brackets for each, and the levels for all of them together.
_JOIN_CHARS, _JOIN_DEPTH = 8, 12

_SIGNS = {Operator.GT: ">", Operator.GTE: ">=", Operator.LT: "<", Operator.LTE: "<="}
_INVERSE = {">": "<=", ">=": "<", "<": ">=", "<=": ">"}
_COMPLEMENTS = {Operator.NE: Operator.EQ, Operator.NIN: Operator.IN}


@dataclass(frozen=True, slots=True)
class _Part:
    """One compiled part. If `text` is "", the part is a constant and `holds` is its value."""

    text: str = ""
    holds: bool = True
    depth: int = 1
    #: How many conditions on metadata it has.
    metadata: int = 0

    @property
    def fits(self) -> bool:
        """Whether it may be sent as it is."""
        return (
            len(self.text) <= MAX_EXPRESSION_CHARS
            and self.depth <= MAX_EXPRESSION_DEPTH
            and self.metadata <= MAX_METADATA_CONDITIONS
        )


_EVERYTHING = _Part()
_NOTHING = _Part(holds=False)
#: A condition that cannot be expressed lets every row pass.
_LEFT_OUT = _EVERYTHING


def compile_filter(where: Filter, tenant: str) -> str:
    """The expression for `where` within the tenant. It finds at least the rows that the evaluator accepts."""
    only_tenant = f"tenant == {lit(key_text(tenant))}"
    part = _fitting(where)
    if part.text:
        return f"{only_tenant} and {part.text}"
    # Lite does not support the constant `false`; versions start at 1, so this matches nothing.
    return only_tenant if part.holds else f"{only_tenant} and version < 0"


def _fitting(where: Filter) -> _Part:
    """The compiled filter or, if that cannot be sent, as many of its conjuncts as fit, the first ones first.

    So a long filter of a client never costs the conditions of a limited key, which come before it: the ranks of what is
    found must not depend on rows that the key may not read.
    """
    part = _compile(where, negated=False)
    if part.fits:
        return part
    chars = metadata = 0
    kept: list[_Part] = []
    for one in _conjuncts(where):
        compiled = _compile(one, negated=False)
        joined = chars + len(compiled.text) + _JOIN_CHARS
        together = replace(compiled, depth=compiled.depth + _JOIN_DEPTH, metadata=metadata + compiled.metadata)
        if joined <= MAX_EXPRESSION_CHARS and together.fits:
            chars, metadata = joined, together.metadata
            kept.append(compiled)
    return _all(kept)


def _conjuncts(where: Filter) -> list[Filter]:
    return [one for item in where.items for one in _conjuncts(item)] if isinstance(where, And) else [where]


def lit(text: str) -> str:
    """The text as a literal, the only form of text in an expression; raises ValueError if a literal cannot hold it."""
    if not is_literal(text):
        raise ValueError("a literal must not contain control characters or lone surrogates")
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
    """All parts joined in balanced pairs, because a chain would nest as deeply as it is long."""
    if len(parts) < 2:
        return parts[0] if parts else _EVERYTHING
    middle = len(parts) // 2
    left = _joined(word, parts[:middle])
    right = _joined(word, parts[middle:])
    return _Part(
        f"({left.text}{word}{right.text})",
        depth=max(left.depth, right.depth) + 1,
        metadata=left.metadata + right.metadata,
    )


def _condition(field: Field, operator: Operator, value: Any, *, negated: bool) -> _Part:
    if operator is Operator.IN and not value:
        return _EVERYTHING if negated else _NOTHING
    if field.metadata:
        return _LEFT_OUT if negated else _metadata(field.name, operator, value)
    if field.name == "categories":
        return _LEFT_OUT if negated else _categories(operator, value)
    if field.name in TIMES and operator in _SIGNS:
        return _ordered(field.name, _SIGNS[operator], value, negated=negated)
    # Not every field has a column: for example, rows contain the words of a text but not the text itself.
    has_column = field.name in KEYED or field.name in TIMES
    if has_column and operator in (Operator.EQ, Operator.IN, Operator.EXISTS):
        return _equality(field.name, operator, value, negated=negated)
    return _version(operator, value, negated=negated) if field.name == "version" else _LEFT_OUT


def _version(operator: Operator, value: Any, *, negated: bool) -> _Part:
    """Only our own filters name the version, and only its number."""
    if operator is not Operator.EQ or not isinstance(value, int):
        return _LEFT_OUT
    return _Part(f"version {'!=' if negated else '=='} {value}")


def _equality(name: str, operator: Operator, value: Any, *, negated: bool) -> _Part:
    """EQ, IN and EXISTS for a text field, where "" means absent."""
    if operator is Operator.EXISTS:
        values, negated = [""], not negated
    else:
        wanted = value if operator is Operator.IN else (value,)
        # The text "" equals no stored value; null matches absent values.
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
    # Categories that are too long or not literals are missing from the row, which is then marked as not complete.
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
    part = _complete([f"metadata[{lit(name)}] {sign} {literal}" for literal in literals])
    return replace(part, metadata=len(literals))


def _complete(conditions: Sequence[str]) -> _Part:
    """Any of the conditions. Rows that had to leave something out match too."""
    return _joined(" or ", [_Part(text) for text in ("complete == false", *conditions)])


def _scalar(value: Any) -> str | None:
    """A literal for a metadata value; None when Milvus versions would read it differently."""
    if isinstance(value, str):
        return lit(value) if is_literal(value) else None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else None
    # The smallest integer would be parsed as the negation of a number that exceeds 64 bits.
    return str(value) if isinstance(value, int) and abs(value) < 2**63 else None
