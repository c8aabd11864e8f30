"""The collection: one schema that Milvus Lite 2.5.1 and 3.2.2, standalone and Zilliz Cloud all accept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from forgetless.adapters.index_milvus.lite_3 import EXACT_INDEX
from forgetless.adapters.index_milvus.rows import KEYED, MADE_WITH, MAX_CATEGORIES, MAX_KEY_BYTES, PAST_TIMES, TIMES
from forgetless.adapters.index_milvus.word_columns import SPARSE, WordColumns
from forgetless.domain.errors import IndexDamagedError

__all__ = ["load_collection", "make_collection"]

_PK_BYTES = MAX_KEY_BYTES + 40


def make_collection(
    client: Any,
    name: str,
    *,
    dimensions: int,
    words: WordColumns,
    missing: frozenset[str],
    past: bool = False,
    timeout_s: float,
) -> dict[str, int]:
    """Make sure that the collection exists, without the `missing` columns.

    With `past`, it has the columns of the past as well. Returns Milvus' types of the columns.

    Other processes may be doing the same now, or may have stopped halfway. Raises IndexDamagedError when the
    collection exists with other fields than ours, because no row could be written to it.
    """
    schema = _schema(client, dimensions, words, missing, past=past)
    if client.has_collection(name, timeout=timeout_s):
        _check_fields(client.describe_collection(name, timeout=timeout_s), schema.to_dict())
    else:
        _unless_done(
            lambda: client.create_collection(name, schema=schema, consistency_level="Strong", timeout=timeout_s),
            lambda: client.has_collection(name, timeout=timeout_s),
        )
    # What a function of Milvus' computes is no column that rows bring.
    return {field.name: int(field.dtype) for field in schema.fields if not field.is_function_output}


def load_collection(client: Any, name: str, *, words: WordColumns, exact: bool, timeout_s: float) -> None:
    """Make sure that the collection has its indexes and is loaded. Unless `exact`, Milvus chooses that of vectors."""
    for field, indexes in _indexes(client, words, exact=exact).items():
        exists = partial(_has_index, client, name, field, timeout_s=timeout_s)
        if not exists():
            _unless_done(partial(client.create_index, name, indexes, timeout=timeout_s), exists)
    client.load_collection(name, timeout=timeout_s)


def _check_fields(found: Mapping[str, Any], ours: Mapping[str, Any]) -> None:
    """Compare names, types and the vector's dimensions. Milvus versions describe everything else differently."""
    here, wanted = _types(found), _types(ours)
    missing = [name for name in wanted if name not in here]
    unknown = [name for name in here if name not in wanted]
    other = [name for name in wanted if name in here and here[name] != wanted[name]]
    differences = {"missing": missing, "unknown": unknown, "of another type": other}
    if any(differences.values()):
        named = "; ".join(f"{what}: {', '.join(names)}" for what, names in differences.items() if names)
        raise IndexDamagedError(
            f"the index's collection has other fields than this version of Forgetless writes ({named}); "
            "drop and rebuild it with `forgetless reindex --afresh` (`make reindex ARGS=--afresh`)"
        )


def _types(schema: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    return {
        field["name"]: (int(field["type"]), int((field.get("params") or {}).get("dim", 0)))
        for field in schema["fields"]
    }


def _has_index(client: Any, name: str, field: str, *, timeout_s: float) -> bool:
    return field in client.list_indexes(name, timeout=timeout_s)


def _unless_done(create: Callable[[], object], is_done: Callable[[], bool]) -> None:
    """Create something that others may also be creating; a failure counts only if it still does not exist."""
    from pymilvus import MilvusException  # noqa: PLC0415 - takes half a second, only where Milvus is used

    try:
        create()
    except MilvusException:
        if not is_done():
            raise


def _schema(
    client: Any, dimensions: int, words: WordColumns, missing: frozenset[str] = frozenset(), *, past: bool = False
) -> Any:
    from pymilvus import DataType  # noqa: PLC0415

    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    # Lite 2.5.1 supports no filters at all when the partition key comes after the primary key (issue 43163).
    schema.add_field("tenant", DataType.VARCHAR, max_length=MAX_KEY_BYTES, is_partition_key=True)
    schema.add_field("pk", DataType.VARCHAR, is_primary=True, max_length=_PK_BYTES)
    schema.add_field("version", DataType.INT64)
    for field in (name for name in (*KEYED.values(), *sorted(TIMES)) if name not in missing):
        schema.add_field(field, DataType.VARCHAR, max_length=MAX_KEY_BYTES)
    schema.add_field(
        "categories",
        DataType.ARRAY,
        element_type=DataType.VARCHAR,
        max_capacity=MAX_CATEGORIES,
        max_length=MAX_KEY_BYTES,
    )
    schema.add_field("metadata", DataType.JSON)
    schema.add_field("complete", DataType.BOOL)
    for field in PAST_TIMES if past else ():
        schema.add_field(field, DataType.VARCHAR, max_length=MAX_KEY_BYTES)
    if past:
        schema.add_field(MADE_WITH, DataType.INT64)
    schema.add_field("dense", DataType.FLOAT_VECTOR, dim=dimensions)
    words.add_fields(schema)
    return schema


def _indexes(client: Any, words: WordColumns, *, exact: bool) -> dict[str, Any]:
    dense, sparse = client.prepare_index_params(), client.prepare_index_params()
    chosen = EXACT_INDEX if exact else "AUTOINDEX"
    dense.add_index("dense", index_name="dense", index_type=chosen, metric_type="COSINE")
    sparse.add_index(
        SPARSE,
        index_name=SPARSE,
        index_type="SPARSE_INVERTED_INDEX",
        metric_type=words.metric,
        params={"inverted_index_algo": "DAAT_MAXSCORE", **words.index_params},
    )
    return {"dense": dense, SPARSE: sparse}
