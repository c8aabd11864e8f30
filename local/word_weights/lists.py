"""Reads the lists of words: a file for each language, with sections such as [function] and [frequent]."""

from __future__ import annotations

from pathlib import Path

__all__ = ["Lists", "read_lists"]

_FOLDER = Path(__file__).parent


class Lists:
    """The lists of all languages, by language and section."""

    def __init__(self, by_language: dict[str, dict[str, list[str]]]) -> None:
        self._by_language = by_language

    def __getitem__(self, language: str) -> dict[str, list[str]]:
        return self._by_language[language]

    def all(self, section: str, *languages: str) -> list[str]:
        """The words of one section of these languages, or of all."""
        return [w for name in languages or self._by_language for w in self._by_language[name].get(section, [])]


def read_lists() -> Lists:
    """All lists beside this file."""
    return Lists({path.stem: _sections(path) for path in sorted(_FOLDER.glob("*.txt"))})


def _sections(path: Path) -> dict[str, list[str]]:
    sections: dict[str, list[str]] = {}
    words: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            words = sections.setdefault(line.strip("[]"), [])
        elif not line.startswith("#"):
            words.extend(line.split())
    return sections
