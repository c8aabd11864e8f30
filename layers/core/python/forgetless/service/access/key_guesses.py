"""KeyGuesses: how many unknown keys an address may present before they are refused without a look into the ledger.

Each process counts for itself, as rate limits do. A key that was valid here is never refused. A key that this process
has not seen waits if it comes from an address that guesses; when it comes again after Retry-After, it is looked up
from a budget of its own, which keys that are presented only once cannot use up.
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
#: How long a refused key may take to come back.
_COMES_BACK_S = 60.0
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
        self._refused: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, address: str, hash_: str) -> None:
        """Count the look-up of a key; raises TooManyGuessesError if the address has none left."""
        if not self._per_minute:
            return
        source, now = source_of(address), self._clock.monotonic()
        with self._lock:
            if hash_ in self._valid or self._first.take(source, now):
                return
            if self._waited(hash_, now) and self._again.take(source, now):
                del self._refused[hash_]
                return
            _remember(self._refused, hash_, self._refused.get(hash_, now))
        THROTTLES.count(limit="guesses")
        raise TooManyGuessesError(retry_after=self._retry_s)

    def valid(self, address: str, hash_: str) -> None:
        """Note that this key is valid: its look-up does not count."""
        with self._lock:
            if hash_ not in self._valid:
                self._first.give_back(source_of(address))
            _remember(self._valid, hash_, None)

    def unknown(self, hash_: str) -> None:
        """Note that this key is not valid, or not any more."""
        with self._lock:
            self._valid.pop(hash_, None)

    def _waited(self, hash_: str, now: float) -> bool:
        refused_at = self._refused.get(hash_)
        if refused_at is not None and now - refused_at > _COMES_BACK_S:
            del self._refused[hash_]
            return False
        return refused_at is not None and now - refused_at >= self._retry_s


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
