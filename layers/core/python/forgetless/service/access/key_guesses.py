"""KeyGuesses: how many unknown keys an address may present before they are refused without a look into the ledger.

Each process counts for itself, as rate limits do. A key that was valid here is never refused. A key that this process
has not seen waits if it comes from an address that guesses; when it comes again after Retry-After, it is looked up
from a budget of its own, which keys that are presented only once cannot use up. Keys that are presented again and again
can, so a key that has come again often enough is looked up whatever is left, and then not soon a second time.
"""

from __future__ import annotations

import ipaddress
import math
import threading
from collections import OrderedDict
from typing import TypeVar

from forgetless.domain.errors import TooManyGuessesError
from forgetless.ports.clock import Clock
from forgetless.ports.metrics import THROTTLES

__all__ = ["KeyGuesses", "source_of"]

K = TypeVar("K")
V = TypeVar("V")

_MINUTE_S = 60.0
#: Of at most so many addresses, valid keys and refused keys something is remembered; the oldest ones go first.
_MOST_REMEMBERED = 4096
#: How long a refused key may take to come back, or twice what it was told to wait.
_COMES_BACK_S = 60.0
#: A key that has come back so often is looked up in any case. So an address costs a look-up for as many requests.
_ENOUGH_RETURNS = 5
#: For how long a key that was looked up in vain is not looked up again for an address that guesses.
_UNKNOWN_S = 60.0
#: An address of IPv6 is counted with its network, because everybody has as many of these as they like.
_IPV6_NETWORK = 64


class KeyGuesses:
    """Counts look-ups of unknown keys by address; it is thread-safe, and its memory is bounded."""

    def __init__(self, *, per_minute: int, clock: Clock) -> None:
        self._clock = clock
        self._per_minute = per_minute
        self._retry_s = max(1, math.ceil(_MINUTE_S / per_minute)) if per_minute else 0
        self._first = _Buckets(per_minute)
        self._again = _Buckets(per_minute)
        self._valid: OrderedDict[str, None] = OrderedDict()
        #: When each refused key was told to wait for the last time, and how often it has come back.
        self._refused: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._unknown: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, address: str, hash_: str) -> None:
        """Count the look-up of a key; raises TooManyGuessesError if the address has none left."""
        if not self._per_minute:
            return
        source, now = source_of(address), self._clock.monotonic()
        with self._lock:
            if hash_ in self._valid or self._first.take(source, now):
                return
            if self._may_be_looked_up(hash_, source, now):
                return
        THROTTLES.count(limit="guesses")
        raise TooManyGuessesError(retry_after=self._retry_s)

    def valid(self, address: str, hash_: str) -> None:
        """Note that this key is valid: its look-up does not count."""
        with self._lock:
            if hash_ not in self._valid:
                self._first.give_back(source_of(address))
            _remember(self._valid, hash_, None)
            self._unknown.pop(hash_, None)

    def unknown(self, hash_: str) -> None:
        """Note that this key is not valid, or not any more."""
        with self._lock:
            self._valid.pop(hash_, None)
            _remember(self._unknown, hash_, self._clock.monotonic())

    def _may_be_looked_up(self, hash_: str, source: str, now: float) -> bool:
        """Whether a key has its turn although its address has used up its first budget; if not, it waits."""
        if now - self._unknown.get(hash_, -_UNKNOWN_S) < _UNKNOWN_S:
            return False
        told_at, returns = self._refused.pop(hash_, (now, 0))
        if now - told_at > max(_COMES_BACK_S, 2 * self._retry_s):
            told_at, returns = now, 0
        elif now - told_at >= self._retry_s:
            told_at, returns = now, returns + 1
            if self._again.take(source, now) or returns >= _ENOUGH_RETURNS:
                return True
        _remember(self._refused, hash_, (told_at, returns))
        return False


class _Buckets:
    """A bucket of `size` for each source, which refills evenly within a minute."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._held: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, source: str, now: float) -> bool:
        left, at = self._held.get(source, (float(self._size), now))
        left = min(float(self._size), left + (now - at) * self._size / _MINUTE_S)
        taken = left >= 1
        _remember(self._held, source, (left - taken, now))
        return taken

    def give_back(self, source: str) -> None:
        if source in self._held:
            left, at = self._held[source]
            self._held[source] = (min(float(self._size), left + 1), at)


def source_of(address: str) -> str:
    """What is counted as one source: an address, or the network of an IPv6 address."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if found.version == 4:
        return address
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((int(found), _IPV6_NETWORK), strict=False))


def _remember(held: OrderedDict[K, V], key: K, value: V) -> None:
    held[key] = value
    held.move_to_end(key)
    if len(held) > _MOST_REMEMBERED:
        held.popitem(last=False)
