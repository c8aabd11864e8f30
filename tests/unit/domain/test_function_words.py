"""A question that shares only function words with a memory finds nothing by its words; one content word finds it."""

from __future__ import annotations

import pytest

from forgetless.domain.said import Said
from forgetless.domain.sparse_words import inner_product, query_vector, row_vector_and_mass

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
#: The same. These were written after the lists of function words.
WRITTEN_LATER = {
    "English": [
        ("Have you ever been anywhere else?", "They have never been anywhere else."),
        ("Whose idea was it, and how did it go for us?", "It was theirs, and so did the others for us."),
        ("Could you please say what I should've done?", "You should've had some, please."),
        ("What would have happened if I hadn't been there?", "She would've come if he hadn't been so late, there."),
        ("Tell me about the things that I do every day", "The rain fell about every hour, that I do remember, me too"),
        ("Is there something between him and her?", "There is a wall between him and her garden"),
        ("How long has she been with us?", "How big has it been with us"),
        ("Do u know whats up?", "whats up with ur dog"),
        (
            "What should I have been wearing, and why didn't anyone say so?",
            "Why didn't anyone feed so much as one goldfish, I should add",
        ),
        ("Which of her two brothers was he with?", "He was with a plumber, which of her was odd"),
        ("Whatever became of those who were here before us?", "Those who were here before us left"),
        ("When can we have some more of it?", "We can have pizza when it rains"),
        ("Has she ever been told about this by him?", "She has ever so many shoes, by him"),
    ],
    "Vietnamese": [
        ("Mẹ tôi đã từng ở đâu trước khi lấy bố?", "Tôi đã từng ở Đà Lạt trước khi dịch bệnh."),
        ("Tại sao nó lại không được như vậy nữa?", "Tại sao nó lại như vậy nữa, không được đâu."),
        ("Ai sẽ là người cùng tôi đến đó?", "Cô giáo sẽ cùng tôi đến đó."),
        ("Ngoài ra thì còn những cái nào nữa?", "Ngoài ra còn những bức tranh nữa."),
        ("Làm thế nào để em có thể về được?", "Làm thế nào để chị có thể giảm cân được?"),
        ("Em nên mặc gì vào ngày mai?", "Em nên nấu gì bây giờ?"),
        ("Bao giờ thì mọi người mới xong ạ?", "Bao giờ mưa thì mọi người mới vui ạ"),
        ("Chúng mình còn phải đi đâu nữa không?", "Chúng mình còn phải giặt chăn nữa."),
        ("Cái này có phải là của chị ấy không?", "Cái này có phải là của ngân hàng không?"),
        ("Sao bạn lại không muốn cho tôi vào?", "Sao nó lại không cho tôi thuốc vào?"),
        ("Anh ta đã làm những gì trong lúc đó?", "Anh ta đã làm cháy nồi trong lúc đó."),
        ("Nếu được thì bạn sẽ chọn ai?", "Nếu được thì bạn sẽ ngủ."),
    ],
    "Spanish": [
        ("¿De quién es esta mochila?", "De quién es esta idea, no lo entiendo."),
        ("¿Cuántas personas había en la reunión?", "¡Cuántas flores había en la plaza!"),
        ("¿Adónde nos vamos a ir después?", "Nos vamos a ir después de cenar."),
        ("¿Alguna vez has estado allí con alguien?", "Has estado allí con alguien muy amable."),
        ("¿Me puedes decir si todavía lo tienes?", "Todavía me puedes ayudar si lo tienes."),
        ("¿Para qué sirve esto?", "Para qué hiciste esto"),
        ("¿Tienes algo que hacer hoy por la noche?", "Tienes algo que hacer con esa puerta, por favor"),
        ("No sé si estará él", "Si él no estará, sé feliz"),
        ("¿Por qué no nos lo habías contado?", "Por qué no nos lo habías vendido"),
        ("¿Con quiénes os vais a ir este verano?", "Con quiénes os vais a casar este lunes"),
        ("¿Cuáles de ellas son las tuyas?", "Cuáles de ellas son rusas"),
        ("¿Hay alguna otra manera de hacerlo?", "Hay alguna otra nube"),
        ("¿Desde cuándo estáis aquí sin mí?", "Desde cuándo estáis aquí sin luz"),
    ],
    "French": [
        ("Est-ce que tu peux me dire où elle habite ?", "Est-ce que tu peux me prêter un stylo, où est-elle ?"),
        ("À qui est-ce que ça appartient ?", "À qui est-ce que ça plaît ?"),
        ("Qu'est-ce que vous avez fait hier ?", "Qu'est-ce que vous avez là ? Nous avons faim."),
        ("Y a-t-il quelque chose que je devrais savoir ?", "Y a-t-il quelqu'un que je devrais voir ?"),
        ("Depuis combien de temps es-tu là ?", "Depuis combien d'heures es-tu là ?"),
        ("Lequel de ces films as-tu préféré ?", "Lequel de ces plats as-tu choisi ?"),
        ("Pour quelles raisons n'y va-t-elle plus ?", "Elle n'y va plus pour son dos."),
        ("Comment s'appelle sa soeur ?", "Comment s'habille-t-il ?"),
        ("N'y a-t-il donc personne qui puisse nous aider ?", "N'y a-t-il donc personne qui puisse chanter pour nous ?"),
        ("Que feras-tu quand tu seras là-bas ?", "Quand tu seras là, que feras-tu de la cage ?"),
        ("Avec laquelle d'entre elles êtes-vous venus ?", "Avec laquelle d'entre elles êtes-vous fâchés ?"),
        ("Est-ce que ce sont les leurs ou les nôtres ?", "Ce sont les leurs ou les bleues"),
        ("Où serait-il allé sans toi ?", "Sans toi, où serait la clef ?"),
    ],
    "German": [
        ("Hast du schon einmal etwas davon gehabt?", "Ich habe schon einmal etwas davon gegessen."),
        ("Mit wem bist du da gewesen?", "Mit wem warst du da?"),
        ("Seit wann ist er nicht mehr bei euch?", "Er ist seit Montag nicht mehr bei euch."),
        ("Könnten Sie mir bitte sagen, wie das geht?", "Könnten Sie mir bitte helfen, wie er will?"),
        ("Woran liegt es, dass ich das nicht kann?", "Ich kann das nicht, dass es regnet."),
        ("Wessen Jacke hängt dort hinter der Tür?", "Dort hinter der Mauer."),
        ("Wie heißt ihr Hund?", "Wie spät ist es, ihr Lieben?"),
        ("Gibt es noch jemanden, der mitkommen würde?", "Es gibt noch jemanden, der würde."),
        ("Wofür würdest du dich denn entscheiden?", "Wofür würdest du dich denn schämen?"),
        ("Was wäre, wenn ihr uns nicht gehabt hättet?", "Was wäre, wenn ihr uns nicht gerettet hättet?"),
        ("Zu welchem von beiden gehört dieses hier?", "Zu welchem von beiden passt dieses hier?"),
        ("Darf man da überhaupt noch rein?", "Darf man da noch rauchen?"),
        ("Um wie viel Uhr müssen wir los?", "Um wie viel Grad müssen wir heizen?"),
    ],
    "Chinese": [
        ("她现在在哪里工作？", "他现在在哪里？"),
        ("这些都是谁给你的？", "这些都是我给你的。"),
        ("为什么我们不能一起去？", "我们不能一起吗？"),
        ("他们是怎么过来的呢？", "他们是怎么做的呢？"),
        ("有没有什么我应该做的？", "有没有什么吃的？"),
        ("你还有几个？", "你还有钱吗？"),
        ("請問您是哪位？", "請問這是什麼？"),
        ("那个时候她多大了？", "那个时候还没有网络。"),
        ("你的生日是几月几号？", "你的手机在桌子上。"),
        ("你们是从哪里知道这件事的？", "你们是从哪里借的？"),
        ("如果没有他，我们会怎么样？", "如果没有雨，我们会晒黑。"),
        ("她为什么不让我跟你说话？", "她为什么不让我跟你跳舞？"),
        ("这个和那个有什么不一样的地方？", "这个和那个有什么价值？"),
        ("您能把它给我吗？", "您能把窗户给我关了吗？"),
    ],
    "Japanese": [
        ("あなたは何をしていますか？", "あなたは何が好きですか"),
        ("彼女はいつからそこにいるのですか？", "彼女はいつからそこで働いているのですか"),
        ("どうしてそれができなかったの？", "どうしてそれが怖いの"),
        ("誰が何のためにそうしたのでしょうか？", "誰が何のために来たのでしょうか"),
        ("私たちはどこへ行けばいいですか？", "私たちはどこへ逃げればいいですか"),
        ("彼はどのくらいここにいましたか", "彼はどのくらい背が高いですか"),
        ("わたしのあにはどこにいますか", "わたしのいぬはどこにいますか"),
        ("何が欲しいですか", "何が起きたのですか"),
        ("あの人は誰ですか", "あの山は高いですか"),
        ("それについてはもう誰かに聞きましたか？", "それについてはもう誰かに頼みましたか？"),
        ("どうすればそこまで歩けますか？", "どうすればそこまで泳げますか？"),
        ("あなたのお母さんはどこの出身ですか？", "あなたのかばんはどこのですか？"),
        ("これより大きいのはありませんか？", "これより安いのはありませんか？"),
        ("彼らはなぜここに来たのでしょう？", "彼らはなぜここで踊ったのでしょう？"),
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
    found = inner_product(query_vector(question), row_vector_and_mass(Said(memory), [], None, names=())[0])
    return found / (found + 10)


@pytest.mark.parametrize(
    ("question", "memory"),
    [pair for cases in (FUNCTION_WORDS_ONLY, WRITTEN_LATER) for pairs in cases.values() for pair in pairs],
    ids=str,
)
def test_function_words_alone_find_nothing(question: str, memory: str) -> None:
    assert _word_part(question, memory) < 0.05


@pytest.mark.parametrize(
    ("question", "memory"), [pair for pairs in ONE_CONTENT_WORD.values() for pair in pairs], ids=str
)
def test_one_content_word_finds_the_memory(question: str, memory: str) -> None:
    assert _word_part(question, memory) > 0.15
