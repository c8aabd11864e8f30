"""The built template with the variables that containers need, as `sam local` drops those that it does not declare."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from local.emulator.template.document import read_document

__all__ = ["write_template"]


def write_template(built: Path, made: Path, variables: Mapping[str, str]) -> None:
    """Write the built template beside itself, with more variables for all functions, as JSON (which is YAML)."""
    content = dict(read_document(built).content)
    functions = content.setdefault("Globals", {}).setdefault("Function", {})
    functions.setdefault("Environment", {}).setdefault("Variables", {}).update(variables)
    made.write_text(json.dumps(content, indent=1), encoding="utf-8")
