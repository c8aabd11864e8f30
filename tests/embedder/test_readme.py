"""The README names every setting, model and route that exists, with the right defaults."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from embedder.http.app import ROUTES
from embedder.settings import Settings
from embedder.sources import KNOWN

README = (Path(__file__).parents[2] / "embedder_container" / "README.md").read_text()


def test_every_setting_stands_in_the_table_with_its_default() -> None:
    for field in dataclasses.fields(Settings):
        default = f" {field.default} " if field.default else " "
        assert f"| `EMBEDDER_{field.name.upper()}` |{default}|" in README


def test_every_model_and_route_is_named() -> None:
    assert [name for name in KNOWN if f"`{name}`" not in README] == []
    assert [path for path in ROUTES if path not in README] == []
