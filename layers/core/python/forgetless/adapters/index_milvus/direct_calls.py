"""Searches and inserts as messages of Milvus' gRPC service, sent through the channel of pymilvus' client.

The client checks each value of a row several times and makes an object of each hit: that is half of an insert's time
in this process, and a third of a search's. So the two calls of nearly every request are made here. Whatever does not
succeed at once is left to the client, which repeats calls to a server that was restarted and says what is wrong.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

import orjson

__all__ = ["Found", "insert", "search"]


class Found(NamedTuple):
    """The hits of one query, best first: their primary keys, their distances, and the columns shown with them."""

    pks: Sequence[str]
    scores: Sequence[float]
    columns: Mapping[str, Sequence[Any]]


def search(client: Any, name: str, query: Mapping[str, Any], *, timeout_s: float) -> list[Found] | None:
    """The hits of each query in `query` (the arguments of the client's `search`); None if the client must ask."""
    from pymilvus.client.prepare import Prepare  # noqa: PLC0415 - takes half a second, only where Milvus is used

    request = Prepare.search_requests_with_expr(
        name,
        query["anns_field"],
        query["search_params"],
        query["limit"],
        data=query["data"],
        expr=query["filter"],
        output_fields=query["output_fields"],
    )
    answer = _sent(client, "Search", request, query.get("client_request_id", ""), timeout_s)
    if answer is None:
        return None
    results = answer.results
    pks, scores = list(results.ids.str_id.data), list(results.scores)
    columns = {field.field_name: list(field.scalars.long_data.data) for field in results.fields_data}
    found, start = [], 0
    for count in results.topks:
        part = slice(start, start + count)
        found.append(Found(pks[part], scores[part], {column: shown[part] for column, shown in columns.items()}))
        start += count
    return found


def insert(
    client: Any, name: str, rows: Sequence[Mapping[str, Any]], *, types: Mapping[str, int], request_id: str,
    timeout_s: float,
) -> bool:  # fmt: skip
    """Insert rows with exactly the columns of `types`, Milvus' types by name; False if the client must do it."""
    from pymilvus.grpc_gen.milvus_pb2 import InsertRequest  # noqa: PLC0415 - as above

    if any(row.keys() != types.keys() for row in rows):
        return False
    try:
        fields = [_field(column, type_, [row[column] for row in rows]) for column, type_ in types.items()]
        request = InsertRequest(collection_name=name, num_rows=len(rows), fields_data=fields)
    except (TypeError, ValueError):
        return False  # it says which value is wrong
    return _sent(client, "Insert", request, request_id, timeout_s) is not None


def _sent(client: Any, call: str, request: Any, request_id: str, timeout_s: float) -> Any:
    """The answer of a call that succeeded; None otherwise. Raises gRPC's error when the time is over."""
    from grpc import RpcError, StatusCode  # type: ignore[import-untyped]  # noqa: PLC0415 - as above

    # The client has no public way to its channel, which knows address, key and database.
    stub = client._get_connection()._stub
    metadata = (("client-request-id", request_id),) if request_id else ()
    try:
        answer = getattr(stub, call)(request, timeout=timeout_s, metadata=metadata)
    except RpcError as error:
        if error.code() is StatusCode.DEADLINE_EXCEEDED:
            raise
        return None
    return answer if answer.status.code == 0 and answer.status.error_code == 0 else None


def _field(name: str, type_: int, values: Sequence[Any]) -> Any:
    from pymilvus import DataType  # noqa: PLC0415 - as above
    from pymilvus.grpc_gen import schema_pb2 as wire  # noqa: PLC0415 - as above

    vectors: Mapping[int, Callable[[Sequence[Any]], Any]] = {
        DataType.FLOAT_VECTOR: _dense,
        DataType.SPARSE_FLOAT_VECTOR: _sparse,
    }
    if type_ in vectors:
        return wire.FieldData(field_name=name, type=type_, vectors=vectors[type_](values))
    return wire.FieldData(field_name=name, type=type_, scalars=_scalars(type_, values))


def _scalars(type_: int, values: Sequence[Any]) -> Any:
    from pymilvus import DataType  # noqa: PLC0415 - as above
    from pymilvus.grpc_gen import schema_pb2 as wire  # noqa: PLC0415 - as above

    if type_ == DataType.VARCHAR:
        return wire.ScalarField(string_data=wire.StringArray(data=values))
    if type_ == DataType.INT64:
        return wire.ScalarField(long_data=wire.LongArray(data=values))
    if type_ == DataType.BOOL:
        return wire.ScalarField(bool_data=wire.BoolArray(data=values))
    if type_ == DataType.JSON:
        return wire.ScalarField(json_data=wire.JSONArray(data=[orjson.dumps(value) for value in values]))
    if type_ == DataType.ARRAY:
        texts = [_scalars(DataType.VARCHAR, value) for value in values]
        return wire.ScalarField(array_data=wire.ArrayArray(data=texts, element_type=DataType.VARCHAR))
    raise ValueError(f"no column of ours has the type {type_}")


def _dense(vectors: Sequence[Sequence[float]]) -> Any:
    from pymilvus.grpc_gen import schema_pb2 as wire  # noqa: PLC0415 - as above

    floats = wire.FloatArray(data=list(chain.from_iterable(vectors)))
    return wire.VectorField(dim=len(vectors[0]), float_vector=floats)


def _sparse(rows: Sequence[Mapping[int, float]]) -> Any:
    """Pairs of a term and its weight, in the order of the terms, as Milvus stores them."""
    from pymilvus.grpc_gen import schema_pb2 as wire  # noqa: PLC0415 - as above

    contents = [
        struct.pack(f"<{'If' * len(row)}", *chain.from_iterable(sorted(row.items())))
        for row in rows
    ]  # fmt: skip
    dim = max(max(row, default=-1) + 1 for row in rows)
    return wire.VectorField(dim=dim, sparse_float_vector=wire.SparseFloatArray(contents=contents, dim=dim))
