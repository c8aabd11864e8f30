"""Whether the time of an add tells that somebody else has said its text: vectors are kept for one speaker only.

Three kinds of texts are added in a random order: said by another user before, by nobody, and by the same user. The last
kind must be quicker, or the measurement shows nothing on this machine.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from local.client import Client, add_options, read_connection, run

__all__ = ["main", "quicker"]

_KINDS = ("said by another", "said by nobody", "said by the same user")
_WORDS = [
    "garden",
    "river",
    "lantern",
    "copper",
    "violin",
    "harbour",
    "meadow",
    "saffron",
    "compass",
    "marble",
    "thunder",
    "orchard",
]


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Measure, print the distributions, and delete the two users again."""
    parser = argparse.ArgumentParser(prog="python -m local.bench.vector_times", description=__doc__)
    parser.add_argument("--texts", type=int, default=100, help="texts of each kind (default %(default)s)")
    add_options(parser)
    options = parser.parse_args(arguments)
    with Client(read_connection(options, environment)) as client:
        _print(_measure(client, max(2, options.texts)))
    return 0


def _measure(client: Client, count: int) -> dict[str, list[float]]:
    """The milliseconds of each add by kind."""
    asker, other = (f"vector-times-{uuid.uuid4()}" for _ in range(2))
    texts = {kind: [_text() for _ in range(count)] for kind in _KINDS}
    times: dict[str, list[float]] = defaultdict(list)
    try:
        for said_by, kind in ((other, _KINDS[0]), (asker, _KINDS[2])):
            for text in texts[kind]:
                _add(client, said_by, text)
        asked = [(kind, text) for kind in _KINDS for text in texts[kind]]
        random.shuffle(asked)
        for kind, text in asked:
            times[kind].append(_add(client, asker, text))
    finally:
        for user in (asker, other):
            client.delete_user(user)
    return times


def _add(client: Client, user: str, text: str) -> float:
    began = time.perf_counter()
    # A run of its own, so that no text is the context of the next one.
    client.add([{"role": "user", "content": text}], user_id=user, run_id=str(uuid.uuid4()), infer=False)
    return (time.perf_counter() - began) * 1000


def _text() -> str:
    return " ".join(random.choices(_WORDS, k=40))


def quicker(ones: Iterable[float], others: Sequence[float]) -> float:
    """How often one of the first is quicker than one of the others, 0 to 1; one half tells nothing."""
    wins = [(one < other) + (one == other) / 2 for one in ones for other in others]
    return statistics.fmean(wins)


def _print(times: Mapping[str, Sequence[float]]) -> None:
    print(f"{'an add of a text':24}{'lower quartile':>16}{'median':>10}{'upper quartile':>16}  ms")
    for kind in _KINDS:
        low, middle, high = statistics.quantiles(times[kind], n=4)
        print(f"{kind:24}{low:16.1f}{middle:10.1f}{high:16.1f}")
    nobody = times[_KINDS[1]]
    for kind in (_KINDS[0], _KINDS[2]):
        share = quicker(times[kind], nobody)
        print(f"{kind} is quicker than {_KINDS[1]} in {share:.0%} of the pairs (50 %: nothing is told)")


if __name__ == "__main__":
    run(main)
