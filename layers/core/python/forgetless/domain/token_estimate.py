"""Estimates how many tokens of an LLM a text has, from its characters alone.

Vocabularies differ, so the estimate is on the high side of most: a token for three ASCII letters or spaces, and one for
two other bytes of UTF-8. So 1,000 tokens are about 2,800 characters of English, 1,700 of Vietnamese, 1,000 of Russian
or Arabic, 670 of Chinese, Japanese, Korean or Thai, and 2,000 of digits. What it underestimates, an LLM refuses, and
then less is sent.
"""

from __future__ import annotations

import string

__all__ = ["estimated_tokens", "fitting_prefix"]

_LETTERS = (string.ascii_letters + " ").encode()
_CHARS_OF_TOKEN = 3
_BYTES_OF_TOKEN = 2


def estimated_tokens(text: str) -> int:
    """About how many tokens the text has, rather too many than too few."""
    encoded = text.encode("utf-8", "surrogatepass")
    others = len(encoded.translate(None, _LETTERS))
    letters = len(encoded) - others
    return -(-letters // _CHARS_OF_TOKEN) + -(-others // _BYTES_OF_TOKEN)


def fitting_prefix(text: str, tokens: int) -> int:
    """How many of the first characters of the text have at most so many tokens."""
    fits, too_long = 0, len(text) + 1
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if estimated_tokens(text[:middle]) <= tokens:
            fits = middle
        else:
            too_long = middle
    return fits
