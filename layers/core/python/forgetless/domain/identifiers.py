"""Identifiers of users, agents, apps and runs: what a new one may contain, and how a stored one may be spelled.

The rule is one for all dialects, for MCP and for imports: what one of them can write, all others can read. A whole
number is the same identifier as its digits, because many applications number their users.

A new id is trimmed, brought to Unicode's normal form NFC, and has no character that cannot be seen. Earlier versions
stored ids as they were given. A request that names such an id, to read or to erase, means both spellings: the one that
is given and its normal form.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.limits import INT64

__all__ = [
    "MAX_ID_BYTES",
    "all_spellings",
    "first_unseen",
    "id_text",
    "in_old_form",
    "is_unseen",
    "named_identifier",
    "new_identifier",
    "one_identifier",
    "spellings",
]

#: The longest identifier that the index can hold, in UTF-8.
MAX_ID_BYTES = 255
#: Beyond this, numbers of JavaScript and floats are not exact.
_EXACT = 2**53

#: Controls, formats, halves of surrogate pairs, and the separators of lines and paragraphs.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
#: Letters and marks that show nothing: the combining grapheme joiner, fillers of Hangul, Khmer and Khitan, the empty
#: pattern of Braille, and a note without a head.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\U00016fe4\U0001d159")
#: Characters that choose the form of the one before them. After a letter with cases or a digit they show nothing.
_SELECTORS = (range(0x180B, 0x180E), range(0x180F, 0x1810), range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))
#: What Unicode keeps free for characters that show nothing (Default_Ignorable_Code_Point).
_IGNORED = (range(0x2065, 0x2066), range(0xFFF0, 0xFFF9), range(0xE0000, 0xE1000))
#: Codes that are never characters, in each plane the last two.
_NONCHARACTERS = range(0xFDD0, 0xFDF0)
_PLAIN = frozenset({"Lu", "Ll", "Lt", "Lm", "Nd"})

_ZWNJ, _ZWJ = "\u200c", "\u200d"
#: The canonical combining class of a virama, which suppresses the vowel of an Indic consonant.
_VIRAMA = 9


def _letters(ranges: str) -> frozenset[str]:
    """The characters of ranges such as `620 62A-62E`."""
    ends = [one.partition("-") for one in ranges.split()]
    return frozenset(chr(code) for low, _, high in ends for code in range(int(low, 16), int(high or low, 16) + 1))


#: Letters of the Arabic script, as ArabicShaping.txt has them: those that join on both sides, and on the right alone.
_DUAL = _letters(
    "620 626 628 62A-62E 633-63F 641-647 649-64A 66E-66F 678-687 69A-6BF 6C1-6C2 6CC 6CE 6D0-6D1 6FA-6FC 6FF "
    "750-758 75C-76A 76D-770 772 775-777 77A-77F"
)
_RIGHT = _letters(
    "622-625 627 629 62F-632 648 671-673 675-677 688-699 6C0 6C3-6CB 6CD 6CF 6D2-6D3 6D5 6EE-6EF "
    "759-75B 76B-76C 771 773-774 778-779"
)


def id_text(given: Any) -> Any:
    """The digits of a whole number, which clients send as an id; anything else as it is given."""
    if isinstance(given, float) and given.is_integer() and abs(given) < _EXACT:
        given = int(given)
    return str(given) if isinstance(given, int) and not isinstance(given, bool) and given in INT64 else given


def new_identifier(name: str, given: Any) -> str:
    """The identifier as it is stored; raises InvalidRequestError for one that is ambiguous, or could widen a scope."""
    normal = unicodedata.normalize("NFC", named_identifier(name, given))
    if (unseen := first_unseen(normal)) is not None:
        raise InvalidRequestError(
            f"Invalid {name}: it contains the invisible character U+{ord(unseen):04X}; leave it out."
        )
    return _fitting(name, normal)


def named_identifier(name: str, given: Any) -> str:
    """The identifier that a request names to read or erase what is stored: trimmed, otherwise spelled as given.

    Spaces may stand inside it, and no other white space. Raises InvalidRequestError for what was never an identifier.
    """
    given = id_text(given)
    if not isinstance(given, str):
        raise InvalidRequestError(f"Invalid {name}: it must be a string or a whole number.")
    try:
        given.encode()
    except UnicodeEncodeError:
        text = f"Invalid {name}: it contains half of a surrogate pair; send valid Unicode."
        raise InvalidRequestError(text) from None
    trimmed = given.strip()
    if not trimmed:
        raise InvalidRequestError(f"Invalid {name}: it must not be empty; leave it out instead.")
    if trimmed == "*":
        raise InvalidRequestError(f"Invalid {name}: '*' is not an identifier; name one.")
    if any(char.isspace() and char != " " for char in trimmed):
        raise InvalidRequestError(f"Invalid {name}: it must not contain whitespace other than spaces.")
    # U+FFFD replaces bytes that are not UTF-8, so two different ids could become the same.
    if any(unicodedata.category(char) == "Cc" or char == "\ufffd" for char in trimmed):
        raise InvalidRequestError(f"Invalid {name}: it must not contain control characters or invalid Unicode.")
    return _fitting(name, trimmed)


def spellings(given: str) -> tuple[str, ...]:
    """The spellings under which an id may be stored: as it is given, and its normal form if that is another one."""
    normal = unicodedata.normalize("NFC", given)
    return (given,) if normal == given else (given, normal)


def all_spellings(ids: Mapping[str, str]) -> list[dict[str, str]]:
    """The ids by name, in each combination of their spellings; nearly always just one."""
    return [dict(zip(ids, values, strict=True)) for values in product(*map(spellings, ids.values()))]


def one_identifier(values: Sequence[Any]) -> str | None:
    """The spelling of the one id that all these values are spellings of; None if they are several ids, or no ids."""
    if not values or not all(isinstance(value, str) and value for value in values):
        return None
    return next((value for value in values if set(values) <= set(spellings(value))), None)


def in_old_form(stored: str) -> bool:
    """Whether a stored id is one that new data could not have."""
    try:
        return new_identifier("id", stored) != stored
    except InvalidRequestError:
        return True


def first_unseen(text: str) -> str | None:
    """The first character that cannot be seen; None if there is none.

    A joiner between letters of a script that needs it shows something: see rule CONTEXTJ of RFC 5892.
    """
    if text.isascii() and text.isprintable():
        return None
    return next((char for place, char in enumerate(text) if is_unseen(text, place)), None)


def is_unseen(text: str, place: int) -> bool:
    """Whether the character at this place cannot be seen."""
    char = text[place]
    if char in (_ZWNJ, _ZWJ):
        return not _joins(text, place)
    if any(ord(char) in selectors for selectors in _SELECTORS):
        return place == 0 or unicodedata.category(text[place - 1]) in _PLAIN
    return char in _BLANK or unicodedata.category(char) in _UNSEEN or _is_ignored(ord(char))


def _is_ignored(code: int) -> bool:
    return code in _NONCHARACTERS or code & 0xFFFE == 0xFFFE or any(code in codes for codes in _IGNORED)


def _joins(text: str, place: int) -> bool:
    """Whether the joiner at this place changes how the letters around it look."""
    if not 0 < place < len(text) - 1:
        return False
    if unicodedata.combining(text[place - 1]) == _VIRAMA:
        return unicodedata.category(text[place + 1]).startswith("L")
    before = next((char for char in reversed(text[:place]) if not _is_mark(char)), "")
    after = next((char for char in text[place + 1 :] if not _is_mark(char)), "")
    return text[place] == _ZWNJ and before in _DUAL and (after in _DUAL or after in _RIGHT)


def _is_mark(char: str) -> bool:
    return unicodedata.category(char) in ("Mn", "Me")


def _fitting(name: str, value: str) -> str:
    if len(value.encode()) > MAX_ID_BYTES:
        raise InvalidRequestError(f"Invalid {name}: it must not be longer than {MAX_ID_BYTES} bytes in UTF-8.")
    return value
