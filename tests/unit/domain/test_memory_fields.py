"""The table of a memory's fields is complete: it names what `Memory` has, and every reader handles every field."""

from __future__ import annotations

from dataclasses import MISSING, fields, replace
from typing import Any

import pytest
from pymilvus import DataType, MilvusClient

from forgetless.adapters.index_milvus.bm25_words import Bm25Words
from forgetless.adapters.index_milvus.rows import row_of
from forgetless.adapters.index_milvus.schema import _schema
from forgetless.adapters.index_milvus.word_columns import WeightedWords, WordColumns
from forgetless.adapters.ledger_codec import dump_memory, load_memory
from forgetless.api.mcp import serialize as mcp
from forgetless.api.mcp import wire as mcp_wire
from forgetless.api.platform import serialize as platform
from forgetless.api.platform import wire as platform_wire
from forgetless.api.selfhosted import answer_schemas, serialize
from forgetless.api.selfhosted import wire as selfhosted_wire
from forgetless.domain.export_lines import event_line, parse_line, read_record
from forgetless.domain.filters.evaluate import evaluate
from forgetless.domain.filters.parse import parse_filter
from forgetless.domain.filters.parse_platform import parse_platform_filter
from forgetless.domain.memory import Event, EventKind, GivenFields, Memory, MessageRef
from forgetless.domain.memory_fields import (
    COLUMNS,
    COLUMNS_VERSION,
    FIELDS,
    GIVEN,
    STORED,
    Dialect,
    Kind,
    MemoryField,
    given_fields,
)
from forgetless.domain.recipe import RECIPE_VERSION, Words
from forgetless.domain.scope import SCOPE_IDS, Scope
from forgetless.domain.sparse_words import RESERVED_ID
from forgetless.ports.index import IndexRow
from forgetless.runtime.composition import collection_name
from forgetless.runtime.settings import Settings
from forgetless.service.requests import AddRequest
from forgetless.service.transfer.schema_shape import shape

AT, DAY = "2026-01-02T03:04:05.000006+00:00", "2026-01-02"
#: A value of each kind that is not the empty one.
VALUES: dict[Kind, Any] = {
    Kind.STRING: "a-b",
    Kind.TEXT: "a-b",
    Kind.TIME: AT,
    Kind.DAY: DAY,
    Kind.NUMBER: 7,
    Kind.FLAG: True,
    Kind.TEXTS: ("tea", "food"),
    Kind.REFS: (MessageRef("j", 3),),
    Kind.OBJECT: {"k": [1]},
    Kind.SCOPE: Scope("acme", user_id="alice"),
}
FULL = Memory(**{field.name: VALUES[field.kind] for field in STORED})
PLAIN = Memory(**{field.name: VALUES[field.kind] for field in STORED if field.required})


def of(fields: tuple[MemoryField, ...]) -> pytest.MarkDecorator:
    """A parameter for each of the fields."""
    return pytest.mark.parametrize("field", fields, ids=[field.name for field in fields])


def test_the_table_has_the_fields_of_the_dataclass_in_its_order() -> None:
    assert [field.name for field in STORED] == [one.name for one in fields(Memory)]
    for field, one in zip(STORED, fields(Memory), strict=True):
        default = one.default_factory() if one.default_factory is not MISSING else one.default
        assert (default is MISSING) == field.required, field.name
        assert field.required or default == field.empty(), field.name


def test_what_an_add_gives_is_one_set_of_fields_from_the_body_to_the_memory() -> None:
    assert {field.name for field in GIVEN} == {one.name for one in fields(GivenFields)}
    assert {one.name for one in fields(GivenFields)} <= {one.name for one in fields(AddRequest)}
    assert given_fields({}) == {field.name: field.empty() for field in GIVEN}
    empty = GivenFields()
    assert given_fields({}) == {field.name: getattr(empty, field.name) for field in GIVEN}


@of(GIVEN)
def test_each_body_has_the_fields_that_are_given_there(field: MemoryField) -> None:
    for dialect, body in (
        (Dialect.SELFHOSTED, selfhosted_wire.MemoryCreate),
        (Dialect.PLATFORM, platform_wire.AddBody),
        (Dialect.MCP, mcp_wire.AddMemory),
    ):
        assert (field.name in body.model_fields) == (dialect in field.given), body


def test_a_full_memory_comes_back_from_the_ledger_and_from_an_export() -> None:
    for memory in (FULL, PLAIN):
        assert load_memory("acme", dump_memory(memory)) == memory
        local = {one.name: one.empty() for one in STORED if not one.exported}
        event = Event(EventKind.ADD, replace(memory, event_id="e"))
        exported = Event(EventKind.ADD, replace(event.memory, **local))
        assert read_record("acme", parse_line(event_line(event))) == exported


