"""Hypothesis strategies: memories and filters, drawn from few names and values so that they meet."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from forgetless.domain.filters.ast import ATTRIBUTES
from forgetless.domain.memory import Memory
from tests.contract.index.builders import memory

TIMES = [f"2026-01-0{day}T00:00:00.000000+00:00" for day in range(1, 5)]
DATES = [time[:10] for time in TIMES]
IDS = ["a", "A", "b", "ab", 'x" or 1', "b\\", "đ", "%", "a" * 300]
TEXTS = ["", "a", "A", "ab", "b", "1", "true", '"', "\\", "a\nb", "\x00", "é", "É", "_", "%", "a" * 2000]
NUMBERS = [0, 1, -1, 2, 1.0, 0.5, -2.5, 1e300, 1e-7, 2**53, 2**53 + 1, 2**63 - 1, -(2**63)]
KEYS = ["k", "l", "a.b", 'q"', "\\", "id", "é k", "[0]", "nul\x00", ""]

scalars = st.sampled_from([*TEXTS, *NUMBERS, True, False])
metadata = st.dictionaries(
    st.sampled_from(KEYS),
    scalars
    | st.none()
    | st.lists(scalars, max_size=3)
    | st.just({"k": 1})
    | st.sampled_from([2**70, float("inf"), float("nan")]),
    max_size=4,
)


@st.composite
def memories(draw: st.DrawFn) -> Memory:
    def some(values: list[str]) -> str:
        return draw(st.sampled_from(["", *values]))

    return memory(
        user_id=some(IDS),
        agent_id=some(IDS),
        role=some(IDS) or None,
        actor_id=some(IDS) or None,
        text=draw(st.sampled_from(TEXTS)),
        created_at=draw(st.sampled_from(TIMES)),
        expiration_date=some(DATES) or None,
        categories=tuple(draw(st.lists(st.sampled_from(TEXTS), max_size=3))),
        metadata=draw(metadata),
    )


def _condition(values: st.SearchStrategy[Any], order: st.SearchStrategy[Any], *, texts: bool) -> st.SearchStrategy[Any]:
    operators = {
        "eq": values,
        "ne": values,
        "in": st.lists(values, max_size=3),
        "nin": st.lists(values, max_size=3),
        **dict.fromkeys(["gt", "gte", "lt", "lte"], order),
        **({"contains": order, "icontains": st.sampled_from(TEXTS)} if texts else {}),
    }
    one = st.sampled_from(sorted(operators)).flatmap(lambda name: operators[name].map(lambda value: {name: value}))
    return st.just("*") | one | st.tuples(one, one).map(lambda pair: {**pair[0], **pair[1]})


_ids = st.sampled_from(["", "*", *IDS])
_times = st.sampled_from([*TIMES, *DATES])
_free = _condition(scalars | st.none(), st.sampled_from([*TEXTS, *NUMBERS]), texts=True)
_printable = st.sampled_from([text for text in TEXTS if "\n" not in text and "\x00" not in text])
_by_field = {
    **dict.fromkeys(
        ["user_id", "agent_id", "role", "actor_id", "id", "hash"],
        _condition(_ids | st.none(), _ids, texts=False),
    ),
    **dict.fromkeys(["created_at", "expiration_date"], _condition(_times | st.none(), _times, texts=False)),
    "categories": _condition(_printable | st.none(), _printable, texts=False) | st.builds(dict, contains=_printable),
    **{key: _free for key in KEYS if key not in ATTRIBUTES},
}
_leaf = st.sampled_from(sorted(_by_field)).flatmap(lambda name: _by_field[name].map(lambda value: {name: value}))
_named = st.builds(lambda key, value: {"metadata": {key: value}}, st.sampled_from(KEYS), _free)


def _nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(inner, min_size=1, max_size=3)
    return st.builds(lambda name, items: {name: items}, st.sampled_from(["AND", "OR", "NOT"]), several)


#: Filters as clients write them.
filters = st.recursive(_leaf | _named, _nested, max_leaves=6)
