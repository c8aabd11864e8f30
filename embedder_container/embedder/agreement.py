"""Measures how well a quantised graph agrees with the original one, on fixed texts of several languages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .errors import PrepareError
from .model import Runner

__all__ = ["TEXTS", "Agreement", "agreement_of", "embed_texts", "require_agreement"]

#: Short and long, ordinary and unusual texts in many languages and scripts.
TEXTS = (
    "I moved to Lisbon in March and work from home now.",
    "She is allergic to peanuts and shellfish.",
    "Remind me to call the dentist on Thursday at 3 pm.",
    "order number INV-2024-00817, tracking 1Z999AA10123456784",
    "What did we decide about the database migration?",
    "yes",
    "ok, thanks!",
    "The quick brown fox jumps over the lazy dog.",
    "My favourite coffee is a flat white with oat milk.",
    "def add(a, b):\n    return a + b",
    "He plays chess every Sunday with his grandfather in the park near the old railway station.",
    "The meeting is postponed until the new budget has been approved by the board of directors, which will "
    "probably not happen before the end of the quarter because two members are travelling.",
    "Tôi thích uống cà phê sữa đá vào buổi sáng.",
    "Hà Nội là thủ đô của Việt Nam.",
    "Chị ấy đã chuyển sang làm việc tại Đà Nẵng từ tháng trước.",
    "toi khong an duoc hai san",
    "Con mèo nhà tôi tên là Mướp, rất thích ngủ trên ghế sofa cạnh cửa sổ.",
    "Je préfère le train à l'avion pour aller à Marseille.",
    "Mi hermana vive en Buenos Aires desde hace cinco años.",
    "Ich habe am Freitag einen Termin beim Zahnarzt.",
    "Gostaria de reservar uma mesa para quatro pessoas.",
    "Preferisco le vacanze in montagna a quelle al mare.",
    "Mijn fiets is gestolen bij het station.",
    "Jutro lecę do Krakowa na konferencję.",
    "Завтра у меня день рождения.",
    "Я люблю читати книжки українською мовою.",
    "私は毎朝六時に起きます。",
    "我最喜欢的城市是成都，因为那里的食物很好吃。",
    "저는 주말마다 등산을 갑니다.",
    "أحب القهوة بدون سكر",
    "मुझे बारिश का मौसम पसंद है।",
    "ฉันชอบกินข้าวผัดกะเพรา",
    "Kahvemi şekersiz içerim.",
    "Αύριο έχω συνάντηση με τον δικηγόρο.",
    "🎉🎂 happy birthday!!! 🥳",
    "https://example.com/path?query=1&other=two",
    "SELECT name FROM users WHERE id = 42;",
    "3.14159 26535 89793",
    "naïve café résumé coöperate",
    "   leading and trailing spaces   ",
)


@dataclass(frozen=True, slots=True)
class Agreement:
    """Cosine between the vectors of two graphs over the same texts."""

    lowest: float
    mean: float


def embed_texts(model: Runner, tasks: Sequence[str] = (), texts: Sequence[str] = TEXTS) -> NDArray[np.float32]:
    """Compute the texts one by one for each task, so that padding does not contribute to a difference."""
    rows = [model.tokenize([text]) for text in texts]
    return np.concatenate([model.run(row, task) for task in tasks or ("",) for row in rows])


def agreement_of(original: NDArray[np.float32], quantised: NDArray[np.float32]) -> Agreement:
    """Compare two graphs' vectors of the same texts."""
    cosines = np.sum(original * quantised, axis=1)
    return Agreement(lowest=float(cosines.min()), mean=float(cosines.mean()))


def require_agreement(agreement: Agreement, *, lowest: float, mean: float) -> None:
    """Raise PrepareError when the agreement of the quantised graph is below the bounds of its model."""
    if agreement.lowest < lowest or agreement.mean < mean:
        raise PrepareError(
            f"the quantised model disagrees with the original: cosine min {agreement.lowest:.4f}, mean "
            f"{agreement.mean:.4f}, required {lowest} and {mean}; use --quantize none"
        )
