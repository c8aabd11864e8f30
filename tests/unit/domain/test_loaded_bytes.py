"""Requests that read much do so one at a time, and read no more than an answer can hold."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from forgetless.domain import loaded_bytes
from forgetless.domain.errors import BusyError
from forgetless.domain.loaded_bytes import await_turn, count_loaded, give_turn, has_read_enough, loading, portions

_MUCH = b"x" * (5 * 1024 * 1024)


def test_what_little_is_read_needs_no_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loaded_bytes, "_PATIENCE_S", 0.0)
    with loading():
        count_loaded(_MUCH)
        await_turn()

        def little() -> list[int]:
            with loading():
                count_loaded(b"x" * 1000)
                return [len(few) for few in portions(range(100))]

        with ThreadPoolExecutor(1) as other:
            assert other.submit(little).result() == [24, 48, 28]


def test_a_second_one_waits_until_the_first_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loaded_bytes, "_PATIENCE_S", 0.0)

    def much() -> None:
        with loading():
            count_loaded(_MUCH)
            await_turn()

    with ThreadPoolExecutor(1) as other:
        with loading():
            count_loaded(_MUCH)
            await_turn()
            await_turn()  # who has it does not wait for itself
            with pytest.raises(BusyError):
                other.submit(much).result()
        other.submit(much).result()


def test_the_turn_is_given_back_when_the_request_fails() -> None:
    def fail() -> None:
        with loading():
            count_loaded(_MUCH)
            await_turn()
            _ = 1 // 0

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            fail()


def test_small_rows_need_no_turn_however_many_they_are() -> None:
    with loading():
        for _ in range(10_000):
            count_loaded(b"x" * 1000)
        assert [len(few) for few in portions(range(100))] == [24, 48, 28]


def test_nobody_waits_for_who_waits_for_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loaded_bytes, "_PATIENCE_S", 0.0)

    def much() -> None:
        with loading():
            count_loaded(_MUCH)
            await_turn()

    with ThreadPoolExecutor(1) as other, loading():
        count_loaded(_MUCH)
        await_turn()
        give_turn()
        other.submit(much).result()
        await_turn()


def test_many_values_count_for_what_they_take() -> None:
    with loading():
        for _ in range(50):
            count_loaded(b"[[]" + b",[]" * 21_000 + b"]")
        assert has_read_enough()


def test_who_has_the_turn_reads_small_portions() -> None:
    with loading():
        count_loaded(_MUCH)
        sizes = [len(few) for few in portions(range(100))]
    assert sizes == [24, 24, 24, 24, 4]


def test_outside_requests_nothing_is_counted() -> None:
    count_loaded(_MUCH)
    await_turn()
    assert not has_read_enough()
    assert [len(few) for few in portions(range(1000))] == [1000]
