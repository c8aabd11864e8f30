"""Generates texts for measurements: all different, in several languages; the same seed gives the same texts."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

__all__ = ["memories", "queries"]

_PEOPLE = ("Anna", "Bilal", "Chloé", "Diego", "Emre", "Freya", "Gustav", "Hoa", "Ines", "Jun", "Katja", "Linh", "Mateo")
_PLACES = ("Lisbon", "Đà Nẵng", "Graz", "Osaka", "Lyon", "Tallinn", "Quito", "Huế", "Leeds", "Porto", "Basel", "Hanoi")
_THINGS = {
    "en": (
        "a red bicycle",
        "the quarterly report",
        "a jazz record",
        "hiking boots",
        "the night train",
        "a ceramic mug",
    ),
    "vi": ("cà phê muối", "báo cáo quý", "xe đạp cũ", "vé tàu đêm", "áo mưa", "bánh mì chả"),
    "de": ("das alte Fahrrad", "den Quartalsbericht", "eine Wanderkarte", "den Nachtzug", "Roggenbrot", "eine Kamera"),
    "fr": ("un vélo rouge", "le rapport trimestriel", "des chaussures", "le train de nuit", "du pain", "une lampe"),
    "es": ("una bicicleta", "el informe trimestral", "unas botas", "el tren nocturno", "café solo", "una guitarra"),
}
_SAYINGS = {
    "en": (
        "{who} said that {thing} matters most this month, and that the meeting in {place} moves to day {day}.",
        "I told {who} about {thing}; the order number is {code} and it should arrive in {place} before day {day}.",
        "Please remember: {who} does not want {thing} any more since the trip to {place}.",
    ),
    "vi": (
        "{who} bảo mình nhớ mua {thing} trước khi đi {place} vào ngày {day}.",
        "Hôm nay mình kể với {who} về {thing}, mã đơn là {code}, giao tại {place}.",
        "{who} không thích {thing} nữa từ khi chuyển đến {place}.",
    ),
    "de": (
        "{who} braucht {thing} bis zum {day}. und trifft sich danach mit uns in {place}.",
        "Ich habe {who} von dem Auftrag {code} erzählt; es geht um {thing}, geliefert wird nach {place}.",
        "Seit {place} möchte {who} nichts mehr über {thing} hören.",
    ),
    "fr": (
        "{who} cherche {thing} pour le {day} et nous attend à {place}.",
        "J'ai parlé avec {who} de {thing}, la commande {code} part pour {place}.",
        "Depuis {place}, {who} préfère ne plus voir {thing}.",
    ),
    "es": (
        "{who} necesita {thing} antes del día {day} y vuelve a {place}.",
        "Le conté a {who} lo de {thing}; el pedido {code} llega a {place}.",
        "Desde {place}, {who} ya no quiere {thing}.",
    ),
}
_QUESTIONS = {
    "en": ("What did {who} say about {thing}?", "When is the meeting with {who} in {place}?", "order {code}"),
    "vi": ("{who} nói gì về {thing}?", "Khi nào {who} đi {place}?", "ma don {code}"),
    "de": ("Was braucht {who} in {place}?", "Wohin wird {thing} geliefert?", "Auftrag {code}"),
    "fr": ("Que cherche {who} à {place} ?", "Où part la commande {code} ?", "{who} et {thing}"),
    "es": ("¿Qué necesita {who} en {place}?", "¿Dónde llega el pedido {code}?", "{thing} de {who}"),
}
#: English is more frequent than the others, as it is among users of agents.
_LANGUAGES = ("en", "en", "en", "en", "vi", "vi", "de", "fr", "es", "en")


def memories(count: int, seed: int = 7) -> list[str]:
    """Return ``count`` different statements of one to three sentences."""
    chance = random.Random(seed)
    return [_statement(chance, place) for place in range(count)]


def queries(count: int, seed: int = 11) -> list[str]:
    """Return ``count`` questions about the statements of `memories`."""
    chance = random.Random(seed)
    return [_filled(chance, _QUESTIONS, number) for number in range(count)]


def _statement(chance: random.Random, number: int) -> str:
    sentences = [_filled(chance, _SAYINGS, number) for _ in range(chance.choice((1, 1, 1, 2, 3)))]
    return " ".join([*sentences, f"[{number}]"])


def _filled(chance: random.Random, patterns: Mapping[str, Sequence[str]], number: int) -> str:
    language = _LANGUAGES[number % len(_LANGUAGES)]
    return chance.choice(patterns[language]).format(
        who=chance.choice(_PEOPLE),
        thing=chance.choice(_THINGS[language]),
        place=chance.choice(_PLACES),
        day=chance.randint(1, 28),
        code=f"{chance.choice('ABCDEFGH')}{chance.randint(10_000, 99_999)}",
    )
