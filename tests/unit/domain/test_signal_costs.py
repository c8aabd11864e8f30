"""What reading signals costs: steps in proportion to the part of a text that counts, whatever stands in it."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from datetime import date
from types import FrameType

import pytest

from forgetless.domain.addressed_assistant import asks_assistant
from forgetless.domain.question_dates import asked_dates
from forgetless.domain.spoken_time.text import TEXT_CHARS
from forgetless.domain.time_words import mentions
from forgetless.domain.when_questions import asks_when

READERS: list[Callable[[str], object]] = [
    mentions,
    asks_when,
    asks_assistant,
    lambda text: asked_dates(text, reference=date(2026, 11, 28)),
]
PIECES = [
    "1-",
    "2023 ",
    "2023-05-08 ",
    "9",
    "may ",
    "may",
    "thứ ",
    "tháng 5 ",
    "ngày 3 ",
    "hier ",
    "last ",
    "3 of ",
    "you ",
    "du ",
    "du gesagt ",
    "when ",
    "quand ",
    "khi nào ",
    "年",
    "一",
    "五月",
    "上",
    "你",
    "あなたが",
    "'23 ",
    "… ",
    "e\u0301",
    "\ufdfa",
    "a.1/",
    "year ",
    "in the last 3 ",
]


def _steps(read: Callable[[str], object], text: str) -> int:
    """How many functions, of Python or C, are called while the text is read."""
    steps = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal steps
        steps += event in ("call", "c_call")

    before = sys.getprofile()
    # A collection would call hypothesis's hook, which is no step of the reading.
    gc.disable()
    sys.setprofile(count)
    try:
        read(text)
    finally:
        sys.setprofile(before)
        gc.enable()
    return steps


@pytest.mark.parametrize("piece", PIECES)
def test_steps_grow_with_the_text_and_end_where_it_counts_no_more(piece: str) -> None:
    text = piece * 60_000
    for read in READERS:
        # The first text of a kind builds tables.
        read(text[:TEXT_CHARS])
        quarter, whole, long = (_steps(read, text[:length]) for length in (TEXT_CHARS // 4, TEXT_CHARS, len(text)))
        assert whole <= 4.5 * quarter + 50
        assert long == whole
