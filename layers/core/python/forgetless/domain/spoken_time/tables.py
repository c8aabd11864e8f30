"""Words of time in English, Vietnamese, Spanish, French and German: months, weekdays, units, numbers, phrases.

Plain tables of our own, because a date library would cost every search more than all its other signals. The modules
beside this one say how the words are used; Chinese and Japanese stand in `east_asian.py`. A name that stands here with
accents is also known without them (`spelling.py`).
"""

from __future__ import annotations

from forgetless.domain.spoken_time.spelling import phrase_set, word_set

__all__ = [
    "AGO_AFTER",
    "AGO_BEFORE",
    "AMBIGUOUS_MONTHS",
    "CLOCK_UNITS",
    "DATE_ANCHORS",
    "DAYS",
    "EVIDENT",
    "FEW",
    "MONTHS",
    "MONTH_ANCHORS",
    "MONTH_PARTS",
    "NAME_MONTHS",
    "NOT_A_YEAR_AFTER",
    "NOT_A_YEAR_BEFORE",
    "NUMBERS",
    "PAST_AFTER",
    "PAST_BEFORE",
    "PERIODS",
    "SHORT_MONTHS",
    "SHORT_WEEKDAYS",
    "UNITS",
    "VIETNAMESE_WEEKDAYS",
    "WEEKDAYS",
]

#: Month names that are no other word, January first.
MONTHS = (
    "january janvier januar jänner enero",
    "february février februar febrero",
    "märz marzo",
    "april avril abril",
    "",
    "june juin juni junio",
    "july juillet juli julio",
    "august août agosto",
    "september septembre septiembre setiembre",
    "october octobre oktober octubre",
    "november novembre noviembre",
    "december décembre dezember diciembre",
)
#: Short names. They count only beside a day or a year, or after a word of `MONTH_ANCHORS`.
SHORT_MONTHS = (
    "jan janv jän ene",
    "feb févr",
    "mar mär",
    "apr avr abr",
    "",
    "jun",
    "jul juil",
    "aug",
    "sep sept",
    "oct okt",
    "nov",
    "dec dez dic",
)
#: Months that are also people: they show that a text speaks of time, and are a date only where they are anchored.
NAME_MONTHS = word_set("april june august avril abril julio juli")
#: Months that are other words, too: they count only where they are anchored.
AMBIGUOUS_MONTHS = {"may": 5, "march": 3, "mars": 3, "mai": 5, "mayo": 5}
_ENGLISH_ANCHORS = "in since by until till during early late mid"
_MAI_ANCHORS = "im en de seit bis anfang ende mitte vom ab début fin dès depuis mi"
#: The words after which a name is a month; "" stands for the names that are not listed.
MONTH_ANCHORS = {
    "": word_set(f"{_ENGLISH_ANCHORS} last next this around desde hasta {_MAI_ANCHORS}"),
    "may": word_set(f"{_ENGLISH_ANCHORS} last next"),
    "march": word_set(_ENGLISH_ANCHORS),
    "mars": word_set("en de depuis début fin dès mi"),
    "mai": word_set(_MAI_ANCHORS),
    "mayo": word_set("en de desde hasta"),
    "mar": frozenset(),
    "ene": frozenset(),
    "dic": frozenset(),
}
#: The words after which a day and a month are a date: "on March 10", while soldiers march 10 miles.
DATE_ANCHORS = word_set("on in of since by until till from to before after el le du au am den vom ngày")
#: What a month has: the end of May.
MONTH_PARTS = word_set("end beginning start middle month weeks week days")

#: Weekday names, Monday first.
WEEKDAYS = (
    "monday mondays montag montags lundi lundis lunes",
    "tuesday tuesdays dienstag dienstags mardi mardis martes",
    "wednesday wednesdays mittwoch mittwochs mercredi mercredis miércoles",
    "thursday thursdays donnerstag donnerstags jeudi jeudis jueves",
    "friday fridays freitag freitags vendredi vendredis viernes",
    "saturday saturdays samstag samstags sonnabend samedi samedis sábado sábados",
    "sunday sundays sonntag sonntags dimanche dimanches domingo domingos",
)
#: Short weekday names. Most are other words (sun, sat, wed, the French mon), so they count only after "on", "last" ….
SHORT_WEEKDAYS = ("mon", "tue tues", "wed", "thu thur thurs", "fri", "sat", "sun")
#: The second half of "thứ hai", Monday first; "chủ nhật" is a phrase of its own.
VIETNAMESE_WEEKDAYS = ("hai 2", "ba 3", "tư 4", "năm 5", "sáu 6", "bảy bẩy 7")

