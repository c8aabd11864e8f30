"""Exports to a JSON schema, and summaries."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import Response

from forgetless.api.answer_size import TRUNCATED, cut_headers, fitting
from forgetless.api.caller import CurrentCaller
from forgetless.api.field_checks import check_json
from forgetless.api.json_response import json_response
from forgetless.api.named_entities import check_reader, note_entities
from forgetless.api.platform.scope_filter import scope_of
from forgetless.api.platform.search_wire import Ids
from forgetless.api.platform.wire import ExportCreate, ExportGet, Filters, SummaryBody
from forgetless.api.routing import Route
from forgetless.api.value_count import check_value_count
from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.filters.ast import Filter
from forgetless.domain.keys import Role

__all__ = ["ROUTES"]

_CREATED = "Memory export request received. The export will be ready in a few seconds."
#: The most values of a schema. Whoever looks for an export by its filters reads those of the newest exports.
_MOST_SCHEMA_VALUES = 5000
_MAPPED = "mapped by field names; no LLM is configured"


def create_export(caller: CurrentCaller, body: ExportCreate) -> Response:
    """Request an export. It is made when it is read, so it contains nothing that was deleted before that."""
    schema = _schema(body.schema_)
    filters: Filters = body.filters or {}
    scope_of(caller, filters, Ids(), top_level=False)
    id_ = caller.services.exports.create(caller.tenant, schema, filters, body.export_instructions)
    return json_response({"message": _CREATED, "id": id_}, status=201)


def get_export(caller: CurrentCaller, body: ExportGet) -> Response:
    """Read the export with the id or, without an id, the newest one with these filters."""
    if body.memory_export_id is None and body.filters is None:
        raise InvalidRequestError("memory_export_id or filters is required.")
    if caller.services.exports.asks_llm:
        caller.check_llm_tokens()

    def check(where: Filter) -> None:
        note_entities(where)  # who reads it may be another than who made it, and names the export alone
        check_reader(caller, where)

    shaped = caller.services.exports.get(caller.tenant, body.memory_export_id, body.filters, check_reader=check)
    said = [] if shaped.by_llm else [_MAPPED]
    if not shaped.whole:
        said.append(f"made from {shaped.memories} memories; more may match")
    return json_response(shaped.content, headers={"X-Forgetless-Export": "; ".join(said)} if said else {})


def summarise(caller: CurrentCaller, body: SummaryBody) -> Response:
    """Summarise the memories that match in a few sentences; without an LLM, return their texts."""
    where = scope_of(caller, body.filters, Ids(), top_level=False)
    if caller.services.exports.asks_llm:
        caller.check_llm_tokens()
    found = caller.services.exports.summarise(caller.tenant, where)
    summary = {"summary": found.text, "memories": found.memories, "method": "llm" if found.by_llm else "texts"}
    if not found.whole:
        summary["count_is_lower_bound"] = True
    lines = found.text.split("\n")
    shown = fitting(lines)
    cut = {"summary": "\n".join(shown), TRUNCATED: True} if len(shown) < len(lines) else {}
    return json_response([{**summary, **cut}], headers=cut_headers(len(shown), len(lines)))


def _schema(given: Any) -> dict[str, Any]:
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except (ValueError, RecursionError):
            given = None
    if not isinstance(given, dict) or not given:
        raise InvalidRequestError("Schema is required and must be a valid object")
    check_json("schema", given)
    try:
        check_value_count(given, most=_MOST_SCHEMA_VALUES)
    except InvalidRequestError:
        raise InvalidRequestError(
            f"schema: it has more than {_MOST_SCHEMA_VALUES} keys and list entries together; use a smaller one."
        ) from None
    return given


ROUTES = (
    Route("POST", "/v1/exports/", create_export),
    Route("POST", "/v1/exports/get/", get_export, needs=Role.READ),
    Route("POST", "/v1/summary/", summarise, needs=Role.READ),
)
