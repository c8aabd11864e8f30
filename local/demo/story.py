"""The story of the demo: two people talk with their assistant for a week and change their minds."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DAYS", "QUESTIONS", "Day", "Question"]


@dataclass(frozen=True, slots=True)
class Day:
    """A session of one person and the assistant; the person speaks first, then they take turns."""

    date: str
    user: str
    said: tuple[str, ...]

    @property
    def moment(self) -> str:
        """Return when they talked, as an add's `timestamp` has it."""
        return f"{self.date}T09:00:00Z"

    def messages(self) -> list[dict[str, str]]:
        """Return the messages as the API takes them."""
        return [
            {"role": "user" if place % 2 == 0 else "assistant", "content": text} for place, text in enumerate(self.said)
        ]


@dataclass(frozen=True, slots=True)
class Question:
    """A question on the last day about one person, and a word that a good answer contains."""

    user: str
    text: str
    expected: str


CLARA = "clara"
MINH = "minh"

DAYS = (
    Day(
        "2026-03-02",
        CLARA,
        (
            "Morning! I finally handed in my notice at the bank. My last day is the 27th of March.",
            "Congratulations, that took courage. What comes next for you?",
            "I'm opening a small bakery on Linden Street, mostly sourdough and rye.",
            "That sounds wonderful. Do you already have an oven in mind?",
            "A used deck oven, the Rofco B40. The seller wants 2,400 for it.",
            "A solid choice for a start. Who will help you in the beginning?",
            "My brother Tom does the books, and I bake alone until summer.",
            "Then keep the range small. Is there anything I should always keep in mind when I suggest recipes?",
            "Yes: I'm allergic to hazelnuts, so never anything with them. And no palm oil on principle.",
            "Noted: no hazelnuts, no palm oil.",
        ),
    ),
    Day(
        "2026-03-02",
        MINH,
        (
            "Chào bạn, mình là Minh, mình vừa chuyển từ Huế vào Đà Nẵng để làm lập trình viên.",
            "Chào Minh! Bạn làm việc với ngôn ngữ nào?",
            "Chủ yếu là Go và một ít Python. Công ty mình làm phần mềm cho bệnh viện.",
            "Nghe rất ý nghĩa. Bạn đã quen với thành phố chưa?",
            "Chưa lắm. Mình đang thuê một căn phòng nhỏ gần cầu Rồng, tiền nhà bốn triệu một tháng.",
            "Gần cầu Rồng thì cuối tuần rất vui. Bạn có sở thích gì?",
            "Mình thích chạy bộ buổi sáng dọc biển Mỹ Khê và uống cà phê muối.",
            "Tuyệt vời! Mình sẽ nhớ điều đó.",
        ),
    ),
    Day(
        "2026-03-03",
        CLARA,
        (
            "I need a name. I'm thinking of 'Crumb & Crust'.",
            "Catchy. Shall I check whether it is taken nearby?",
            "Please. And remember my ticket at the trade office: it's TR-88213-K.",
            "Saved: trade office ticket TR-88213-K.",
            "Opening day should be the 18th of April, a Saturday.",
            "Then the painters must finish by the 10th.",
            "Right. The walls will be sage green.",
            "Sage green goes well with oak shelves.",
        ),
    ),
    Day(
        "2026-03-03",
        MINH,
        (
            "Tuần sau mẹ mình vào thăm, mình muốn đặt bàn ở một quán ăn ngon.",
            "Mẹ bạn thích ăn gì?",
            "Mẹ mình ăn chay, nên phải là quán chay. Mẹ tên là Hoa, năm nay sáu mươi hai tuổi.",
            "Mình sẽ tìm một quán chay yên tĩnh cho hai mẹ con.",
            "Mình bị dị ứng tôm, bạn nhớ giúp mình nhé.",
            "Mình nhớ rồi: không có tôm.",
        ),
    ),
    Day(
        "2026-03-05",
        CLARA,
        (
            "Change of plan: the name is taken. The bakery will be called 'Morning Rye' instead.",
            "I like it even better. Morning Rye it is.",
            "Also the bank asked me to stay a bit longer. My last day is now the 10th of April.",
            "Does that still leave you enough time before the opening?",
            "No, so the opening moves to the 9th of May.",
            "Understood: opening on the 9th of May.",
            "Tom found out we need an insurance against water damage. It costs 31 a month.",
            "Worth it with an old building. Anything else?",
            "I'd like to learn croissant lamination. A friend in Lyon offered me a week in her kitchen.",
            "A week in Lyon would be a great start. When would you go?",
            "In the last week of April. Her name is Delphine.",
            "I'll remind you to book the train.",
        ),
    ),
    Day(
        "2026-03-06",
        MINH,
        (
            "Mình quyết định chuyển nhà rồi. Mình sẽ ở chung với anh Tuấn ở quận Sơn Trà.",
            "Khi nào bạn chuyển?",
            "Chủ nhật này. Tiền nhà chỉ còn hai triệu rưỡi thôi.",
            "Tiết kiệm được nhiều đấy! Còn công việc thì sao?",
            "Sếp chuyển mình sang nhóm dữ liệu, nên từ nay mình viết Rust thay cho Go.",
            "Rust khó nhưng rất đáng học.",
            "Mã dự án mới là HIS-4471, bạn lưu lại giúp mình.",
            "Đã lưu: dự án HIS-4471.",
        ),
    ),
    Day(
        "2026-03-08",
        CLARA,
        (
            "I tried the oven today. It was broken, the thermostat is dead. I'm not buying it.",
            "Good that you tested it. What will you bake with?",
            "I'm leasing a new Miwe Condo, 310 a month, with service included.",
            "Service included is worth a lot in the first year.",
            "My landlord, Mrs Okafor, allows a bench outside but no tables.",
            "A bench in the morning sun will do.",
            "And I've decided the walls: not green after all, but a warm terracotta.",
            "Terracotta will look lovely with the oak.",
        ),
    ),
    Day(
        "2026-03-09",
        MINH,
        (
            "Mẹ mình không vào được tuần này vì bị cảm. Mẹ sẽ vào ngày 20 tháng 3.",
            "Chúc bác mau khỏe. Mình sẽ dời lịch đặt bàn.",
            "Mình bỏ cà phê rồi, bác sĩ bảo nên uống trà xanh.",
            "Trà xanh tốt cho sức khỏe. Bạn ngủ có ngon hơn không?",
            "Ngon hơn nhiều. Mình cũng đăng ký chạy giải bán marathon Đà Nẵng tháng 8.",
            "Tuyệt! Mình sẽ giúp bạn lên lịch tập.",
        ),
    ),
)

QUESTIONS = (
    Question(CLARA, "What is the bakery called?", "Morning Rye"),
    Question(CLARA, "Which ingredients must never be in a recipe?", "hazelnuts"),
    Question(CLARA, "When is the opening?", "May"),
    Question(CLARA, "TR-88213-K", "TR-88213-K"),
    Question(CLARA, "Which oven is she leasing, and for how much a month?", "Miwe"),
    Question(CLARA, "Who teaches her to make croissants?", "Delphine"),
    Question(MINH, "Minh bị dị ứng với món gì?", "tôm"),
    Question(MINH, "Minh song o dau", "Sơn Trà"),
    Question(MINH, "tra xanh hay ca phe", "trà xanh"),
    Question(MINH, "Mẹ của Minh tên gì và ăn uống thế nào?", "Hoa"),
)
