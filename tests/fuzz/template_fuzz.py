"""Templates with changed lines: the emulator reads them or refuses them in words."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

from local.emulator.specs import Place, TemplateError
from local.emulator.template.reader import read_template
from tests.fuzz.random_json import odd
from tests.fuzz.targets import FaultFoundError

__all__ = ["TemplateFuzz"]

_ROOT = Path(__file__).parents[2]
_WORDS = (
    "!Ref X",
    "!GetAtt A.B",
    "!Sub '${X}'",
    "!If [A, 1, 2]",
    "[]",
    "{}",
    "null",
    "-1",
    "1e9",
    "&a",
    "*a",
    "|",
    "'",
    "- x",
)


class TemplateFuzz:
    """The project's own template, changed by lines, words and values."""

    name = "templates"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lines = (_ROOT / "template.yaml").read_text(encoding="utf-8").splitlines()
        for name in ("functions", "layers"):
            (folder / name).symlink_to(_ROOT / name)

    def case(self, rng: random.Random) -> str:
        lines = list(self._lines)
        for _ in range(rng.randint(1, 3)):
            _change(rng, lines)
        text = "\n".join(lines) + "\n"
        path = self._folder / "template.yaml"
        path.write_text(text, encoding="utf-8", errors="replace")
        try:
            read_template(path, Place())
        except TemplateError:
            return "refused"
        except Exception as error:
            kept = self._folder / "failing-template.yaml"
            shutil.copy(path, kept)
            raise FaultFoundError(f"{type(error).__name__}: {error}; the template is {kept}") from error
        return "read"

    def close(self) -> None:
        """There is nothing to end."""


def _change(rng: random.Random, lines: list[str]) -> None:
    place = rng.randrange(len(lines))
    line = lines[place]
    key, colon, value = line.partition(":")
    match rng.randrange(6):
        case 0:
            del lines[place]
        case 1:
            lines.insert(place, line)
        case 2:
            lines[place] = " " * rng.randrange(1, 5) + line
        case 3 if colon and value.strip():
            lines[place] = f"{key}: {rng.choice(_WORDS)}"
        case 4 if colon:
            lines[place] = f"{key}: {odd(rng)!r}"
        case _:
            lines[place] = line.replace(rng.choice(line) if line else "", rng.choice(("", ":", "x", "\t", "!")), 1)