#: Units of time, each with its names in the singular and plural.
UNITS = {
    "hour": "hour hours giờ tiếng hora horas heure heures stunde stunden",
    "day": "day days ngày hôm día días jour jours tag tage tagen",
    "week": "week weeks tuần semana semanas semaine semaines woche wochen",
    "month": "month months tháng mes meses mois monat monate monaten",
    "year": "year years năm año años ans année années jahr jahre jahren",
}
#: What follows the number of a time of the day: 5 pm, 3 o'clock, 15 Uhr, 7 giờ.
CLOCK_UNITS = word_set("am pm clock uhr giờ")
#: Numbers as words. "a" and "an" count only with "ago", which the caller sees to.
NUMBERS = {
    1: "a an one một un una une ein eine einem einer einen",
    2: "two couple hai dos deux zwei",
    3: "three ba tres trois drei",
    4: "four bốn cuatro quatre vier",
    5: "five năm cinco cinq fünf",
    6: "six sáu seis sechs",
    7: "seven bảy siete sept sieben",
    8: "eight tám ocho huit acht",
    9: "nine chín nueve neuf neun",
    10: "ten mười diez dix zehn",
    11: "eleven once onze elf",
    12: "twelve doce douze zwölf",
}
_ORDINALS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth "
    "sixteenth seventeenth eighteenth nineteenth twentieth"
)
#: Days of the month as words: the fourth of July, le premier mai, am ersten Mai.
DAYS = {
    **{word: day for day, word in enumerate(_ORDINALS.split(), 1)},
    **dict.fromkeys(("primero", "premier", "ersten"), 1),
}
#: A number that is not known.
FEW = word_set("few several vài unos unas pocos pocas varios varias quelques einige einigen paar")

#: What makes "three days" a moment: words behind it, and words before it.
AGO_AFTER = word_set("ago back trước atrás")
AGO_BEFORE = phrase_set("vor|hace|il y a|cách đây|y a")
#: What makes "three days" the time up to now.
PAST_AFTER = phrase_set("qua|vừa qua|gần đây|trở lại đây")
PAST_BEFORE = word_set("last past previous letzten vergangenen últimos últimas pasados pasadas derniers dernières")

