"""Messages and memories are read until they have so many bytes, whatever their number, and none is left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from forgetless.domain.limits import HISTORIES_AT_ONCE, JOBS_AT_ONCE
from forgetless.domain.memory import Memory, Message
from forgetless.ports.ledger import Ledger
from forgetless.service.transfer.jobs_with_messages import jobs_page, removed_jobs_page
from tests.contract.ledger.making import ANNA, a_job, a_memory, a_message, add, at, job_id
from tests.unit.heavy import MB, peak_of

#: Such a message takes 380 KB in the ledger, and 960 KB as a text: with one emoji, each character has four bytes.
LONG = "😀" + "x" * 99_999
COUNT = 60
#: All of them together take 80 MB while they are read.
MOST = 22 * MB

Page = tuple[list[Message], str | None]


def long_message(number: int, *, position: int = 0) -> Message:
    return a_message(f"j{number}", position, content=f"{LONG}{number}😀" + "ü" * 140_000, second=number)


@pytest.fixture
def said(ledger: Ledger) -> list[Message]:
    """Messages of as many jobs that do not exist."""
    messages = [long_message(number) for number in range(COUNT)]
    for start in range(0, COUNT, 10):
        ledger.append([], messages=messages[start : start + 10])
    return messages


def pages(read: Callable[[str | None], Page]) -> Iterator[list[Message]]:
    cursor: str | None = None
    while True:
        (found, cursor), peak = peak_of(lambda: read(cursor))  # noqa: B023 - it is called here
        assert peak < MOST, f"{peak / MB:.0f} MB"
        yield found
        if cursor is None:
            return


def test_the_messages_of_a_scope_are_read_in_pages_of_bytes(ledger: Ledger, said: list[Message]) -> None:
    found = list(pages(lambda cursor: ledger.scope_messages("acme", {"user_id": "anna"}, limit=500, cursor=cursor)))
    assert len(found) > 5
    assert sorted(str(one.ref) for page in found for one in page) == sorted(str(one.ref) for one in said)


def test_messages_without_a_job_are_read_in_pages_of_bytes(ledger: Ledger, said: list[Message]) -> None:
    found = list(pages(lambda cursor: ledger.messages_without_job("acme", limit=500, cursor=cursor)))
    assert len(found) > 5
    assert sorted(str(one.ref) for page in found for one in page) == sorted(str(one.ref) for one in said)


def test_the_messages_of_many_jobs_are_read_until_they_have_so_many_bytes(ledger: Ledger, said: list[Message]) -> None:
    ids = [message.ref.job_id for message in said]
    left, found = ids, list[str]()
    while left:
        (some, looked), peak = peak_of(lambda: ledger.messages_of_jobs("acme", left))  # noqa: B023
        assert peak < MOST, f"{peak / MB:.0f} MB"
        assert 0 < looked < 10
        found += some
        left = left[looked:]
    assert sorted(found) == sorted(ids)


def test_a_job_that_is_too_long_is_read_alone(ledger: Ledger) -> None:
    long = [long_message(0, position=position) for position in range(9)]
    ledger.append([], messages=long)
    ledger.append([], messages=[a_message("short")])
    ids = [job_id("short"), job_id("j0"), job_id("short")]
    assert ledger.messages_of_jobs("acme", ids) == ({ids[0]: [a_message("short")]}, 1)
    assert ledger.messages_of_jobs("acme", ids[1:]) == ({ids[1]: long}, 1)


def test_the_beginnings_of_messages_are_read_without_holding_them(ledger: Ledger, said: list[Message]) -> None:
    refs = [message.ref for message in said]
    found, peak = peak_of(lambda: ledger.read_messages("acme", refs, most_chars=7))
    assert peak < MOST, f"{peak / MB:.0f} MB"
    assert found == {one.ref: replace(one, content=one.content[:7]) for one in said}
    assert ledger.read_messages("acme", refs[:2], most_chars=10**6) == {one.ref: one for one in said[:2]}


def test_recent_messages_are_the_last_ones_that_have_so_many_bytes(ledger: Ledger, said: list[Message]) -> None:
    found, peak = peak_of(lambda: ledger.recent_messages(ANNA, since="", before=at(999), limit=50))
    assert peak < MOST * 3 // 2, f"{peak / MB:.0f} MB"
    assert 1 < len(found) <= 2 + HISTORIES_AT_ONCE // 380_000
    assert found == said[-len(found) :]


def test_a_page_of_jobs_has_no_more_messages_than_are_read_at_once(ledger: Ledger, said: list[Message]) -> None:
    """The pages together have all jobs once, although where a page ends is only known when its messages are counted."""
    ledger.put_jobs([(a_job(f"j{number}", second=number), ()) for number in range(COUNT // 2)])
    found, cursor = list[tuple[str, int]](), None
    while True:
        (page, cursor), peak = peak_of(lambda: jobs_page(ledger, "acme", limit=200, cursor=cursor))  # noqa: B023
        assert peak < MOST, f"{peak / MB:.0f} MB"
        assert sum(len(one.content.encode()) for _, messages in page for one in messages) <= JOBS_AT_ONCE
        found += [(job.id, len(messages)) for job, messages in page]
        if cursor is None:
            break
    assert found == [(job_id(f"j{number}"), 1) for number in reversed(range(COUNT // 2))]
    removed, cursor = list[str](), None
    while True:
        (left, cursor), peak = peak_of(lambda: removed_jobs_page(ledger, "acme", limit=200, cursor=cursor))  # noqa: B023
        assert peak < MOST, f"{peak / MB:.0f} MB"
        removed += [messages[0].ref.job_id for messages in left]
        if cursor is None:
            break
    assert sorted(removed) == sorted(job_id(f"j{number}") for number in range(COUNT // 2, COUNT))


@pytest.fixture
def long_memories(ledger: Ledger) -> list[Memory]:
    memories = [
        a_memory(f"m{number}", text=f"{number} {LONG}" + "ü" * 140_000, second=number) for number in range(COUNT)
    ]
    for start in range(0, COUNT, 10):
        ledger.append(add(*memories[start : start + 10]))
    return memories


def test_what_waits_for_the_index_is_read_until_it_has_so_many_bytes(
    ledger: Ledger, long_memories: list[Memory]
) -> None:
    found, peak = peak_of(lambda: ledger.unindexed(before=at(999), limit=100))
    assert peak < MOST * 3 // 2, f"{peak / MB:.0f} MB"
    assert 1 < len(found) < 20
    assert [one.id for one in found] == [one.id for one in long_memories[: len(found)]]
    assert len(ledger.unindexed(before=at(999), limit=3, tenant="acme")) == 3
    ledger.mark_indexed(long_memories)
    ledger.mark_behind(long_memories, at=at(500))
    behind, peak = peak_of(lambda: ledger.behind("acme", before=at(999), limit=100))
    assert peak < MOST * 3 // 2, f"{peak / MB:.0f} MB"
    assert behind == found
