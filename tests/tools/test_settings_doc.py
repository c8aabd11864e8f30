"""docs/settings.md names every setting with its default, as the code has them."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from forgetless.runtime.settings import Settings

PAGE = Path(__file__).resolve().parents[2] / "docs" / "settings.md"


def table() -> str:
    """The table as the settings have it; to be put into the page when this test says so."""
    lines = ["| Variable | Default | What it decides |", "|---|---|---|"]
    for one in fields(Settings):
        default = f"`{one.default}`" if one.default != "" else "unset"
        about = one.metadata["about"] + (" Secret." if one.metadata["secret"] else "")
        lines.append(f"| `{one.metadata['name']}` | {default} | {about} |")
    return "\n".join(lines)


def test_the_page_has_every_setting_as_the_code_has_it() -> None:
    assert table() in PAGE.read_text(encoding="utf-8"), f"docs/settings.md should hold:\n\n{table()}"
