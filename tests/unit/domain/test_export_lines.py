"""Lines of an export: what is read back equals what was written, byte for byte."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.export_lines import event_line, header_line, is_header, job_line, parse_line, read_record
from forgetless.domain.jobs import Job, JobState
from forgetless.domain.memory import Event, EventKind, Memory, Message, MessageRef
from forgetless.domain.scope import Scope

AT = "2026-01-01T00:00:00.000000+00:00"

text = st.text(st.characters(), max_size=20)  # lone surrogates and control characters too
ids = st.text(max_size=5)
refs = st.lists(st.builds(MessageRef, ids, st.integers(0, 99)), max_size=2).map(tuple)
scopes = st.builds(Scope, st.just("acme"), ids, ids, ids, ids)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(text, inner, max_size=2),
    max_leaves=5,
)
objects = st.dictionaries(text, json_values, max_size=3)
maybe = st.none() | text
memories = st.builds(
    Memory,
    id=ids,
    version=st.integers(1, 9),
    scope=scopes,
    text=text,
    created_at=st.just(AT),
    updated_at=st.just(AT),
    job_id=ids,
    position=st.integers(0, 9),
    metadata=objects,
    role=maybe,
    actor_id=maybe,
    attributed_to=maybe,
    categories=st.lists(text, max_size=2).map(tuple),
    expiration_date=maybe,
    extracted=st.booleans(),
    context=refs,
    sources=refs,
    superseded_by=maybe,
    deleted=st.booleans(),
    event_id=ids.filter(bool),
)


@given(st.builds(Event, st.sampled_from(EventKind), memories))
def test_an_event_comes_back_as_it_was(event: Event) -> None:
    line = event_line(event)
    assert line.count(b"\n") == 1
    back = read_record("acme", parse_line(line))
    assert back == event
    assert isinstance(back, Event)
    assert event_line(back) == line  # equal is not enough: the order of metadata's keys, -0.0 and 1.0 too


def test_an_event_without_an_id_gets_the_same_one_from_export_and_import() -> None:
    old = Event(EventKind.ADD, Memory("m", 1, Scope("acme", user_id="anna"), "tea", AT, AT, "job"))
    line = event_line(old)
    record = parse_line(line)
    assert record["memory"].pop("event_id").startswith("line:")
    back = read_record("acme", record)
    assert isinstance(back, Event)
    assert event_line(back) == line


@given(
    st.builds(
        Job,
        id=ids,
        scope=scopes,
        state=st.sampled_from(JobState),
        created_at=st.just(AT),
        updated_at=st.just(AT),
        request=objects,
        attempts=st.integers(0, 3),
        lease_owner=maybe,
        lease_until=maybe,
        results=st.lists(objects, max_size=2).map(tuple),
        error=maybe,
    ),
    st.lists(st.tuples(text, text, maybe, st.booleans()), max_size=3),
)
def test_a_job_comes_back_with_its_messages(job: Job, said: list[tuple[str, str, str | None, bool]]) -> None:
    messages = [
        Message(MessageRef(job.id, place), Scope("acme", "u") if elsewhere else job.scope, role, content, AT, name)
        for place, (role, content, name, elsewhere) in enumerate(said)
    ]
    line = job_line(job, messages)
    assert read_record("acme", parse_line(line)) == (job, messages)


def test_the_tenant_is_the_reader_s() -> None:
    memory = Memory("m", 1, Scope("here", "u"), "tea", AT, AT, "j")
    line = event_line(Event(EventKind.ADD, memory))
    assert b"here" not in line
    back = read_record("there", parse_line(line))
    assert isinstance(back, Event)
    assert back.memory.scope == Scope("there", "u")


def test_the_header_is_known_and_a_later_one_refused() -> None:
    header = parse_line(header_line())
    assert is_header(header)
    assert not is_header({"type": "event"})
    with pytest.raises(InvalidRequestError, match="version 2"):
        is_header({**header, "version": 2})


@pytest.mark.parametrize(
    ("record", "named"),
    [
        ({}, "type: it is missing"),
        ({"type": "event"}, "kind: it is missing"),
        ({"type": "event", "kind": "BURN", "memory": {}}, "kind: 'BURN'"),
        ({"type": "key"}, "type: 'key' is not that of a line of an export"),
        (
            {"type": "event", "kind": "ADD", "memory": {"id": "m", "scope": {}, "unknown": 1}},
            "memory.version: it is missing",
        ),
        ({"type": "job", "id": "j"}, "scope: it is missing"),
    ],
)
def test_what_no_export_wrote_is_refused(record: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidRequestError, match=f"^{named}"):
        read_record("acme", record)


def test_what_is_not_json_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="not JSON"):
        parse_line(b"{")
    assert parse_line(json.dumps("\ud800")) == "\ud800"
