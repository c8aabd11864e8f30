"""Unknown keys: an address that presents many is refused before the ledger is asked, and valid keys go on."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.domain.errors import AuthenticationError, TooManyGuessesError
from forgetless.domain.keys import ApiKey, Role, key_hash
from forgetless.service.access import key_guesses
from forgetless.service.access.key_guesses import KeyGuesses, source_of
from forgetless.service.access.keys import KeyService
from tests.fakes.clock import FakeClock

_NUMBERS = itertools.count()
AT = "2026-01-01T00:00:00.000000+00:00"


class CountingLedger(SqliteLedger):
    """Counts how often a key is looked up."""

    looked = 0

    def key(self, key_hash: str) -> ApiKey | None:
        self.looked += 1
        return super().key(key_hash)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[CountingLedger]:
    ledger = CountingLedger(tmp_path / "ledger.db")
    for name in ("known", "new"):
        ledger.put_key(ApiKey(key_hash(name), "default", Role.READ, AT))
    yield ledger
    ledger.close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def keys(ledger: CountingLedger, clock: FakeClock) -> KeyService:
    return KeyService(ledger=ledger, clock=clock, guesses_per_minute=10)


def guess(keys: KeyService, count: int, address: str = "192.0.2.1") -> list[type[Exception]]:
    found: list[type[Exception]] = []
    for _ in range(count):
        with pytest.raises((AuthenticationError, TooManyGuessesError)) as refused:
            keys.authenticate(f"guess {next(_NUMBERS)}", address=address)
        found.append(refused.type)
    return found


def test_many_unknown_keys_of_one_address_are_refused_without_a_look_up(
    keys: KeyService, ledger: CountingLedger
) -> None:
    assert guess(keys, 500) == [AuthenticationError] * 10 + [TooManyGuessesError] * 490
    assert ledger.looked == 10
    assert guess(keys, 1, "192.0.2.2") == [AuthenticationError]


def test_it_says_when_to_come_again_and_then_looks_a_key_up(keys: KeyService, clock: FakeClock) -> None:
    guess(keys, 10)
    with pytest.raises(TooManyGuessesError) as refused:
        keys.authenticate("guess", address="192.0.2.1")
    assert refused.value.retry_after == 6
    clock.advance(refused.value.retry_after)
    assert guess(keys, 2) == [AuthenticationError, TooManyGuessesError]


def test_a_key_that_was_valid_here_goes_on_behind_an_address_that_guesses(keys: KeyService, clock: FakeClock) -> None:
    assert keys.authenticate("known", address="192.0.2.1")
    guess(keys, 100)
    clock.advance(31)  # so that it is looked up again
    guess(keys, 100)
    assert keys.authenticate("known", address="192.0.2.1")


def test_a_valid_key_that_is_new_here_gets_through_when_it_comes_again(keys: KeyService, clock: FakeClock) -> None:
    guess(keys, 100)
    with pytest.raises(TooManyGuessesError) as refused:
        keys.authenticate("new", address="192.0.2.1")
    clock.advance(refused.value.retry_after)
    guess(keys, 500)  # who goes on guessing uses up what refills, but not what is for keys that come again
    assert keys.authenticate("new", address="192.0.2.1")


def test_a_valid_key_that_is_new_here_gets_through_beside_keys_that_come_again_and_again(
    keys: KeyService, clock: FakeClock
) -> None:
    guess(keys, 10)
    pools = [[f"guess {pool} {number}" for number in range(100)] for pool in range(9)]

    def tried() -> float | None:
        """How long the valid key has to wait; the guesses are first each time, and leave nothing of what refills."""
        for name in itertools.chain(*pools):
            with pytest.raises((AuthenticationError, TooManyGuessesError)):
                keys.authenticate(name, address="192.0.2.1")
        try:
            assert keys.authenticate("new", address="192.0.2.1")
        except TooManyGuessesError as refused:
            return refused.retry_after
        return None

    tries = 1
    while (wait := tried()) is not None:
        tries += 1
        clock.advance(wait + 0.1)
    assert tries == 6


def test_a_key_that_was_looked_up_in_vain_is_not_looked_up_again_soon(
    keys: KeyService, ledger: CountingLedger, clock: FakeClock
) -> None:
    guess(keys, 10)
    for _ in range(9):
        clock.advance(6)
        guess(keys, 1)  # uses up what has refilled
        for number in range(5):
            with pytest.raises((AuthenticationError, TooManyGuessesError)):
                keys.authenticate(f"the same {number}", address="192.0.2.1")
    assert ledger.looked == 10 + 9 + 5
    ledger.put_key(ApiKey(key_hash("the same 1"), "default", Role.READ, AT))
    clock.advance(61)
    assert keys.authenticate("the same 1", address="192.0.2.1")


def test_a_key_that_comes_again_early_gains_nothing(keys: KeyService, clock: FakeClock) -> None:
    guess(keys, 10)
    for _ in range(100):
        with pytest.raises(TooManyGuessesError):
            keys.authenticate("new", address="192.0.2.1")
        clock.advance(0.01)


def test_who_is_told_to_wait_for_a_minute_may_come_after_it(ledger: CountingLedger, clock: FakeClock) -> None:
    keys = KeyService(ledger=ledger, clock=clock, guesses_per_minute=1)
    guess(keys, 2)
    with pytest.raises(TooManyGuessesError) as refused:
        keys.authenticate("new", address="192.0.2.1")
    clock.advance(refused.value.retry_after + 0.5)
    guess(keys, 1)
    assert keys.authenticate("new", address="192.0.2.1")


def test_keys_that_come_again_have_a_budget_too(keys: KeyService, ledger: CountingLedger, clock: FakeClock) -> None:
    guess(keys, 10)
    for _ in range(2):
        for number in range(500):
            with pytest.raises((AuthenticationError, TooManyGuessesError)):
                keys.authenticate(f"the same {number}", address="192.0.2.1")
        clock.advance(6)
    assert ledger.looked == 10 + 1 + 10


def test_valid_keys_use_up_nothing(keys: KeyService, clock: FakeClock) -> None:
    for _ in range(50):
        assert keys.authenticate("known", address="192.0.2.1")
        clock.advance(31)
    assert guess(keys, 10) == [AuthenticationError] * 10


def test_a_key_that_is_revoked_counts_as_unknown(keys: KeyService, ledger: CountingLedger, clock: FakeClock) -> None:
    key = keys.authenticate("known", address="192.0.2.1")
    keys.revoke("default", key.id)
    for number in range(30):
        with pytest.raises((AuthenticationError, TooManyGuessesError)) as refused:
            keys.authenticate("known", address="192.0.2.1")
        assert refused.type is (AuthenticationError if number < 11 else TooManyGuessesError)


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> None:
    monkeypatch.setattr(key_guesses, "_MOST_REMEMBERED", 50)
    guesses = KeyGuesses(per_minute=1, clock=clock)
    for number in range(500):
        guesses.begin(f"192.0.2.{number % 2}x{number // 2}", f"hash {number}")
        guesses.valid("192.0.2.1", f"hash {number}")
        guesses.unknown(f"unknown {number}")
    guesses.begin("198.51.100.1", "other")
    for number in range(500):
        with pytest.raises(TooManyGuessesError):
            guesses.begin("198.51.100.1", f"other {number}")
    held = (guesses._first._held, guesses._again._held, guesses._valid, guesses._refused, guesses._unknown)
    assert max(map(len, held)) <= 50


def test_zero_switches_it_off(ledger: CountingLedger, clock: FakeClock) -> None:
    keys = KeyService(ledger=ledger, clock=clock, guesses_per_minute=0)
    assert guess(keys, 200) == [AuthenticationError] * 200


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("testclient", "testclient", True),
        ("", "unix", False),
    ],
)
def test_an_address_of_ipv6_counts_with_its_network(one: str, other: str, same: bool) -> None:
    assert (source_of(one) == source_of(other)) is same