@of(STORED)
def test_an_erasure_leaves_nothing_that_may_tell_the_words(field: MemoryField) -> None:
    value = getattr(FULL.blanked(deleted=True), field.name)
    # Any words may stand here; those that we know stay.
    words = field.name in {"role", "attributed_to", "source_key"}
    assert value == (field.empty() if field.erased or words else VALUES[field.kind])


@of(FIELDS)
def test_answers_show_labels_as_they_are(field: MemoryField) -> None:
    value = getattr(FULL, field.name)
    if Dialect.SELFHOSTED in field.label:
        assert serialize.list_item(FULL)[field.name] == value
        assert field.name not in serialize.list_item(PLAIN)
        assert field.name in answer_schemas.Memory.model_fields
    if Dialect.PLATFORM in field.label:
        assert platform.memory_item(FULL)[field.name] == value
        assert platform.memory_item(PLAIN)[field.name] == field.empty()
    if Dialect.MCP in field.label:
        assert getattr(mcp.shown_memory(FULL), field.name) == value
        assert getattr(mcp.shown_memory(PLAIN), field.name) is None


@of(FIELDS)
def test_filters_know_the_fields_that_may_be_filtered_by(field: MemoryField) -> None:
    value = getattr(FULL, field.name)
    one = value[0] if field.kind is Kind.TEXTS else value
    wanted = {"in": [one]} if field.kind is Kind.TEXTS else one
    if Dialect.SELFHOSTED in field.filtered:
        assert evaluate(parse_filter({field.name: wanted}), FULL)
        assert not evaluate(parse_filter({"NOT": {field.name: wanted}}), FULL)
    if Dialect.PLATFORM in field.filtered:
        assert evaluate(parse_platform_filter({field.name: wanted}), FULL)
        assert not evaluate(parse_platform_filter({"NOT": {field.name: wanted}}), FULL)


@of(FIELDS)
def test_schema_exports_know_the_fields_that_a_property_may_name(field: MemoryField) -> None:
    if field.shaped:
        value = getattr(FULL, field.name)
        listed = field.kind is Kind.TEXTS
        wanted = {"type": "array", "items": {"type": "array"}} if listed else {"type": "string"}
        found = shape({"type": "object", "properties": {field.name: wanted}}, [FULL])
        assert found == {field.name: [list(value)] if listed else value}


def test_a_change_of_the_columns_has_a_version_of_its_own() -> None:
    """If this fails: add the next version to COLUMNS. An existing collection cannot take another column."""
    assert sorted(COLUMNS[COLUMNS_VERSION]) == sorted(field.column for field in FIELDS if field.column)
    assert list(COLUMNS) == list(range(1, COLUMNS_VERSION + 1))


def test_released_versions_of_the_columns_stay_as_they_are() -> None:
    assert sorted(COLUMNS[1]) == [
        "actor_id", "attributed_to", "created_at", "expiration_date", "hash", "memory_id", "role", "updated_at",
    ]  # fmt: skip


def test_the_version_of_the_columns_is_part_of_the_collections_name() -> None:
    """The first stands in no name: collections were called so before versions were counted."""
    name = collection_name(Settings(collection="a", embedding_model="m", embedding_dimensions=4))
    assert name == f"a_m_4_r{RECIPE_VERSION}" + (f"_c{COLUMNS_VERSION}" if COLUMNS_VERSION > 1 else "")


@pytest.mark.parametrize(
    ("words", "written", "kinds"),
    [
        (WeightedWords(), {RESERVED_ID: 1.0}, {"signals": DataType.INT64}),
        (Bm25Words(), "w", {"words": DataType.VARCHAR}),
    ],
)
def test_the_collection_has_the_columns_of_the_table_and_those_of_its_recipe(
    words: WordColumns, written: Words, kinds: dict[str, DataType]
) -> None:
    """If other columns change, RECIPE_VERSION must: it, too, is part of the collection's name."""
    found = {field.name: field.dtype for field in _schema(MilvusClient, 4, words).fields}
    assert found == {
        **dict.fromkeys([*COLUMNS[COLUMNS_VERSION], *SCOPE_IDS], DataType.VARCHAR),
        "tenant": DataType.VARCHAR,
        "pk": DataType.VARCHAR,
        "version": DataType.INT64,
        "categories": DataType.ARRAY,
        "metadata": DataType.JSON,
        "complete": DataType.BOOL,
        "sparse": DataType.SPARSE_FLOAT_VECTOR,
        "dense": DataType.FLOAT_VECTOR,
        **kinds,
    }
    by_milvus = {"sparse"} - set(words.names)
    assert set(row_of(IndexRow(FULL, [1.0], written), words)) == set(found) - by_milvus
