"""Trace: the ids that join what one request causes, and its tenant: in log lines, its jobs, and the calls of both.

The request id is the gateway's. The trace id is that of W3C Trace Context (https://www.w3.org/TR/trace-context/), taken
from the caller or from AWS X-Ray.
"""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

from forgetless.domain.heavy_work import heavy_work_of, own_heavy_work

__all__ = ["TRACE", "Trace", "TraceFilter", "begin_trace", "current_trace", "name_tenant", "stored_trace", "traced_job"]

#: The key under which the request of a job holds its trace.
TRACE = "trace"

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")
_XRAY_ROOT = re.compile(r"Root=1-([0-9a-f]{8})-([0-9a-f]{24})(?:;|$)")
#: An id that may stand in a log line and a header as it is.
_REQUEST_ID = re.compile(r"[A-Za-z0-9_=+/.-]{1,64}")
_TRACE_ID = re.compile(r"[0-9a-f]{32}")
_NO_TRACE_ID = "0" * 32


@dataclass(frozen=True, slots=True)
class Trace:
    """The ids of what runs now; `request_id` is empty when a schedule began it, and `job_id` outside a job.

    `tenant` is empty until the key of a request is known.
    """

    request_id: str
    trace_id: str
    job_id: str = ""
    tenant: str = ""

    @classmethod
    def new(cls, request_id: str = "", *, traceparent: str = "", xray: str = "") -> Trace:
        """The trace of a request; a `request_id` or header that is missing or malformed is replaced by a random one."""
        given = request_id if _REQUEST_ID.fullmatch(request_id) else secrets.token_hex(8)
        if (match := _TRACEPARENT.fullmatch(traceparent)) and match[1] != _NO_TRACE_ID:
            return cls(given, match[1])
        if match := _XRAY_ROOT.search(xray):
            return cls(given, match[1] + match[2])
        return cls(given, secrets.token_hex(16))

    @classmethod
    def of(cls, stored: object) -> Trace:
        """The trace that a job keeps; another one if it keeps none, or one that no request had, as an import may."""
        match stored:
            case [str(request), str(trace)] if _TRACE_ID.fullmatch(trace):
                return cls(request if _REQUEST_ID.fullmatch(request) else "", trace)
            case _:
                return cls("", secrets.token_hex(16))

    @property
    def traceparent(self) -> str:
        """The header of a call: a new span of this trace."""
        return f"00-{self.trace_id}-{secrets.token_hex(8)}-01"

    def ids(self) -> dict[str, str]:
        """The ids that are known, by name, as log lines have them."""
        named = {"request_id": self.request_id, "trace_id": self.trace_id, "job_id": self.job_id}
        return {name: value for name, value in (named | {"tenant": self.tenant}).items() if value}


#: A thread in a copy of the request's context sees the same one.
_current: ContextVar[Trace | None] = ContextVar("trace", default=None)


def begin_trace(trace: Trace) -> None:
    """Make it the trace of the current request."""
    _current.set(trace)


def name_tenant(tenant: str) -> None:
    """Say whose the current request is."""
    own_heavy_work(tenant)
    if (trace := _current.get()) is not None:
        _current.set(replace(trace, tenant=tenant))


def current_trace() -> Trace | None:
    """The trace of what runs now; None outside requests and jobs."""
    return _current.get()


def stored_trace() -> Mapping[str, Any]:
    """What the request of a job stores, so that the job can go on with the trace; empty outside a request."""
    trace = _current.get()
    return {} if trace is None else {TRACE: [trace.request_id, trace.trace_id]}


@contextmanager
def traced_job(job_id: str, request: Mapping[str, Any], *, tenant: str) -> Iterator[None]:
    """Run a tenant's job under the trace of its request. Jobs of earlier versions begin one of their own."""
    token = _current.set(replace(Trace.of(request.get(TRACE)), job_id=job_id, tenant=tenant))
    try:
        with heavy_work_of(tenant):
            yield
    finally:
        _current.reset(token)


class TraceFilter(logging.Filter):
    """Adds the ids of the current trace to every log record that does not say otherwise."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Never drops a record."""
        trace = _current.get()
        if trace is not None:
            for name, value in trace.ids().items():
                if name not in record.__dict__:
                    setattr(record, name, value)
        return True
