"""Which texts speak of a time, in seven languages, and which only look as if they did."""

from __future__ import annotations

import pytest

from forgetless.domain.time_words import has_time

TIMES = {
    "english": [
        "I saw her yesterday.",
        "We moved there last week",
        "The party is on Saturday!",
        "She left three years ago",
        "I have lived here since childhood",
        "They met in 2019.",
        "My birthday was lovely",
        "It opens in March",
        "Our trip is from May 3rd to May 9th",
        "on the 3rd of May we left",
        "Dr. Lee, 12-May-2023",
        "That was back in '98, I think",
        "We hiked for six days",
        "I get up at 6:30",
        "Call me at 5pm",
        "See you at 3 o'clock",
        "Recently I began to paint",
        "the week of Oct 4",
        "Last Sun we went sailing",
        "(2021)",
        "mid-2020 was hard",
    ],
    "vietnamese": [
        "Hôm qua tôi ăn phở.",
        "hom qua toi an pho",
        "Tuần trước em đi Đà Lạt",
        "Tôi sinh ngày 3 tháng 5",
        "năm 2023 tôi chuyển nhà",
        "Cách đây hai năm tôi học đàn",
        "Tôi gặp Mai vào thứ hai",
        "Chủ nhật nhà tôi đi chơi",
        "Tháng Giêng là tháng ăn chơi",
        "Sáng nay trời mưa",
        "3 ngày trước tôi bị ốm",
        "7 giờ tôi dậy",
        "Sinh nhật của mẹ",
        "năm ngoái tôi ở Huế",
        "cuối tuần tôi nghỉ",
        "mười ngày nữa tôi về",
    ],
    "spanish": [
        "Ayer comí paella.",
        "El lunes tengo clase",
        "Llegamos el 5 de mayo",
        "Hace tres días que llueve",
        "La semana pasada fui a Cádiz",
        "Nací en septiembre",
        "Mi cumpleaños es pronto",
        "el ano pasado",
    ],
    "french": [
        "Hier, nous avons mangé une tarte.",
        "Nous partons en août",
        "Le 3 mars, il est parti",
        "Il y a deux ans, je vivais à Lyon",
        "J'ai cours le mardi",
        "La semaine dernière j'étais malade",
        "Aujourd'hui il pleut",
    ],
    "german": [
        "Gestern war ich müde.",
        "Wir sehen uns am Mittwoch",
        "Im März ziehe ich um",
        "Vor drei Tagen kam ein Brief",
        "Letztes Jahr war besser",
        "am 08.05.2023 um zehn",
        "seit dem Umzug",
        "um 15 Uhr",
    ],
    "chinese": [
        "我昨天去了公园",
        "2023年5月8日出生",
        "上周我很忙",
        "三天前我见了她",
        "星期五开会",
        "５月我去北京",
        "三個月前",
    ],
    "japanese": [
        "昨日は寒かった",
        "先週、京都に行った",
        "月曜日に会議がある",
        "3日前に買った",
        "二〇二三年に引っ越した",
        "8月15日",
    ],
}
NO_TIMES = [
    "You may go now",
    "May I come in?",
    "You may first ask her",
    "It was the second march.",
    "They march 20 miles with heavy packs",
    "the march of the penguins",
    "It may 3D print parts",
    "The sun is hot, and I sat down",
    "I wed him and thu is no word",
    "decide, marvel, octopus, sunny, monkey, sepia, fright",
    "Upgrade to version 2.0.23 of the library, then 2023.1.2",
    "The order INV-2023-01 and the file report_2023_final.pdf",
    "It costs $2023 or 2023 dollars, or 2,023 or €1999",
    "Call 555-2023 or +84 90 2023 123",
    "I walked 2000 steps in room 2019",
    "The score was 3-1, about 1/2",
    "Mars is a planet, and I like mayo and Mars bars",
    "Mon chat dort, hier ist es warm und schön",
    "Tôi tên là Mai, đây là lần thứ hai tôi nói",
    "Người thứ ba là bạn tôi",
    "El mar es azul",
    "私は猫が好きです",
    "我喜欢猫",
    "one day trips are a joy",
    "192.168.1.20 and 10.0.0.1",
    "45:99 and 30/02/2023 and 13/13/2023",
    "",
]


@pytest.mark.parametrize("text", [text for texts in TIMES.values() for text in texts])
def test_a_text_speaks_of_a_time(text: str) -> None:
    assert has_time(text)


@pytest.mark.parametrize("text", NO_TIMES)
def test_a_text_only_looks_as_if_it_did(text: str) -> None:
    assert not has_time(text)


def test_only_the_beginning_of_a_text_counts() -> None:
    assert has_time("word " * 230 + "yesterday")
    assert not has_time("word " * 240 + "yesterday")


@pytest.mark.parametrize(
    "piece",
    ["1-", "2023", "may ", "-", "9", "thứ ", "tháng 5 ", "年", "一", "'2", "last ", "3 of ", "…", "\u0301", "a.1/"],
)
def test_a_long_text_of_one_kind_is_read(piece: str) -> None:
    # The suite's time limit would end a run that takes quadratic time over these texts.
    assert has_time(piece * 60_000) in (True, False)
