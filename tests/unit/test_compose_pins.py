"""The images install what pyproject.toml pins."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("image", ["app", "milvus-lite"])
def test_an_image_has_the_projects_own_pins(image: str) -> None:
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    pins = {line.partition(";")[0].strip() for line in dependencies}
    lines = (ROOT / "local" / "compose" / image / "requirements.txt").read_text().splitlines()
    wanted = {line for line in lines if not line.startswith("#")}
    assert wanted
    assert wanted <= pins
