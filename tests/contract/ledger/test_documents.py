"""The contract of documents: small records by tenant, kind and id."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from forgetless.adapters.ledger_dynamodb import documents as of_dynamodb
from forgetless.adapters.ledger_dynamodb.table import Table as DynamoTable
from forgetless.adapters.ledger_sqlite import documents as of_sqlite
from forgetless.domain.documents import Document
from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.times import later
from forgetless.ports.ledger import Ledger
from tests.contract.ledger.making import at

ODD: dict[str, Any] = {"text": "Zoë \ud800\x00", "big": 2**80, "nested": [{"a": None}, 1.5, True]}


def a_document(id_: str, *, tenant: str = "acme", kind: str = "webhook", second: int = 0, **more: Any) -> Document:
    return Document(tenant, kind, id_, more.pop("body", {"url": f"https://{id_}"}), at(second), **more)


def test_a_document_comes_back_as_it_was(ledger: Ledger) -> None:
    document = a_document("odd \ud800 id", body=ODD, due_at=at(9))
    assert ledger.put_document(document)
    assert ledger.document("acme", "webhook", "odd \ud800 id") == document


def test_tenants_and_kinds_are_apart(ledger: Ledger) -> None:
    ledger.put_document(a_document("a"))
    assert ledger.document("other", "webhook", "a") is None
    assert ledger.document("acme", "feedback", "a") is None
    assert not ledger.delete_document("other", "webhook", "a")
    assert ledger.documents("other", "webhook", limit=9) == ([], None)
    assert ledger.document("acme", "webhook", "a") is not None


def test_a_write_needs_the_version_before_it(ledger: Ledger) -> None:
    first = a_document("a")
    assert not ledger.put_document(replace(first, version=2))
    assert ledger.put_document(first)
    assert not ledger.put_document(replace(first, body={"url": "other"}))
    second = replace(first, version=2, body={"url": "new"}, due_at=at(3))
    assert ledger.put_document(second)
    assert not ledger.put_document(replace(second, version=4))
    assert ledger.document("acme", "webhook", "a") == second


def test_a_deleted_document_may_be_made_again(ledger: Ledger) -> None:
    ledger.put_document(a_document("a"))
    assert ledger.delete_document("acme", "webhook", "a")
    assert not ledger.delete_document("acme", "webhook", "a")
    assert ledger.document("acme", "webhook", "a") is None
    assert ledger.put_document(a_document("a"))


def test_who_read_a_document_that_was_deleted_does_not_overwrite_the_next_one_of_its_id(ledger: Ledger) -> None:
    read = a_document("a")
    ledger.put_document(read)
    ledger.delete_document("acme", "webhook", "a")
    again = a_document("a", second=5, body={"url": "of the second"})
    ledger.put_document(again)
    assert not ledger.put_document(replace(read, version=2, body={"url": "of the first"}))
    assert ledger.document("acme", "webhook", "a") == again
    assert ledger.put_document(replace(again, version=2))


def test_documents_are_listed_newest_first_in_pages(ledger: Ledger) -> None:
    made = [a_document(f"{n}", second=n // 2) for n in range(7)]
    for document in made:
        ledger.put_document(document)
    ledger.put_document(a_document("x", kind="feedback"))
    pages, cursor = [], None
    while True:
        page, cursor = ledger.documents("acme", "webhook", limit=3, cursor=cursor)
        pages.append([document.id for document in page])
        if cursor is None:
            break
    assert pages == [["6", "5", "4"], ["3", "2", "1"], ["0"]]


def test_documents_are_counted_up_to_a_limit(ledger: Ledger) -> None:
    assert ledger.count_documents("acme", "webhook", limit=9) == 0
    for number in range(4):
        ledger.put_document(a_document(f"{number}", second=number))
    ledger.put_document(a_document("x", kind="feedback"))
    ledger.put_document(a_document("y", tenant="other"))
    assert [ledger.count_documents("acme", "webhook", limit=limit) for limit in (1, 3, 4, 9)] == [1, 3, 4, 4]
    ledger.delete_document("acme", "webhook", "2")
    ledger.put_document(replace(a_document("3", second=3), version=2))
    assert ledger.count_documents("acme", "webhook", limit=9) == 3


def test_to_count_documents_reads_none_of_their_bodies(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        ledger.put_document(a_document(f"{number}"))
    for module in (of_sqlite, of_dynamodb):
        monkeypatch.setattr(module, "load", _unwanted)
    monkeypatch.setattr(DynamoTable, "bodies", _unwanted)
    assert ledger.count_documents("acme", "webhook", limit=9) == 3


def _unwanted(*_: object) -> object:
    raise AssertionError("a body was read")


def test_a_cursor_of_somebody_else_is_refused(ledger: Ledger) -> None:
    with pytest.raises(InvalidRequestError, match="cursor"):
        ledger.documents("acme", "webhook", limit=3, cursor="nonsense")


def test_what_is_due_is_found_over_all_tenants_the_oldest_hour_first(ledger: Ledger) -> None:
    ledger.put_document(a_document("later", due_at=later(at(30), 3600.0)))
    ledger.put_document(a_document("second", due_at=later(at(7), 3600.0)))
    ledger.put_document(a_document("first", tenant="other", due_at=at(5)))
    ledger.put_document(a_document("never"))
    ledger.put_document(a_document("else", kind="export", due_at=at(1)))
    assert [one.id for one in ledger.due_documents("webhook", now=later(at(7), 3600.0), limit=9)] == ["first", "second"]
    assert [one.id for one in ledger.due_documents("webhook", now=later(at(7), 3600.0), limit=1)] == ["first"]
    first = ledger.document("other", "webhook", "first")
    assert first is not None
    ledger.put_document(replace(first, version=2, due_at=None))
    assert [one.id for one in ledger.due_documents("webhook", now=later(at(7), 3600.0), limit=9)] == ["second"]


def test_what_is_due_is_found_in_turn_so_that_nobody_hides_the_others(ledger: Ledger) -> None:
    for number in range(5):
        ledger.put_document(a_document(f"acme {number}", due_at=at(number)))
    ledger.put_document(a_document("other 0", tenant="other", due_at=at(6)))
    ledger.put_document(a_document("other 1", tenant="other", due_at=at(7)))
    ledger.put_document(a_document("third", tenant="~ third\ud800", due_at=at(5)))
    ledger.put_document(a_document("not yet", tenant="fourth", due_at=at(9)))
    ledger.put_document(a_document("else", kind="export", due_at=at(1)))
    ledger.put_document(a_document("never", tenant="fifth"))
    ledger.put_document(a_document("of nobody", kind="job", tenant="", due_at=at(1)))
    assert [one.id for one in ledger.due_in_turn("job", now=at(8), limit=9, each=9)] == ["of nobody"]

    def found(limit: int, each: int) -> list[str]:
        return [one.id for one in ledger.due_in_turn("webhook", now=at(8), limit=limit, each=each)]

    assert found(9, 3) == ["acme 0", "third", "other 0", "acme 1", "other 1", "acme 2"]
    assert found(9, 1) == ["acme 0", "third", "other 0"]
    assert len(found(99, 99)) == 8
    two = [set(found(2, 3)) for _ in range(40)]
    assert set().union(*two) == {"acme 0", "third", "other 0"}, "chance says which tenants come"
    assert all(len(those) == 2 for those in two)
