"""The dates that questions name, and the value of a memory by its day."""

from __future__ import annotations

from datetime import date

import pytest

from forgetless.domain.question_dates import asked_dates, best_fit, day_number

#: A Saturday.
REFERENCE = date(2026, 11, 28)

#: A question, and days with their values.
QUESTIONS: list[tuple[str, dict[str, float]]] = [
    (
        "What happened on May 8, 2023?",
        {"2023-05-08": 1, "2023-05-15": 1, "2023-05-16": 0, "2023-05-07": 0, "2022-05-08": 0},
    ),
    ("Where was I on 2023-05-08?", {"2023-05-08": 1, "2023-05-07": 0}),
    ("Where was I on 08.05.2023?", {"2023-05-08": 1, "2023-08-05": 0}),
    ("Where was I on 8/5/2023?", {"2023-05-08": 0.7, "2023-08-05": 0.7, "2023-08-12": 0.7, "2023-06-01": 0}),
    ("Where was I on 25/5/2023?", {"2023-05-25": 1}),
    ("Where was I on 5/25/2023?", {"2023-05-25": 1}),
    ("Where was I on 5/5/2023?", {"2023-05-05": 1}),
    ("Who came on the 3rd of May, 2024?", {"2024-05-03": 1}),
    ("Who came May 3-5, 2024?", {"2024-05-03": 1, "2024-05-05": 1, "2024-05-12": 1, "2024-05-13": 0}),
    ("Who came on 12-May-2023?", {"2023-05-12": 1}),
    ("What did I paint in May 2023?", {"2023-05-01": 0.7, "2023-05-31": 0.7, "2023-06-01": 0}),
    ("What did I paint in 2023-05?", {"2023-05-31": 0.7, "2023-04-30": 0}),
    ("What did I paint in 2023?", {"2023-01-01": 0.3, "2023-12-31": 0.3, "2024-01-01": 0}),
    ("What did I paint in May?", {"2026-05-31": 0.7, "2025-05-01": 0.6, "2023-05-09": 0.6, "2026-06-01": 0}),
    ("What did I paint in December?", {"2025-12-01": 0.7, "2026-12-01": 0.6}),
    ("What did I do on 30 December?", {"2025-12-30": 1, "2026-01-06": 1, "2024-01-02": 0.9, "2024-01-07": 0}),
    ("What did I do on 29 February?", {"2024-02-29": 1, "2020-03-01": 0.9, "2023-03-01": 0}),
    ("What did we do in May last year?", {"2025-05-10": 0.7, "2026-05-10": 0}),
    ("What did I eat yesterday?", {"2026-11-27": 1, "2026-11-28": 1, "2026-11-26": 0}),
    ("What did I eat the day before yesterday?", {"2026-11-26": 1, "2026-11-25": 0}),
    ("What have I said today?", {"2026-11-28": 1, "2026-11-27": 0}),
    ("What did I do last week?", {"2026-11-16": 1, "2026-11-22": 1, "2026-11-28": 1, "2026-11-15": 0}),
    ("What did I do this week?", {"2026-11-23": 1, "2026-11-22": 0}),
    ("What did I do last weekend?", {"2026-11-21": 1, "2026-11-22": 1, "2026-11-20": 0}),
    ("What did I do last month?", {"2026-10-01": 0.7, "2026-10-31": 0.7, "2026-11-01": 0}),
    ("What did I do this year?", {"2026-01-01": 0.3, "2025-12-31": 0}),
    ("What did I do last year?", {"2025-06-01": 0.3, "2026-01-01": 0}),
    ("Whom did I meet three days ago?", {"2026-11-25": 1, "2026-11-24": 0}),
    ("Whom did I meet two weeks ago?", {"2026-11-09": 1, "2026-11-15": 1, "2026-11-08": 0}),
    ("Whom did I meet 2 months ago?", {"2026-09-15": 0.7, "2026-10-01": 0}),
    ("Whom did I meet a year ago?", {"2025-02-01": 0.3, "2024-12-31": 0}),
    ("Whom did I meet a couple of days ago?", {"2026-11-26": 1, "2026-11-25": 0}),
    ("Whom did I meet a few days ago?", {"2026-11-21": 1, "2026-11-26": 1, "2026-11-20": 0}),
    ("Whom did I meet 5 hours ago?", {"2026-11-28": 1, "2026-11-27": 1}),
    ("Whom did I meet in the last 3 weeks?", {"2026-11-07": 1, "2026-11-06": 0}),
    ("Whom did I meet last Monday?", {"2026-11-23": 1, "2026-11-22": 0}),
    ("Whom did I meet on Saturday?", {"2026-11-21": 1, "2026-11-28": 1, "2026-11-20": 0}),
    # Vietnamese
    ("Tôi làm gì ngày 3 tháng 5 năm 2023?", {"2023-05-03": 1, "2023-05-02": 0}),
    ("Tôi làm gì ngày 3/5?", {"2026-05-03": 1, "2024-05-03": 0.9, "2026-03-05": 0}),
    ("Tôi làm gì ngày 20-11?", {"2026-11-20": 1}),
    ("Tôi làm gì ngày 3-5 tháng 6?", {"2026-06-03": 1, "2026-06-12": 1, "2026-05-03": 0}),
    ("Tôi làm gì mùng một tháng năm?", {"2026-05-01": 1, "2026-04-30": 0}),
    ("Tôi làm gì 3 tháng 5 ngày?", {"2026-05-03": 0}),
    ("Tôi làm gì ngày 3/5/2023?", {"2023-05-03": 1, "2023-03-05": 0}),
    ("Tôi làm gì tháng 5/2023?", {"2023-05-20": 0.7}),
    ("Tôi làm gì vào tháng năm?", {"2026-05-20": 0.7, "2026-06-01": 0}),
    ("Tôi làm gì tháng mười hai năm 2024?", {"2024-12-20": 0.7, "2024-10-20": 0}),
    ("Tôi làm gì tháng 5 năm ngoái?", {"2025-05-20": 0.7, "2026-05-20": 0}),
    ("Tôi làm gì năm 2023?", {"2023-05-20": 0.3}),
    ("Tôi làm gì hôm qua?", {"2026-11-27": 1, "2026-11-26": 0}),
    ("toi lam gi hom qua?", {"2026-11-27": 1}),
    ("Tôi làm gì hôm kia?", {"2026-11-26": 1}),
    ("Tôi làm gì tuần trước?", {"2026-11-16": 1, "2026-11-15": 0}),
    ("Tôi làm gì cuối tuần trước?", {"2026-11-21": 1, "2026-11-20": 0}),
    ("Tôi làm gì tháng trước?", {"2026-10-03": 0.7}),
    ("Tôi làm gì năm ngoái?", {"2025-10-03": 0.3}),
    ("Tôi làm gì cách đây 3 ngày?", {"2026-11-25": 1, "2026-11-24": 0}),
    ("Tôi làm gì cách đây khoảng hai tháng?", {"2026-09-25": 0.7}),
    ("Tôi làm gì ba tuần trước?", {"2026-11-02": 1, "2026-11-01": 0}),
    ("Tôi làm gì trong 3 ngày qua?", {"2026-11-25": 1, "2026-11-24": 0}),
    ("Tôi gặp ai hôm thứ tư?", {"2026-11-25": 1, "2026-11-24": 0}),
    ("Tôi gặp ai thứ hai tuần trước?", {"2026-11-16": 1, "2026-11-24": 0}),
    ("Tôi gặp ai chủ nhật tuần này?", {"2026-11-29": 1, "2026-11-28": 0}),
    # Spanish, French, German
    ("¿Qué hice el 5 de mayo de 2023?", {"2023-05-05": 1}),
    ("¿Qué hice la semana pasada?", {"2026-11-16": 1}),
    ("¿Qué hice hace tres días?", {"2026-11-25": 1}),
    ("¿Qué hice el martes pasado?", {"2026-11-24": 1}),
    ("¿Qué hice en septiembre del año pasado?", {"2025-09-02": 0.7, "2026-09-02": 0}),
    ("Qu'ai-je fait le 1er août 2024 ?", {"2024-08-01": 1}),
    ("Qu'ai-je fait en mars ?", {"2026-03-20": 0.7}),
    ("Qu'ai-je fait hier ?", {"2026-11-27": 1}),
    ("Qu'ai-je fait il y a deux semaines ?", {"2026-11-09": 1}),
    ("Qu'ai-je fait vendredi dernier ?", {"2026-11-27": 1}),
    ("Qu'ai-je fait l'année dernière ?", {"2025-01-02": 0.3}),
    ("Was habe ich am 3. Mai 2023 gemacht?", {"2023-05-03": 1}),
    ("Was habe ich am 3.5. gemacht?", {"2026-05-03": 1, "2026-03-05": 0}),
    ("Was habe ich im März gemacht?", {"2026-03-03": 0.7}),
    ("Was habe ich vorgestern gemacht?", {"2026-11-26": 1}),
    ("Was habe ich vor drei Wochen gemacht?", {"2026-11-02": 1}),
    ("Was habe ich letzten Dienstag gemacht?", {"2026-11-24": 1}),
    ("Was habe ich letztes Jahr gemacht?", {"2025-03-03": 0.3}),
    # Chinese and Japanese
    ("2023年5月8日我做了什么？", {"2023-05-08": 1, "2023-05-07": 0}),
    ("5月我做了什么？", {"2026-05-08": 0.7}),
    ("去年5月我做了什么？", {"2025-05-08": 0.7, "2026-05-08": 0}),
    ("三天前我吃了什么？", {"2026-11-25": 1}),
    ("两个月前我在哪里？", {"2026-09-25": 0.7}),
    ("上周我去了哪里？", {"2026-11-16": 1}),
    ("上周二我去了哪里？", {"2026-11-17": 1, "2026-11-16": 0}),
    ("十二月二十三日", {"2025-12-23": 1}),
    ("昨日は何を食べた？", {"2026-11-27": 1}),
    ("先週の月曜日に何をした？", {"2026-11-16": 1, "2026-11-24": 0}),
    ("２週間前に何をした？", {"2026-11-09": 1}),
    ("8月15日に何をした？", {"2026-08-15": 1}),
    # Written after the rules, to see whether they hold for others.
    ("What did I buy on the fourth of July 2025?", {"2025-07-04": 1}),
    ("Which film did I see on Friday, 13 November 2026?", {"2026-11-13": 1}),
    ("what did I do on Nov 13th", {"2026-11-13": 1}),
    ("What was discussed the week before last?", {"2026-11-10": 1}),
    ("What did I eat 10 days ago?", {"2026-11-18": 1}),
    ("Where was I in summer 2024?", {"2024-07-01": 0.3}),
    ("Where was I at the end of September?", {"2026-09-28": 0.7}),
    ("What did I do over the past two months?", {"2026-10-15": 0.7}),
    ("who called me this morning", {"2026-11-28": 1}),
    ("What did I plan last Thursday?", {"2026-11-26": 1}),
    ("what did we talk about on 2026/11/05", {"2026-11-05": 1}),
    ("What did I do between May and July 2024?", {"2024-07-01": 0.7}),
    ("Hôm thứ sáu vừa rồi tôi gặp ai?", {"2026-11-27": 1}),
    ("Tôi nói gì vào ngày 20/11?", {"2026-11-20": 1}),
    ("Tháng 9 năm nay tôi ở đâu?", {"2026-09-10": 0.7}),
    ("Mùng 2 tháng 9 tôi làm gì?", {"2026-09-02": 1}),
    ("Hai tuần trước tôi đi đâu?", {"2026-11-12": 1}),
    ("tháng trước tôi mua gì", {"2026-10-12": 0.7}),
    ("Ngày 5-10-2026 tôi làm gì?", {"2026-10-05": 1}),
    ("Tối qua tôi ăn gì?", {"2026-11-27": 1}),
    ("Năm kia tôi ở đâu?", {"2024-05-05": 0.3}),
    ("¿Qué comí anoche?", {"2026-11-27": 1}),
    ("¿Dónde estuve en agosto de 2024?", {"2024-08-08": 0.7}),
    ("¿Qué hice el 3/10/2026?", {"2026-10-03": 1}),
    ("Où étais-je en juillet 2024 ?", {"2024-07-14": 0.7}),
    ("Qu'ai-je mangé lundi dernier ?", {"2026-11-23": 1}),
    ("Qu'ai-je fait le mois dernier ?", {"2026-10-14": 0.7}),
    ("Was habe ich am 5.10.2026 gegessen?", {"2026-10-05": 1}),
    ("Wo war ich im Juli 2024?", {"2024-07-14": 0.7}),
    ("Was tat ich letzte Woche?", {"2026-11-17": 1}),
    ("Was tat ich am Montag?", {"2026-11-23": 1}),
    ("我上个月买了什么？", {"2026-10-14": 0.7}),
    ("我2024年7月在哪里？", {"2024-07-14": 0.7}),
    ("我前天吃了什么？", {"2026-11-26": 1}),
    ("去年の8月に何をした？", {"2025-08-08": 0.7}),
    ("先月何を買った？", {"2026-10-14": 0.7}),
    ("一週間前に何を食べた？", {"2026-11-18": 1}),
    ("What did I do on the 5th of November?", {"2026-11-05": 1}),
    ("What did I do on Nov 5, 2025?", {"2025-11-05": 1}),
    ("where did I eat on Sunday night?", {"2026-11-22": 1}),
    ("What did I say 2 days ago?", {"2026-11-26": 1}),
    ("what happened a month ago", {"2026-10-10": 0.7}),
    ("what happened in the last month?", {"2026-10-10": 0.7}),
    ("In 2022, where did I live?", {"2022-08-08": 0.3}),
    ("Did I travel in early March 2025?", {"2025-03-03": 0.7}),
    ("Any news from this weekend?", {"2026-11-28": 1}),
    ("Did I run today?", {"2026-11-28": 1}),
    ("What did I cook on Christmas 2025?", {"2025-12-25": 0.3}),
    ("What was on 2025/3/4?", {"2025-03-04": 1}),
    ("Hôm nay tôi ăn gì?", {"2026-11-28": 1}),
    ("Sáng hôm qua tôi đi đâu?", {"2026-11-27": 1}),
    ("Mười ngày trước tôi gặp ai?", {"2026-11-18": 1}),
    ("Tháng này tôi tiêu gì?", {"2026-11-02": 0.7}),
    ("Đầu tháng 10 tôi ở đâu?", {"2026-10-02": 0.7}),
    ("Năm nay tôi đi đâu?", {"2026-02-02": 0.3}),
    ("Thứ bảy vừa rồi tôi làm gì?", {"2026-11-21": 1}),
    ("Chủ nhật tuần trước tôi đi đâu?", {"2026-11-22": 1}),
    ("Vài ngày trước tôi nói gì?", {"2026-11-24": 1}),
    ("một năm trước tôi làm ở đâu", {"2025-05-05": 0.3}),
    ("Ngày 02/09/2025 tôi ở đâu?", {"2025-09-02": 1}),
    ("Cách đây 2 tuần tôi đi đâu?", {"2026-11-10": 1}),
    ("¿Qué dije antes de ayer?", {"2026-11-26": 1}),
    ("¿Dónde estuve el mes pasado?", {"2026-10-10": 0.7}),
    ("¿Qué hice hace una semana?", {"2026-11-18": 1}),
    ("¿Qué comí el domingo?", {"2026-11-22": 1}),
    ("¿Qué pasó en 2022?", {"2022-05-05": 0.3}),
    ("Qu'ai-je dit avant-hier ?", {"2026-11-26": 1}),
    ("Qu'ai-je fait le 14 juillet 2025 ?", {"2025-07-14": 1}),
    ("Qu'ai-je fait cette semaine ?", {"2026-11-24": 1}),
    ("Qu'ai-je fait il y a un an ?", {"2025-05-05": 0.3}),
    ("Was habe ich gestern gegessen?", {"2026-11-27": 1}),
    ("Was war vor zwei Monaten?", {"2026-09-09": 0.7}),
    ("Was habe ich am letzten Freitag gemacht?", {"2026-11-27": 1}),
    ("Was war am 1. Januar 2026?", {"2026-01-01": 1}),
    ("我昨天吃了什么？", {"2026-11-27": 1}),
    ("我两周前去了哪里？", {"2026-11-10": 1}),
    ("2024年我住在哪里？", {"2024-05-05": 0.3}),
    ("上个周末我做了什么？", {"2026-11-21": 1}),
    ("今年五月我买了什么？", {"2026-05-05": 0.7}),
    ("十天前", {"2026-11-18": 1}),
    ("一昨日は何をした？", {"2026-11-26": 1}),
    ("三か月前にどこにいた？", {"2026-08-08": 0.7}),
    ("今週何を食べた？", {"2026-11-24": 1}),
    ("日曜日に何をした？", {"2026-11-22": 1}),
]
NO_DATES = [
    "Where do I live?",
    "May I see my notes?",
    "What did April tell me about June?",
    "What is planned for tomorrow?",
    "What is planned for next Monday?",
    "What happens on Mondays?",
    "What do I do when I march 20 miles?",
    "Which bug did version 2.0.23 fix?",
    "What runs on 3.11 and on 3.12?",
    "What was INV-2023-01 about, and who paid $2023?",
    "Whose number is 555-2023?",
    "How long have I had the dog, three years?",
    "Was I there on 31/02/2023?",
    "Tôi hẹn ai ngày mai?",
    "Mai là ai?",
    "Ai là người thứ ba?",
    "¿Qué haré mañana?",
    "Was ist hier?",
    "明天我做什么？",
]


