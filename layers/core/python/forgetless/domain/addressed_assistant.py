"""Questions for what the assistant said: "what did you recommend", "your advice", "bạn đã gợi ý gì", "你推荐的".

The assistant's memories count a little less than the user's, but not for a question that names the assistant, or says
that "you" said, suggested or gave something. "Do you remember what I said" speaks to the assistant and asks for the
user's words, and "can you recommend a hotel" asks for something new: neither is such a question.
"""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from forgetless.domain.spoken_time import east_asian
from forgetless.domain.spoken_time.spelling import word_set
from forgetless.domain.spoken_time.text import CLAUSE_END, TimeText, beginning

__all__ = ["asks_assistant"]


class _Language(NamedTuple):
    """How a language says "you said"."""

    #: You, and the verbs that say what you said or gave.
    you: frozenset[str]
    said: frozenset[str]
    #: What may stand between the two; None: anything but `never`, in a language whose verb ends its clause.
    between: frozenset[str] | None
    #: Before "you": a request for something new ("can you"). Between the two: somebody else said it.
    never: frozenset[str]
    #: Verbs that mean "you said" by themselves.
    alone: frozenset[str]
    #: Your, what may be yours, and whether "your" comes behind it.
    your: frozenset[str]
    yours: frozenset[str]
    your_follows: bool


def _language(
    *,
    you: str,
    said: str,
    between: str | None = "",
    never: str = "",
    alone: str = "",
    your: str = "",
    yours: str = "",
    your_follows: bool = False,
) -> _Language:
    """A language from words that are separated by blanks, with and without their accents."""
    return _Language(
        word_set(you),
        word_set(said),
        None if between is None else word_set(between),
        word_set(never),
        word_set(alone),
        word_set(your),
        word_set(yours),
        your_follows,
    )


@cache
def _languages() -> tuple[_Language, ...]:
    """The languages that are written with spaces, made when the first question comes."""
    return _english(), _vietnamese(), _spanish(), _french(), _german()


def _english() -> _Language:
    return _language(
        you="you",
        said=(
            "say said tell told suggest suggested recommend recommended mention mentioned advise advised propose "
            "proposed explain explained give gave given list listed write wrote written describe described "
            "provide provided answer answered offer offered reply replied respond responded make made create "
            "created show showed shown send sent share shared warn warned"
        ),
        between=(
            "have had ve d did already also previously once just ever first last originally earlier both then actually"
        ),
        never="can could will would please to",
        your="your",
        yours=(
            "suggestion suggestions suggested recommendation recommendations advice answer answers reply replies "
            "response responses explanation explanations tip tips idea ideas list opinion proposal proposals "
            "message messages example examples description summary instructions last previous earlier"
        ),
    )


def _vietnamese() -> _Language:
    return _language(
        you="bạn cậu",
        said="nói bảo kể gợi đề khuyên giới tư nhắc đưa viết liệt giải trả cho gửi dạy hướng",
        between="đã từng vừa cũng mới có lại luôn hay trước đó hôm qua",
        your="của",
        yours="khuyên ý xuất lời thiệu thích dẫn",
        your_follows=True,
    )


def _spanish() -> _Language:
    return _language(
        you="has usted",
        said=(
            "dicho recomendado sugerido aconsejado propuesto explicado mencionado dado escrito respondido contado "
            "enseñado dijo recomendó sugirió aconsejó propuso explicó mencionó dio escribió respondió contó "
            "enseñó"
        ),
        between="ya me también",
        alone=(
            "dijiste recomendaste sugeriste aconsejaste propusiste explicaste mencionaste diste escribiste "
            "respondiste contaste enseñaste recomiendas sugieres aconsejas propones"
        ),
        your="tu tus",
        yours="recomendación recomendaciones sugerencia sugerencias consejo consejos respuesta respuestas explicación "
        "propuesta opinión",
    )


def _french() -> _Language:
    return _language(
        you="tu vous t",
        said="dit recommandé suggéré conseillé proposé expliqué mentionné donné écrit répondu raconté",
        between="as avez m me nous déjà aussi avais aviez l en",
        alone="recommandes recommandez suggères suggérez conseilles conseillez",
        your="ta ton tes votre vos",
        yours="suggestion suggestions recommandation recommandations conseil conseils réponse réponses explication "
        "proposition avis",
    )


