"""Where each rule of the emulator comes from: a mark on every test, and the table in docs/emulator.md made of them.

`python -m tests.emulator.fidelity` writes the table again; a test compares it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

__all__ = ["assumed", "documented", "own", "read", "table", "written"]

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "emulator.md"
_BEGIN, _END = "<!-- rules: python -m tests.emulator.fidelity -->\n", "<!-- end of rules -->\n"
#: What the decorators below are called, and what the table says.
KINDS = {
    "documented": "documented by AWS",
    "read": "read in a source",
    "assumed": "assumed",
    "own": "the emulator's own",
}


def documented(page: str) -> pytest.MarkDecorator:
    """Mark a rule that AWS documents; `page` names where."""
    return pytest.mark.fidelity("documented", page)


def read(source: str) -> pytest.MarkDecorator:
    """Mark a rule that was read in the source of a program of AWS, or that an oracle holds too."""
    return pytest.mark.fidelity("read", source)


def assumed(why: str) -> pytest.MarkDecorator:
    """Mark a rule that neither says: what is known in the field, or was decided."""
    return pytest.mark.fidelity("assumed", why)


def own(what: str) -> pytest.MarkDecorator:
    """Mark a rule of the emulator itself, which has no counterpart on AWS."""
    return pytest.mark.fidelity("own", what)


def rules() -> Iterator[tuple[str, str, str, str]]:
    """Return file, rule, kind and source of every test, in the order of the files."""
    for path in sorted(HERE.glob("test_*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                kind, source = _mark(path, node)
                yield path.stem, node.name.removeprefix("test_").replace("_", " "), kind, source


def _mark(path: Path, node: ast.FunctionDef) -> tuple[str, str]:
    for mark in node.decorator_list:
        if isinstance(mark, ast.Call) and isinstance(mark.func, ast.Name) and mark.func.id in KINDS:
            argument = mark.args[0]
            if isinstance(argument, ast.Constant):
                return mark.func.id, str(argument.value)
    raise AssertionError(f"{path.name}: {node.name} does not say where its rule comes from")


def table() -> str:
    """Return all rules as Markdown, with a count of each kind."""
    all_rules = list(rules())
    counts = [f"{sum(kind == one for _, _, kind, _ in all_rules)} {text}" for one, text in KINDS.items()]
    lines = [f"{len(all_rules)} rules: {', '.join(counts)}.", "", "| Rule | By | Where |", "|---|---|---|"]
    lines += [f"| {rule} | {KINDS[kind]} | {source} |" for _, rule, kind, source in all_rules]
    return "\n".join(lines) + "\n"


def written() -> str:
    """Return the page as it should be."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}\n{table()}\n{_END}{after}"


if __name__ == "__main__":
    PAGE.write_text(written(), encoding="utf-8")
