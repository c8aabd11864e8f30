"""All recipes of which rows may still be served, by their versions."""

from __future__ import annotations

from collections.abc import Mapping

from forgetless.domain.recipe import RECIPE_VERSION, Recipe
from forgetless.domain.recipe_2 import Recipe2
from forgetless.domain.recipe_3 import Recipe3

__all__ = ["CURRENT", "RECIPES"]

RECIPES: Mapping[int, Recipe] = {2: Recipe2(), 3: Recipe3()}
#: What new collections are filled by.
CURRENT = RECIPES[RECIPE_VERSION]
