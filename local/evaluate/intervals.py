"""95 % intervals of a mean over questions, by bootstrap over conversations."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

__all__ = ["interval"]

_DRAWS = 2000
_SEED = 20


def interval(conversations: Sequence[Sequence[float]]) -> tuple[float, float]:
    """The interval of the mean over all values, which stand together by conversation.

    Questions of one conversation are not independent of each other, so whole conversations are drawn. Of a single
    conversation its questions are drawn; such an interval says nothing about other conversations.
    """
    drawn = [one for one in conversations if one]
    if len(drawn) == 1:
        drawn = [[value] for value in drawn[0]]
    if not drawn:
        return math.nan, math.nan
    totals = [(math.fsum(one), len(one)) for one in drawn]
    source = random.Random(_SEED)
    means = []
    for _ in range(_DRAWS):
        sample = source.choices(totals, k=len(totals))
        means.append(math.fsum(total for total, _ in sample) / sum(count for _, count in sample))
    means.sort()
    return means[round(0.025 * _DRAWS)], means[round(0.975 * _DRAWS) - 1]