def _german() -> _Language:
    return _language(
        you="du",
        said=(
            "gesagt empfohlen vorgeschlagen geraten erklärt erwähnt gegeben geschrieben geantwortet erzählt "
            "genannt gezeigt"
        ),
        between=None,
        never="ich er wir wer kannst könntest würdest",
        alone="empfiehlst empfahlst sagtest",
        your="dein deine deinen deiner deinem",
        yours=(
            "vorschlag vorschläge empfehlung empfehlungen rat ratschlag antwort antworten erklärung tipp tipps meinung"
        ),
    )


#: The assistant's names. They count behind an article or as the first word, unless a word follows that makes a person.
_NAMES = word_set("assistant asistente assistent assistenten assistentin bot ki ai")
_ARTICLES = word_set("the this an el la l der dem den die con virtual virtuelle vom beim")
_ALWAYS_NAMES = frozenset(("chatbot", "chatgpt"))
_NO_ASSISTANT = word_set("professor manager coach director editor principal teacher to của")
_EAST_ASIAN = (
    "(?<![跟对對给給向和与與])[你您](?:之前|刚才|剛才|上次|曾经|曾經|都|已经|已經|也|曾|有|给我|給我|跟我|向我|对我|對我|当时|當時|昨天){0,3}"
    "(?:说|說|告诉|告訴|建议|建議|推荐|推薦|提到|提过|提過|讲|講|写|寫|介绍|介紹|回答|给的|給的|给我的|給我的|列)"
    "|[你您]的(?:建议|建議|推荐|推薦|回答|意见|意見|答案|回复|回覆)|(?<!我的)(?:助手|助理)|机器人|機器人"
    "|あなた[がはの].{0,12}?(?:言|勧|薦|提案|教え|推薦|説明|答え|アドバイス|おすすめ|回答|意見)"
    "|(?<![がは])(?:教えて|勧めて|薦めて|提案して|おすすめして|推薦して|言って|説明して|答えて)(?:くれた|くれました|くださった)"
    "|アシスタント|ボット"
)
#: How many words before the verb "you" may stand, and where the verb ends its clause.
_NEAR, _FAR = 4, 12


def asks_assistant(question: str) -> bool:
    """Whether the question asks for what the assistant said."""
    question = beginning(question)
    if east_asian.is_east_asian(question) and _east_asian().search(question):
        return True
    text = TimeText(question, joinable=())
    return any(
        _names_assistant(text, index, word) or _you_said(text, index, word) for index, word in enumerate(text.words)
    )


@cache
def _east_asian() -> re.Pattern[str]:
    return re.compile(_EAST_ASIAN)


@cache
def _by_word() -> dict[str, tuple[_Language, ...]]:
    """The languages in which a word may end an expression such as "you said"."""
    known: dict[str, tuple[_Language, ...]] = {}
    for language in _languages():
        for word in language.said | language.alone | (language.your if language.your_follows else language.yours):
            known[word] = (*known.get(word, ()), language)
    return known


def _names_assistant(text: TimeText, index: int, word: str) -> bool:
    if word in _ALWAYS_NAMES:
        return True
    before, after = text.word(index - 1), text.word(index + 1)
    if word in ("lý", "lí", "ly"):
        return before in ("trợ", "tro") and after not in _NO_ASSISTANT
    if word not in _NAMES or after in _NO_ASSISTANT or not (before in _ARTICLES or index == 0):
        return False
    # "ai" is also the Vietnamese "who".
    return word not in ("ai", "ki") or text.raw[index].isupper()


def _you_said(text: TimeText, index: int, word: str) -> bool:
    for language in _by_word().get(word, ()):
        if word in language.alone or (word in language.said and _you_before(text, index, language)):
            return True
        if language.your_follows:
            if (
                word in language.your
                and text.word(index - 1) in language.yours
                and text.word(index + 1) in language.you
            ):
                return True
        elif word in language.yours and text.word(index - 1) in language.your:
            return True
    return False


def _you_before(text: TimeText, index: int, language: _Language) -> bool:
    """Whether "you" stands before the verb at `index`, with nothing between that makes it another sentence."""
    far = _NEAR if language.between is not None else _FAR
    for place in range(index - 1, max(-1, index - 1 - far), -1):
        word = text.words[place]
        if word in language.you or (language.between is None and _is_polite_german(text, place)):
            return text.word(place - 1) not in language.never
        if word == CLAUSE_END or word in language.never:
            return False
        if language.between is not None and word not in language.between:
            return False
    return False


def _is_polite_german(text: TimeText, index: int) -> bool:
    """The "Sie" of "haben Sie"; without its capital it means "they"."""
    return text.words[index] == "sie" and text.capital(index) and text.word(index - 1) == "haben"
