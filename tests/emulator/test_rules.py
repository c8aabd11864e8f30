"""The emulator's page lists every rule that a test proves, and the source of each rule."""

from __future__ import annotations

from tests.emulator.fidelity import PAGE, own, written


@own("docs/emulator.md")
def test_the_page_lists_every_rule_and_its_source() -> None:
    assert PAGE.read_text(encoding="utf-8") == written(), "run python -m tests.emulator.fidelity"
