"""Instructions and categories for an extraction, taken from the add or, if it has none, from its project."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["DEFAULT_CATEGORIES", "ExtractionSettings", "merged_categories"]

#: The general categories, name to description, for an add that asks for categories when nobody names any.
DEFAULT_CATEGORIES: Mapping[str, str] = {
    "personal_details": "name, age, birthday, home, contact, languages",
    "family": "relatives, partners, children, pets",
    "professional_details": "work, employer, education, skills, projects",
    "health": "body, illness, medicine, allergies, sleep",
    "food": "what is eaten, drunk and cooked, diets, restaurants",
    "sports": "training, teams, matches, hiking, running",
    "travel": "trips, places, transport, hotels",
    "music": "songs, instruments, concerts, bands",
    "entertainment": "films, series, books, games",
    "technology": "devices, software, programming",
    "hobbies": "what is done for pleasure",
    "fashion": "clothes, style, beauty",
    "milestones": "decisions, achievements, plans and dates that matter",
    "user_preferences": "likes, dislikes, opinions, habits",
    "misc": "what fits nowhere else",
}


@dataclass(frozen=True, slots=True)
class ExtractionSettings:
    """Instructions for memories of users and of agents, what to include and exclude, and the categories."""

    instructions: str | None = None
    agent_instructions: str | None = None
    includes: str | None = None
    excludes: str | None = None
    categories: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, asked: Mapping[str, Any], project: Mapping[str, Any]) -> ExtractionSettings:
        """For each field, the value that the add asks for or, if there is none, the value of its project."""
        return cls(
            instructions=asked.get("prompt") or project.get("custom_instructions"),
            agent_instructions=asked.get("agent_prompt") or project.get("agent_custom_instructions"),
            includes=asked.get("includes") or project.get("inclusion_prompt"),
            excludes=asked.get("excludes") or project.get("exclusion_prompt"),
            categories=_categories(asked, project.get("custom_categories")),
        )

    def text(self, *, user: bool, agent: bool) -> str | None:
        """Everything but the categories as one text for the prompt, or None if there is nothing.

        `user` and `agent` say which of them the scope has. Instructions for an agent apply only if it has one.
        """
        parts = []
        if agent and not user:
            parts.append(self.agent_instructions or self.instructions)
        else:
            parts.append(self.instructions)
            if agent and self.agent_instructions:
                parts.append(f"For what concerns the assistant itself: {self.agent_instructions}")
        if self.includes:
            parts.append(f"Keep in particular: {self.includes}")
        if self.excludes:
            parts.append(f"Never keep: {self.excludes}")
        return "\n".join(part for part in parts if part) or None


def merged_categories(given: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The categories, name to description, from mem0's list of objects `{name: description}`."""
    return {str(name): str(description) for one in given for name, description in one.items()}


def _categories(asked: Mapping[str, Any], project: Iterable[Mapping[str, Any]] | None) -> Mapping[str, str]:
    chosen: Mapping[str, str] = asked.get("categories") or merged_categories(project or ())
    return chosen or (DEFAULT_CATEGORIES if asked.get("categorised") else {})
