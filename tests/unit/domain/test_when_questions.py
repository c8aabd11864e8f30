"""Which questions ask when, in seven languages."""

from __future__ import annotations

import pytest

from forgetless.domain.when_questions import asks_when

ASKING = [
    "When did Caroline join the club?",
    "when's the dentist",
    "When exactly was the concert?",
    "When the band has played in Huế?",
    "Tell me when I moved.",
    "Do you remember when I moved?",
    "And the wedding was when?",
    "Since when do I have a dog?",
    "Which year did we meet?",
    "In what month is the exam?",
    "What time is my flight?",
    "How long have I lived here?",
    "How many weeks was I ill?",
    "What is the date of the exam?",
    "What day is the party?",
    "Khi nào tôi đi Huế?",
    "Tôi đi Huế khi nào",
    "Bao giờ thì họp?",
    "Lúc nào tôi rảnh?",
    "Tôi cưới ngày nào?",
    "toi cuoi ngay nao",
    "Mấy giờ bay?",
    "Hôm nay là thứ mấy?",
    "Tôi sống ở đây bao lâu rồi?",
    "Tôi sinh năm bao nhiêu?",
    "¿Cuándo fue la boda?",
    "cuando fue la boda",
    "¿En qué año nací?",
    "¿Cuánto tiempo viví allí?",
    "¿Qué día es el examen?",
    "Quand est-ce que je pars ?",
    "Quand Marie est-elle arrivée ?",
    "Le mariage, c'est quand ?",
    "Depuis quand ai-je un chien ?",
    "En quelle année suis-je né ?",
    "Wann war die Hochzeit?",
    "Seit wann habe ich einen Hund?",
    "An welchem Tag ist die Prüfung?",
    "Wie lange war ich krank?",
    "Um wie viel Uhr fliege ich?",
    "我什么时候搬家的？",
    "考試是幾號？",
    "我住了多久？",
    "いつ引っ越しましたか？",
    "会議は何曜日ですか？",
    "何時に起きますか",
]
NOT_ASKING = [
    "When I was in Paris, what did I eat?",
    "When I was in Paris what did I eat?",
    "When I was in Paris.",
    "What do I do when it rains?",
    "Who whens?",
    "Where do I live?",
    "Which dog is mine?",
    "How tall am I?",
    "Tôi chưa bao giờ ăn gì?",
    "Tôi không bao giờ ăn gì?",
    "Lúc nào cũng vui là ai?",
    "Bất cứ khi nào tôi buồn thì tôi làm gì?",
    "Quand je suis parti, qu'ai-je oublié ?",
    "¿Qué hago cuando llueve?",
    "Wo wohne ich?",
    "我住在哪里？",
    "いつもの店はどこ？",
    "いつか行きたい国は？",
    "",
]


@pytest.mark.parametrize("question", ASKING)
def test_a_question_asks_when(question: str) -> None:
    assert asks_when(question)


@pytest.mark.parametrize("question", NOT_ASKING)
def test_a_question_asks_something_else(question: str) -> None:
    assert not asks_when(question)