@pytest.mark.parametrize(("question", "values"), QUESTIONS, ids=[question for question, _ in QUESTIONS])
def test_the_value_of_a_day(question: str, values: dict[str, float]) -> None:
    dates = asked_dates(question, reference=REFERENCE)
    found = {day: best_fit(dates, day_number(date.fromisoformat(day))) for day in values}
    assert found == pytest.approx(values)


@pytest.mark.parametrize("question", NO_DATES)
def test_a_question_without_a_date(question: str) -> None:
    assert asked_dates(question, reference=REFERENCE) == ()


def test_the_best_of_several_dates_counts() -> None:
    dates = asked_dates("Did I paint in 2023, or on May 8, 2023?", reference=REFERENCE)
    assert [best_fit(dates, day_number(date(2023, month, 8))) for month in (5, 6)] == [1.0, 0.3]


@pytest.mark.parametrize("reference", [date.min, date.max, date(2024, 2, 29)])
@pytest.mark.parametrize(
    "question",
    [
        "999 years ago",
        "last week",
        "last month",
        "999 days ago",
        "29 February",
        "in May",
        "tomorrow",
        "May 3-31",
        "上上周",
        "year 9999-12-31",
    ],
)
def test_the_ends_of_the_calendar(question: str, reference: date) -> None:
    dates = asked_dates(question, reference=reference)
    for day in (date.min, date.max, reference):
        assert 0.0 <= best_fit(dates, day_number(day)) <= 1.0


def test_the_dates_of_a_question_are_bounded() -> None:
    dates = asked_dates(" ".join(f"{year}-05-08" for year in range(1950, 2050)), reference=REFERENCE)
    assert len(dates) == 8


@pytest.mark.parametrize(
    ("question", "month", "first"), [("in March", 3, 1), ("on 28 December", 12, 28), ("May 3-5", 5, 3)]
)
def test_a_date_without_a_year_is_that_of_any_year(question: str, month: int, first: int) -> None:
    (asked,) = asked_dates(question, reference=REFERENCE)
    length = asked.last - asked.first
    for year in (1, 4, 1900, 1999, 2000, 2024, 2100, 9998):
        start = day_number(date(year, month, first))
        found = [asked.fit(start + offset) > 0 for offset in (-1, 0, length, length + 1)]
        assert found == [False, True, True, False], year
