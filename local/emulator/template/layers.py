"""Layers that `sam build` makes: what can be used of them before, and what is missing then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from local.emulator.template.document import Document

__all__ = ["missing_of_layers", "searched_itself"]

_LAYER = "AWS::Serverless::LayerVersion"
_REMEDY = "run `sam build` and give --template .aws-sam/build/template.yaml, or give them with --packages FOLDER"


def searched_itself(resource: dict[str, Any], folder: Path) -> bool:
    """Return whether a layer's folder holds the sources that a build would copy to `python/`."""
    return _build_method(resource).startswith("python") and not (folder / "python").is_dir()


def missing_of_layers(document: Document, resources: dict[str, dict[str, Any]]) -> list[str]:
    """Return a line for each layer of which only a build makes a part, or all."""
    found = []
    for name, resource in resources.items():
        uri = resource["Properties"].get("ContentUri", ".")
        if resource["Type"] != _LAYER or not _build_method(resource) or not isinstance(uri, str):
            continue
        folder = document.path.parent / uri
        if (folder / "python").is_dir():
            continue
        if searched_itself(resource, folder):
            if _requires(folder / "requirements.txt"):
                found.append(str(document.error(name, f"its requirements.txt is not installed: {_REMEDY}")))
        elif folder.is_dir():
            text = f"it is not built (BuildMethod {_build_method(resource)}), and its packages are missing: {_REMEDY}"
            found.append(str(document.error(name, text)))
    return found


def _build_method(resource: dict[str, Any]) -> str:
    return str(resource["Metadata"].get("BuildMethod", ""))


def _requires(path: Path) -> bool:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    return any(line.strip() and not line.lstrip().startswith("#") for line in lines)
