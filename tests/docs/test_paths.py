"""Every path and every link in the pages at the top and in docs/ leads to something that exists in the tree."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "layers/core/python/forgetless"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md"))]

#: What stands first in a path of the tree; other words with a slash are routes, files of the state folder and the like.
ROOMS = {place.name for root in (ROOT, PACKAGE) for place in root.iterdir() if place.is_dir() and place.name[0] != "."}
_CODE = re.compile(r"`([^`\n]+)`")
_FENCE = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
_PATH = re.compile(r"[\w.-]+(/[\w.-]+)*/?")
_LINK = re.compile(r"\]\((?![a-z]+:|#)([^)#\s]+)")
_HOME = re.compile(r"/root/|/home/\w|/Users/\w")
_MODULE = re.compile(r"\w+\.(py|sh)")


def paths_in(text: str) -> Iterator[str]:
    """What is written as code outside blocks and looks like a path of the tree."""
    for word in _CODE.findall(_FENCE.sub("", text)):
        looks_so = _PATH.fullmatch(word) and "/" in word and word.split("/")[0] in ROOMS
        if looks_so or _MODULE.fullmatch(word):
            yield word


def exists(path: str) -> bool:
    """Whether the tree has it: from the root, from the package, or, for a file's bare name, anywhere."""
    if "/" not in path:
        return any(ROOT.glob(f"[!.]*/**/{path}"))
    return any((root / path).exists() for root in (ROOT, PACKAGE))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_names_a_folder_of_somebodys_machine(page: Path) -> None:
    found = [line for line in page.read_text(encoding="utf-8").splitlines() if _HOME.search(line)]
    assert found == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_paths_that_a_page_names_exist(page: Path) -> None:
    assert [path for path in paths_in(page.read_text(encoding="utf-8")) if not exists(path)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    links = _LINK.findall(_FENCE.sub("", page.read_text(encoding="utf-8")))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_a_path_that_does_not_exist_is_noticed() -> None:
    text = "See `service/reading/gone.py`, `gone.py`, `docs/api.md`, `/v1/event/` and `milvus/milvus.db`."
    assert [path for path in paths_in(text) if not exists(path)] == ["service/reading/gone.py", "gone.py"]