#: Periods that lie around now or before it: (unit, how many units before the present one) and its phrases.
PERIODS = {
    (
        "day",
        0,
    ): "today|tonight|this morning|this afternoon|this evening|hôm nay|sáng nay|trưa nay|chiều nay|tối nay|đêm nay"
    "|hoy|esta mañana|esta tarde|esta noche|aujourd hui|ce matin|ce soir|cet après midi|heute",
    ("day", 1): "yesterday|last night|hôm qua|sáng qua|trưa qua|chiều qua|tối qua|đêm qua|ayer|anoche|hier soir"
    "|hier matin|hier après midi|gestern|letzte nacht|la nuit dernière",
    ("day", 2): "day before yesterday|hôm kia|anteayer|antes de ayer|antier|avant hier|vorgestern",
    ("week", 0): "this week|tuần này|esta semana|cette semaine|diese woche|dieser woche",
    (
        "week",
        1,
    ): (
        "last week|previous week|past week|tuần trước|tuần rồi|tuần qua|tuần vừa rồi|tuần vừa qua"
        "|semana pasada|semaine dernière|semaine passée|letzte woche|letzter woche|vergangene woche"
        "|vergangener woche|vorige woche|voriger woche"
    ),
    ("week", 2): "week before last|tuần trước nữa|semana antepasada|vorletzte woche|vorletzter woche",
    ("weekend", 0): "this weekend|cuối tuần này|este fin de semana|ce week end|dieses wochenende",
    (
        "weekend",
        1,
    ): (
        "last weekend|past weekend|cuối tuần trước|cuối tuần rồi|cuối tuần qua|cuối tuần vừa rồi"
        "|fin de semana pasado|week end dernier|letztes wochenende|letzten wochenende|vergangenes wochenende"
        "|vergangenen wochenende"
    ),
    ("month", 0): "this month|tháng này|este mes|ce mois|diesen monat|diesem monat|dieser monat",
    (
        "month",
        1,
    ): (
        "last month|previous month|past month|tháng trước|tháng rồi|tháng qua|tháng vừa rồi|tháng vừa qua"
        "|mes pasado|mois dernier|mois passé|letzten monat|letzter monat|vergangenen monat|vorigen monat"
    ),
    ("month", 2): "month before last|tháng trước nữa|mes antepasado|vorletzten monat",
    ("year", 0): "this year|năm nay|este año|cette année|dieses jahr|diesem jahr",
    (
        "year",
        1,
    ): (
        "last year|previous year|past year|il y a un an|năm ngoái|năm trước|năm rồi|năm qua|năm vừa rồi|năm vừa qua"
        "|año pasado|an dernier|année dernière|année passée|letztes jahr|letzten jahr|vergangenes jahr"
        "|vergangenen jahr|voriges jahr|vorigen jahr"
    ),
    ("year", 2): "year before last|năm kia|năm trước nữa|año antepasado|vorletztes jahr",
}
#: Phrases that speak of time, but of no day that a search could look for.
EVIDENT = (
    "tomorrow|ago|recently|since|weekend|weekends|weekday|weekdays|fortnight|birthday|birthdays|anniversary|christmas"
    "|new year|other day|next week|next month|next year|last summer|last winter|last spring|last fall"
    "|last autumn|next summer|next winter|next spring|next fall|next autumn|this summer|this winter"
    "|this spring|this fall|this autumn|next weekend|years old|ngày mai|ngày kia|ngày mốt|hôm trước"
    "|hôm nọ|hôm sau|tuần sau|tuần tới|tháng sau|tháng tới|năm sau|năm tới|sang năm|sáng mai|chiều mai"
    "|tối mai|cuối tuần|đầu tuần|đầu tháng|cuối tháng|đầu năm|cuối năm|gần đây|dạo này|mới đây|vừa rồi"
    "|cách đây|ngày xưa|từ hồi|mùa hè|mùa đông|mùa xuân|mùa thu|sinh nhật|giáng sinh|noel|kỷ niệm|kỉ niệm"
    "|chủ nhật|chúa nhật|tết nguyên đán|tết|mañana|próxima semana|semana próxima|semana que viene"
    "|próximo mes|mes que viene|próximo año|año que viene|fin de semana|fines de semana|recientemente"
    "|últimamente|desde hace|cumpleaños|aniversario|navidad|verano pasado|invierno pasado"
    "|primavera pasada|otoño pasado|demain|après demain|semaine prochaine|mois prochain|an prochain"
    "|année prochaine|récemment|dernièrement|depuis|week end|anniversaire|noël|été dernier|hiver dernier"
    "|printemps dernier|automne dernier|übermorgen|nächste woche|nächster woche|nächsten monat"
    "|nächstes jahr|kürzlich|neulich|seit|wochenende|wochenenden|geburtstag|weihnachten|ostern"
    "|letzten sommer|letzten winter|letzten herbst|letzten frühling"
)
#: A number such as 2019 is no year beside these: a price, a measure, a room.
NOT_A_YEAR_AFTER = word_set(
    "dollar dollars usd euro euros eur pounds gbp yen đồng vnd nghìn ngàn triệu km kilometers kilometres "
    "miles meters metres m cm mm feet ft kg g grams lbs ml liters litres mg calories kcal steps words "
    "people users items points pages rows lines times percent hours minutes seconds days weeks months "
    "years người bước calo trang lần giờ phút dólares pesos personas pasos personnes pas leute schritte"
)
NOT_A_YEAR_BEFORE = word_set(
    "room page flight number no nr version v release port order ticket gate route highway model apartment "
    "apt suite phone code pin zip invoice line ip phòng số mã trang phiên habitación número página "
    "chambre numéro zimmer nummer seite nhà windows office java over approximately almost nearly exactly only"
)
