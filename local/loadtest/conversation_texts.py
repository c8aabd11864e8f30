"""Generates turns and questions of chats with an assistant, in six languages, as long as those of LoCoMo."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

__all__ = ["LANGUAGES", "question", "turn"]

#: The languages to draw from; English is the most frequent, as among users of agents.
LANGUAGES = ("en", "en", "en", "en", "vi", "vi", "de", "fr", "es", "pt")

_PEOPLE = ("Ana", "Bảo", "Clara", "Dmitri", "Elif", "Fatou", "Giang", "Henrik", "Ivo", "Julie", "Kenji", "Lan", "Marta")
_PLACES = ("Lisbon", "Hội An", "Graz", "Osaka", "Lyon", "Tallinn", "Quito", "Huế", "Leeds", "Porto", "Basel", "Oslo")
_THINGS: Mapping[str, Sequence[str]] = {
    "en": ("the pottery class", "my old bicycle", "the grant proposal", "our garden", "the choir", "a job interview"),
    "vi": ("lớp làm gốm", "chiếc xe đạp cũ", "bản kế hoạch", "khu vườn", "dàn hợp xướng", "buổi phỏng vấn"),
    "de": ("den Töpferkurs", "mein altes Rad", "den Antrag", "unseren Garten", "den Chor", "ein Vorstellungsgespräch"),
    "fr": ("le cours de poterie", "mon vieux vélo", "le dossier", "notre jardin", "la chorale", "un entretien"),
    "es": ("la clase de cerámica", "mi vieja bici", "la solicitud", "nuestro huerto", "el coro", "una entrevista"),
    "pt": ("a aula de cerâmica", "a minha bicicleta", "a proposta", "a nossa horta", "o coro", "uma entrevista"),
}
_SENTENCES: Mapping[str, Sequence[str]] = {
    "en": (
        "I talked with {who} about {thing} yesterday, and we both felt it was time to decide.",
        "Guess what, {who} is moving to {place} on the {day}th and wants me to visit.",
        "Honestly, {thing} has kept me awake for {number} nights now.",
        "We spent the weekend in {place}, it rained the whole time but the food made up for it.",
        "My doctor says I should walk more, so I get off {number} stops early on my way home.",
        "The booking for {place} is {code}, please keep that somewhere safe for me.",
        "{who} gave me a book about birds, and I have been reading a chapter every evening since.",
        "No more coffee after three for me; {who} and I made a bet about it.",
    ),
    "vi": (
        "Hôm qua mình nói chuyện với {who} về {thing}, cả hai đều thấy đã đến lúc quyết định.",
        "{who} sẽ chuyển đến {place} vào ngày {day} và rủ mình ghé chơi.",
        "Thật lòng thì {thing} làm mình mất ngủ {number} đêm rồi.",
        "Cuối tuần vừa rồi tụi mình ở {place}, mưa suốt nhưng đồ ăn ngon.",
        "Mã đặt phòng ở {place} là {code}, nhớ giữ giúp mình nhé.",
        "{who} tặng mình một cuốn sách về các loài chim, tối nào mình cũng đọc.",
    ),
    "de": (
        "Gestern habe ich mit {who} über {thing} gesprochen, und wir wollen uns bald entscheiden.",
        "{who} zieht am {day}. nach {place} und möchte, dass ich zu Besuch komme.",
        "Ehrlich gesagt hält mich {thing} seit {number} Nächten wach.",
        "Wir waren am Wochenende in {place}; es hat nur geregnet, aber das Essen war gut.",
        "Die Buchung für {place} ist {code}, heb sie bitte für mich auf.",
    ),
    "fr": (
        "Hier, j'ai parlé avec {who} pour savoir quoi faire avec {thing}, et il faut se décider.",
        "{who} déménage à {place} le {day} et m'invite à passer.",
        "Franchement, {thing} m'empêche de dormir depuis {number} nuits.",
        "Nous avons passé le week-end à {place} sous la pluie, mais on a très bien mangé.",
        "La réservation pour {place} est {code}, garde-la bien pour moi.",
    ),
    "es": (
        "Ayer hablé con {who} sobre {thing} y los dos creemos que toca decidir.",
        "{who} se muda a {place} el día {day} y quiere que vaya a verle.",
        "La verdad, {thing} me quita el sueño desde hace {number} noches.",
        "Pasamos el fin de semana en {place}, llovió sin parar, pero comimos de maravilla.",
        "La reserva de {place} es {code}, guárdala bien, por favor.",
    ),
    "pt": (
        "Ontem falei com {who} sobre {thing} e os dois achamos que é hora de decidir.",
        "{who} muda-se para {place} no dia {day} e quer que eu vá visitar.",
        "Sinceramente, {thing} tira-me o sono há {number} noites.",
        "Passámos o fim de semana em {place}, choveu sempre, mas comemos muito bem.",
        "A reserva para {place} é {code}, guarda-a bem para mim.",
    ),
}
_QUESTIONS: Mapping[str, Sequence[str]] = {
    "en": (
        "When does {who} move to {place}?",
        "What did {who} say about {thing}?",
        "booking {code}",
        "What about rain?",
    ),
    "vi": ("Khi nào {who} chuyển đến {place}?", "{who} nói gì về {thing}?", "ma dat phong {code}"),
    "de": ("Wann zieht {who} nach {place}?", "Was hält mich nachts wach?", "Buchung {code}"),
    "fr": ("Quand {who} déménage à {place} ?", "Que faire avec {thing} ?", "réservation {code}"),
    "es": ("¿Cuándo se muda {who} a {place}?", "¿Qué dijo {who} sobre {thing}?", "reserva {code}"),
    "pt": ("Quando é que {who} se muda para {place}?", "O que disse {who} sobre {thing}?", "reserva {code}"),
}
#: Sentences of a turn; with the sentences above a turn has about 140 characters in the mean and 370 at most.
_LENGTHS = (1, 1, 1, 2, 2, 3, 4)


def turn(chance: random.Random, language: str) -> str:
    """Return a turn of one to four different sentences, with a time stamp, so that no two turns are the same."""
    at = f"[{chance.randint(1, 28):02}/{chance.randint(1, 12):02} {chance.randrange(24):02}:{chance.randrange(60):02}]"
    patterns = chance.sample(_SENTENCES[language], min(chance.choice(_LENGTHS), len(_SENTENCES[language])))
    return " ".join([at, *(_filled(chance, pattern, language) for pattern in patterns)])


def question(chance: random.Random, language: str) -> str:
    """Return a question."""
    return _filled(chance, chance.choice(_QUESTIONS[language]), language)


def _filled(chance: random.Random, pattern: str, language: str) -> str:
    return pattern.format(
        who=chance.choice(_PEOPLE),
        thing=chance.choice(_THINGS[language]),
        place=chance.choice(_PLACES),
        day=chance.randint(4, 28),
        number=chance.randint(2, 12),
        code=f"{chance.choice('BCDFGH')}{chance.randint(10_000, 99_999)}",
    )
