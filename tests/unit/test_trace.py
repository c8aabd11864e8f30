"""The ids that join log lines, jobs and calls."""

from __future__ import annotations

import io
import json
import logging
from contextvars import copy_context

import pytest
from aws_lambda_powertools import Logger

from forgetless.ports.trace import Trace, TraceFilter, begin_trace, current_trace, stored_trace, traced_job

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
XRAY = "Self=1-67891234-12456789abcdef012345678;Root=1-67891233-abcdef012345678912345678;Sampled=1"


def test_the_gateways_id_is_the_requests() -> None:
    assert Trace.new("JKJaXmPLvHcESHA=").request_id == "JKJaXmPLvHcESHA="


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "a\nb", 'a"b', "\u202e"])
def test_an_id_that_cannot_stand_in_a_line_is_replaced(given: str) -> None:
    made = Trace.new(given)
    assert len(made.request_id) == 16
    assert made.request_id != Trace.new(given).request_id


@pytest.mark.parametrize(
    ("traceparent", "xray", "trace_id"),
    [
        (PARENT, "", "0af7651916cd43dd8448eb211c80319c"),
        (PARENT, XRAY, "0af7651916cd43dd8448eb211c80319c"),
        ("", XRAY, "67891233abcdef012345678912345678"),
        ("00-" + "0" * 32 + "-b7ad6b7169203331-01", XRAY, "67891233abcdef012345678912345678"),
    ],
)
def test_the_trace_of_the_caller_goes_on(traceparent: str, xray: str, trace_id: str) -> None:
    trace = Trace.new(traceparent=traceparent, xray=xray)
    assert trace.trace_id == trace_id
    assert trace.traceparent.split("-")[:2] == ["00", trace_id]
    assert trace.traceparent != trace.traceparent, "each call is a span of its own"


@pytest.mark.parametrize("wrong", ["", "00-xyz", PARENT.upper(), PARENT + "\r\nX: y", "Root=1-1-2"])
def test_a_malformed_header_begins_a_new_trace(wrong: str) -> None:
    assert len(Trace.new(traceparent=wrong, xray=wrong).trace_id) == 32


def test_a_job_goes_on_with_the_trace_of_its_request() -> None:
    def request() -> dict[str, object]:
        begin_trace(Trace("r1", "a" * 32))
        return dict(json.loads(json.dumps(stored_trace())))

    stored = copy_context().run(request)
    assert current_trace() is None
    with traced_job("j1", stored, tenant="acme"):
        trace = current_trace()
        assert trace is not None
        assert trace.ids() == {"request_id": "r1", "trace_id": "a" * 32, "job_id": "j1", "tenant": "acme"}
    assert current_trace() is None
    with traced_job("j2", {}, tenant="acme"):
        trace = current_trace()
        assert trace is not None
        assert set(trace.ids()) == {"trace_id", "job_id", "tenant"}


def test_every_line_has_the_ids_and_its_own_win() -> None:
    written = io.StringIO()
    logger = Logger(service="test_trace", stream=written)
    for handler in logger.handlers:
        handler.addFilter(TraceFilter())
    with traced_job("j1", {"trace": ["r1", "b" * 32]}, tenant="acme"):
        logger.info("one")
        logger.info("two", extra={"job_id": "another"})
    logger.info("three")
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    assert [line.get("job_id") for line in lines] == ["j1", "another", None]
    assert [line.get("request_id") for line in lines] == ["r1", "r1", None]
    assert lines[0]["trace_id"] == "b" * 32
    assert [line.get("tenant") for line in lines] == ["acme", "acme", None]
    logging.getLogger("test_trace").handlers.clear()
