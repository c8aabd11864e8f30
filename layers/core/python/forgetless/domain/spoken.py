"""What a message of any client means: who said it, under one name for each role, and its text as valid Unicode."""

from __future__ import annotations

__all__ = ["ROLES", "known_role", "valid_unicode"]

#: The roles of messages.
ROLES = ("user", "assistant", "system", "tool")
#: What other APIs call them: OpenAI (developer, function), LangChain (human, ai), Gemini (model).
_ALIASES = {
    "developer": "system",
    "human": "user",
    "ai": "assistant",
    "model": "assistant",
    "function": "tool",
}


def known_role(given: str) -> str | None:
    """The role that is meant, however it is called and written; None for one that no API has."""
    name = given.strip().lower()
    role = _ALIASES.get(name, name)
    return role if role in ROLES else None


def valid_unicode(text: str) -> str:
    """The text with U+FFFD in place of each half of a surrogate pair that has no other half."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
