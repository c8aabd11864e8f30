"""Hooks of MkDocs (mkdocs.yml): pages from outside docs/, links between all pages, and scripts of the site's own."""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

__all__ = ["on_files", "on_page_markdown"]

ROOT = Path(__file__).resolve().parents[1]

#: Pages of the site that lie elsewhere in the repository.
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
    "LICENSE": "license.md",
    "embedder_container/README.md": "embedding-service.md",
    "local/emulator/README.md": "emulator-use.md",
}
#: Scripts that the theme would otherwise load from the network: diagrams, and searching in pages opened as files.
SCRIPTS = ("mermaid.js", "iframe-worker.js")
_PLACES = {page: place for place, page in PAGES.items()}

#: A relative link of Markdown: its path and its anchor.
_LINK = re.compile(r"\]\((?![a-z]+:|#|/)([^)#\s]+)(#[^)\s]*)?\)")
_FENCE = re.compile(r"^( *)```.*?^\1```$", re.MULTILINE | re.DOTALL)


def on_files(files: Files, *, config: Any) -> Files:
    """Add the pages from outside docs/, and the scripts."""
    for place, page in PAGES.items():
        text = (ROOT / place).read_text(encoding="utf-8")
        if place == "LICENSE":
            text = f"# Licence\n\n```text\n{text}\n```\n"
        files.append(File.generated(config, page, content=text))
    for name in SCRIPTS:
        script = Path(os.environ.get("FORGETLESS_DOCS_SCRIPTS", ""), name)
        if not script.is_file():
            raise PluginError(f"{name} is missing; build the site by `make docs`")
        files.append(File.generated(config, name, content=script.read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Files) -> str:  # noqa: ARG001 - MkDocs' signature
    """Let relative links between places of the repository lead to pages of the site; code blocks stay as they are."""
    here = _PLACES.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    parts: list[str] = []
    end = 0
    for fence in _FENCE.finditer(markdown):
        parts += [_with_links(markdown[end : fence.start()], here), fence[0]]
        end = fence.end()
    return "".join([*parts, _with_links(markdown[end:], here)])


def _with_links(text: str, here: str) -> str:
    def moved(link: re.Match[str]) -> str:
        place = posixpath.normpath(posixpath.join(posixpath.dirname(here), link[1]))
        page = PAGES.get(place, place.removeprefix("docs/"))
        return f"]({page}{link[2] or ''})"

    return _LINK.sub(moved, text)
