"""Questions that ask when: "when did", "which year", "khi nào", "¿cuándo", "wann", "什么时候", "いつ"."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

from forgetless.domain.spoken_time import east_asian
from forgetless.domain.spoken_time.spelling import phrase_set, word_set
from forgetless.domain.spoken_time.text import CLAUSE_END, TimeText, beginning

__all__ = ["asks_when"]

_PHRASES = (
    "what year|what month|what week|what day|what date|what time|which year|which month|which week"
    "|which day|which date|how long|how many days|how many weeks|how many months|how many years"
    "|the date of|date when|since when|until when|till when|by when|on what|khi nào|hồi nào|bao giờ|lúc nào|ngày nào"
    "|hôm nào|tuần nào|tháng nào|năm nào|giờ nào|thứ mấy|ngày mấy|mùng mấy|tháng mấy|năm mấy|mấy giờ"
    "|bao lâu|thời gian nào|thời điểm nào|dịp nào|ngày bao nhiêu|năm bao nhiêu|bao nhiêu ngày"
    "|bao nhiêu tuần|bao nhiêu tháng|bao nhiêu năm|mấy ngày|mấy tuần|mấy tháng|mấy năm|qué día|qué fecha"
    "|qué semana|qué mes|qué año|qué hora|cuánto tiempo|cuántos días|cuántas semanas|cuántos meses"
    "|cuántos años|cuánto hace|hace cuánto|desde cuándo|hasta cuándo|quel jour|quelle date|quelle semaine|quel mois"
    "|quelle année|quelle heure|combien de temps|combien de jours|combien de semaines|combien de mois"
    "|combien d années|combien d ans|depuis quand|jusqu à quand|à quand|c est quand|c était quand"
    "|quand est ce|welcher tag|welchem tag|welchen tag|welches datum|welchem datum|welcher woche"
    "|welchem monat|welchen monat|welches jahr|welchem jahr|wie lange|wie viele tage|wie viele wochen"
    "|wie viele monate|wie viele jahre|wie viel uhr|wieviel uhr|seit wann|bis wann|ab wann"
)
#: "Never", "whenever", "always": these words take the question away, before and behind the Vietnamese phrases.
_NOT_AFTER = word_set("không chưa chẳng đừng chả cứ kỳ kì")
_NOT_BEFORE = word_set("cũng")

_AUXILIARIES = word_set(
    "did do does was is are were am will would has have had can could should shall may might must s d ll re"
)
_ADVERBS = word_set("exactly precisely about approximately roughly else again first last")
#: Before "when", they make it a question within another: tell me when, do you know when.
_INDIRECT = word_set("know tell remember recall say said mention mentioned ask exactly and or guess sure")
_FRENCH_INDIRECT = word_set("sais sait savez dis dire dites rappelle rappelles souviens")
_QUESTION_WORDS = word_set("what who whom whose which where why how did do does")
_FRENCH_SUBJECTS = word_set("je j tu il elle on nous vous ils elles mon ma mes ton ta tes le la les un une")
_CHINESE_OR_JAPANESE = (
    "什么时候|什麼時候|甚麼時候|何时|何時|几时|幾時|哪天|哪一天|哪年|哪一年|哪个月|哪個月|哪一个月|哪个星期|几月|幾月|几号|幾號|几点|幾點"
    "|多久|多长时间|多長時間|星期几|星期幾|周几|週幾|礼拜几|几天|几年|几个月|几周|几个星期|幾天|幾年|幾個月|何日|何月|何年|何曜日|何週間|何か月|何ヶ月|何カ月"
    "|どのくらい前|どれくらい前|どのくらいの間|どれくらいの間|いつ(?!も|か(?!ら)|でも|の間に|までも)"
)


def asks_when(question: str) -> bool:
    """Whether the question asks for a time."""
    question = beginning(question)
    if east_asian.is_east_asian(question) and _east_asian().search(question):
        return True
    text = TimeText(question, joinable=())
    if question.rstrip().endswith("?") and _is_one_clause(text):
        return True
    rules = _rules()
    return any(rules[word](text, index) for index, word in enumerate(text.words) if word in rules)


@cache
def _east_asian() -> re.Pattern[str]:
    return re.compile(_CHINESE_OR_JAPANESE)


@cache
def _by_last() -> dict[str, list[tuple[str, ...]]]:
    phrases: dict[str, list[tuple[str, ...]]] = {}
    for words in phrase_set(_PHRASES):
        phrases.setdefault(words[-1], []).append(words)
    return phrases


@cache
def _rules() -> dict[str, Callable[[TimeText, int], bool]]:
    own: dict[str, Callable[[TimeText, int], bool]] = {
        "when": _english,
        "quand": _french,
        "cuándo": lambda _text, _index: True,
        "cuando": _spanish_without_accent,
        "wann": lambda text, index: text.word(index - 2) != "dann",
    }
    return {**dict.fromkeys(_by_last(), _phrase), **own}


def _phrase(text: TimeText, index: int) -> bool:
    for words in _by_last().get(text.words[index], ()):
        if text.ends_with(words, index):
            before, after = text.word(index - len(words)), text.word(index + 1)
            return before not in _NOT_AFTER and after not in _NOT_BEFORE
    return False


def _english(text: TimeText, index: int) -> bool:
    """When did …, when exactly was …, tell me when …, and … when?; not "when I was in Paris, what did I eat"."""
    following = index + 1
    while text.word(following) in _ADVERBS:
        following += 1
    after = text.word(following)
    if after in _AUXILIARIES or after in ("", CLAUSE_END) or _is_indirect(text, index):
        return True
    return _phrase(text, index)


def _is_indirect(text: TimeText, index: int) -> bool:
    """Do you know when …, remind me when …; not "who was with me when …"."""
    before = text.word(index - 1)
    return before in _INDIRECT or (before == "me" and text.word(index - 2) in ("tell", "remind", "show", "ask"))


def _is_one_clause(text: TimeText) -> bool:
    """When the band has played? Nothing else is asked, and no comma divides it."""
    inner = text.words[1:-1]
    return text.word(0) == "when" and CLAUSE_END not in inner and _QUESTION_WORDS.isdisjoint(inner)


def _french(text: TimeText, index: int) -> bool:
    """Quand est-ce que …, quand Marie …, … quand ?; not "quand je suis parti, …"."""
    starts = text.word(index - 1) in ("", CLAUSE_END, "et")
    if text.word(index - 1) in _FRENCH_INDIRECT:
        return True
    return (starts and text.word(index + 1) not in _FRENCH_SUBJECTS) or (
        text.word(index + 1) in ("", CLAUSE_END) or _phrase(text, index)
    )


def _spanish_without_accent(text: TimeText, index: int) -> bool:
    """Typed without its accent: only at the beginning, or after "desde" or "hasta"."""
    return index == 0 or _phrase(text, index)
