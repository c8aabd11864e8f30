"""Which questions ask for what the assistant said, in seven languages."""

from __future__ import annotations

import pytest

from forgetless.domain.addressed_assistant import asks_assistant

ASSISTANT = [
    "What did you recommend for dinner?",
    "Which hotel did you suggest to me?",
    "What was the recipe you gave me?",
    "You told me about a book. Which one?",
    "You've already mentioned a museum, which?",
    "What was your advice about sleep?",
    "What do you suggest?",
    "What did the assistant say about Rome?",
    "What did the AI answer?",
    "Which plan did the bot propose?",
    "Chatbot answers about tax",
    "Bạn đã gợi ý quán nào?",
    "Bạn nói gì về Đà Lạt?",
    "ban da goi y quan nao",
    "Lời khuyên của bạn là gì?",
    "Trợ lý đã trả lời thế nào?",
    "¿Qué me recomendaste?",
    "¿Qué me has dicho de Roma?",
    "¿Cuál fue tu consejo?",
    "¿Qué dijo el asistente?",
    "Qu'est-ce que tu m'as conseillé ?",
    "Quel hôtel m'avez-vous recommandé ?",
    "Quelle était ta suggestion ?",
    "Qu'a dit l'assistant ?",
    "Was hast du mir über Italien gesagt?",
    "Welches Buch hast du empfohlen?",
    "Welches Hotel haben Sie mir empfohlen?",
    "Was war dein Vorschlag?",
    "Was sagte der Assistent?",
    "你推荐了哪家餐厅？",
    "您之前给我的建议是什么？",
    "助手说了什么？",
    "あなたが勧めた本は何ですか？",
    "教えてくれたレシピは？",
    "アシスタントは何と言った？",
]
USER = [
    "Where do I live?",
    "Do you remember what I said about Rome?",
    "Do you know who told me about the book?",
    "What did I tell you about my mother?",
    "Can you tell me when I moved?",
    "Could you recommend a hotel?",
    "What did my sister suggest?",
    "Who is the assistant manager?",
    "Who is my assistant?",
    "Who told you that I moved?",
    "Thank you. What did Anna say?",
    "Is your cat black?",
    "Bạn có nhớ tôi nói gì không?",
    "Bạn tôi nói gì?",
    "Bạn có thể cho tôi biết tôi sống ở đâu?",
    "Con ai học giỏi?",
    "¿Te acuerdas de lo que dije?",
    "¿Qué recomendó mi madre?",
    "Tu te souviens de ce que j'ai dit ?",
    "Peux-tu me dire où j'habite ?",
    "Qu'est-ce que ma mère a dit ?",
    "Hast du gehört, was ich gesagt habe?",
    "Was haben sie mir gesagt?",
    "Kannst du mir sagen, wo ich wohne?",
    "你还记得我说了什么吗？",
    "我告诉你我住在哪里了吗？",
    "母が教えてくれたレシピは？",
    "私が言ったことを覚えていますか？",
    "",
]


@pytest.mark.parametrize("question", ASSISTANT)
def test_a_question_for_what_the_assistant_said(question: str) -> None:
    assert asks_assistant(question)


@pytest.mark.parametrize("question", USER)
def test_a_question_for_something_else(question: str) -> None:
    assert not asks_assistant(question)
