"""A question that shares only function words with a memory finds nothing by its words; one content word finds it."""

from __future__ import annotations

import pytest

from forgetless.domain.said import Said
from forgetless.domain.sparse_words import inner_product, query_vector, row_vector

#: Question and memory: by language, pairs that share function words only.
FUNCTION_WORDS_ONLY = {
    "English": [
        (
            "What is it that you have never been able to do with them?",
            "I have been there with all of them, and it is ours.",
        ),
        ("Where did he put the keys that were on the table?", "She did say that the train to Rome was on time."),
        ("Who was with her when she moved?", "He was with her brother when the music stopped."),
        ("Can you tell me how many of these I should buy?", "You should never eat too many of these if I can help."),
        ("Isn't there anything else that they'd like?", "There isn't anybody else who they'd trust."),
        ("Why do they not have any of their own?", "They do have some of their own, why not?"),
    ],
    "Vietnamese": [
        ("Bạn có biết ai là người đã ở đây không?", "Tôi không có gì là của bạn ở đây, và đã như thế."),
        ("Con mèo của tôi tên là gì?", "Anh ấy là bác sĩ của một bệnh viện lớn."),
        ("Khi nào thì chúng tôi sẽ được nghỉ phép?", "Chúng tôi sẽ thì thầm khi được yêu cầu."),
        ("Vì sao cô ấy lại bán chiếc xe đó?", "Cô ấy lại quên mang theo ví vì vội."),
        ("Những cuốn sách này là của ai vậy?", "Những bông hoa này là của mẹ."),
        ("Hôm qua anh đã ăn gì với các bạn ấy?", "Anh đã gặp các bạn ấy ở Huế."),
    ],
    "unaccented Vietnamese": [
        ("Con meo cua toi ten la gi?", "Anh ay la bac si cua mot benh vien lon."),
        ("Khi nao thi chung toi se duoc nghi phep?", "Chung toi se gap ong ay khi duoc goi."),
    ],
    "Spanish": [
        ("¿Dónde está el libro que me dio mi hermana?", "El coche de mi vecino está en el garaje donde lo dejó."),
        ("¿Cuándo fue la última vez que él estuvo con ella?", "Él estuvo con ella en la fiesta, que fue muy larga."),
        ("¿Qué es lo que no puede comer?", "Lo que no puede es nadar."),
        ("¿Por qué se fueron de su casa tan pronto?", "Se fueron por el puente de su pueblo."),
        ("¿Quiénes son los que han hecho todo esto?", "Los que son de aquí han visto todo esto."),
        ("¿Cómo se llama su perro?", "Como es tarde, se va a su oficina."),
    ],
    "French": [
        ("Où est-ce que tu as acheté la voiture ?", "Tu as dit que la réunion est ici, où tu veux."),
        ("Qu'est-ce qu'il a fait avec son vélo ?", "Il a mangé avec son chef, et c'est ce qu'il a fait."),
        ("Quel est le nom de mon chat ?", "Mon frère est le plus grand de la classe."),
        ("Pourquoi n'ont-ils pas pu venir chez nous ?", "Ils n'ont pas pu dormir chez eux."),
        ("Quand est-ce que nous partons en vacances ?", "Nous sommes en retard quand il pleut."),
        ("Car il n'y a que cela, comment était-il ?", "Il y a des pommes, car il n'était pas seul, comme cela."),
    ],
    "German": [
        ("Wo hat er das Fahrrad gekauft?", "Er hat das Konzert verpasst, wo die anderen waren."),
        ("Wann war die letzte Prüfung von ihr?", "Die Suppe von ihr war kalt."),
        ("Was macht sie, wenn es regnet?", "Sie macht, was sie will, wenn es geht."),
        ("Wer ist mit dir in den Park gegangen?", "Mit dir ist es in den Bergen schön, wer auch immer will."),
        ("Welche von diesen sind die besten für mich?", "Von diesen sind einige für mich zu teuer."),
        ("Warum haben sie das nicht gesagt?", "Sie haben das Haus nicht verkauft."),
    ],
    "Chinese": [
        ("你最喜欢的颜色是什么？", "这是我的钥匙，那是什么？"),
        ("他为什么没有去学校？", "我没有猫，为什么？"),
        ("她是在哪里买的这个？", "他是在哪里出生的？"),
        ("你们什么时候去北京？", "什么时候都可以。"),
        ("我可以和谁一起吃饭？", "我和他都可以。"),
        ("這是誰的書？", "這是我的錢。"),
    ],
    "Japanese": [
        ("私の猫の名前は何ですか？", "私は東京に住んでいます。"),
        ("彼はどこで働いていますか？", "彼は寿司を食べていました。"),
        ("いつ京都に行きましたか？", "本を読みました。"),
        ("誰と一緒に映画を見ましたか？", "誰とでも話しました。"),
        ("それはどんな本でしたか？", "それはとても高い山でした。"),
        ("なぜ彼女は来なかったのですか？", "彼女は怒っていなかったのです。"),
    ],
}
#: Question and memory: pairs that share one content word, beside function words.
ONE_CONTENT_WORD = {
    "English": [
        ("What does she think of pottery?", "I signed up for a pottery class."),
        ("What car does he have?", "The car is red."),
        ("Who is his son?", "My son plays the cello."),
        ("Where was the man who fought in the war?", "We read about the war."),
        ("Did the plant die?", "The fish will die without water."),
    ],
    "Vietnamese": [
        ("Bạn thích uống gì?", "Tôi uống trà mỗi sáng."),
        ("Con mèo của tôi tên là gì?", "Nhà tôi có một con mèo."),
        ("toi an pho o dau?", "Tôi hay ăn phở."),
    ],
    "Spanish": [
        ("¿Dónde está mi bicicleta?", "Compré una bicicleta."),
        ("¿Cuál es su teléfono?", "El telefono no funciona."),
    ],
    "French": [("Où est ma guitare ?", "Il joue de la guitare."), ("Qui est son élève ?", "Cet eleve est absent.")],
    "German": [("Wo ist mein Fahrrad?", "Das Fahrrad ist blau."), ("Was kostet die Tür?", "Diese Tür klemmt.")],
    "Chinese": [("你喜欢喝咖啡吗？", "他的咖啡很苦。"), ("他喜欢喝什么茶？", "我每天喝绿茶。")],
    "Japanese": [("寿司は好きですか？", "昨日、寿司を頼んだ。"), ("コーヒーを飲みますか？", "苦いコーヒーだ。")],
}


def _word_part(question: str, memory: str) -> float:
    found = inner_product(query_vector(question), row_vector(Said(memory), [], None, names=()))
    return found / (found + 10)


@pytest.mark.parametrize(
    ("question", "memory"), [pair for pairs in FUNCTION_WORDS_ONLY.values() for pair in pairs], ids=str
)
def test_function_words_alone_find_nothing(question: str, memory: str) -> None:
    assert _word_part(question, memory) < 0.05


@pytest.mark.parametrize(
    ("question", "memory"), [pair for pairs in ONE_CONTENT_WORD.values() for pair in pairs], ids=str
)
def test_one_content_word_finds_the_memory(question: str, memory: str) -> None:
    assert _word_part(question, memory) > 0.15
