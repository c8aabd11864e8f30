"""Fixed phrases of time: yesterday, last week, hôm qua, năm ngoái, la semana pasada, letztes Jahr."""

from __future__ import annotations

from forgetless.domain.spoken_time import tables
from forgetless.domain.spoken_time.mentions import VAGUE, Mention, Relative
from forgetless.domain.spoken_time.spelling import phrase_set
from forgetless.domain.spoken_time.text import TimeText

__all__ = ["LAST_WORDS", "read_phrase"]

_PHRASES: dict[tuple[str, ...], Mention] = {
    **dict.fromkeys(phrase_set(tables.EVIDENT), VAGUE),
    **{
        phrase: Relative(unit, back, back)
        for (unit, back), phrases in tables.PERIODS.items()
        for phrase in phrase_set(phrases)
    },
}
_BY_LAST: dict[str, list[tuple[str, ...]]] = {}
for _phrase in sorted(_PHRASES, key=len, reverse=True):
    _BY_LAST.setdefault(_phrase[-1], []).append(_phrase)
#: The words that can end a phrase.
LAST_WORDS = _BY_LAST.keys()


def read_phrase(text: TimeText, index: int) -> tuple[Mention, int] | None:
    """The longest phrase that ends at `index`, unless the next word makes it another phrase."""
    for phrase in _BY_LAST[text.words[index]]:
        if text.ends_with(phrase, index):
            longer = (*phrase, text.word(index + 1)) in _PHRASES
            return None if longer else (_PHRASES[phrase], index + 1)
    return None
