"""The scenario for k6 and locust: the users of each stage, their requests, and their think time."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from local.client import ToolError
from local.loadtest.conversation_texts import LANGUAGES, question, turn

__all__ = [
    "MIXES",
    "PLAN_FILE",
    "REQUESTS_FILE",
    "Plan",
    "Stage",
    "plan_from",
    "request_bodies",
    "search_body",
    "user_name",
    "write",
]

PLAN_FILE = "plan.json"
REQUESTS_FILE = "requests.json"
#: The shares of requests in each mix: an add stores texts as they are, an extraction asks the LLM.
MIXES: Mapping[str, Mapping[str, int]] = {
    "default": {"search": 80, "add": 20},
    "extraction": {"search": 80, "extract": 20},
    "search": {"search": 100},
}
#: The number of different requests; more than any run needs, so that no text comes twice.
VARIETY = 20_000


@dataclass(frozen=True, slots=True)
class Stage:
    """A number of concurrent users and its seconds, after the ramp that leads to it."""

    users: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan for a load tool; times are in seconds since its start."""

    url: str
    stages: tuple[Stage, ...]
    ramp_s: float
    think_s: tuple[float, float]
    mix: str

    @property
    def seconds(self) -> float:
        """Return the seconds of the whole plan."""
        return sum(self.ramp_s + stage.seconds for stage in self.stages)

    def windows(self) -> list[tuple[float, float]]:
        """Return the period in which each stage has its full number of users; ramps belong to none."""
        ends = list(accumulate(self.ramp_s + stage.seconds for stage in self.stages))
        return [(end - stage.seconds, end) for end, stage in zip(ends, self.stages, strict=True)]

    def users_at(self, at: float) -> float:
        """Return the planned number of users at a time."""
        before = 0
        for (began, end), stage in zip(self.windows(), self.stages, strict=True):
            if at < began:
                into = 1 - (began - at) / self.ramp_s if self.ramp_s else 1.0
                return before + (stage.users - before) * max(0.0, into)
            if at < end:
                return stage.users
            before = stage.users
        return 0.0


def plan_from(recorded: Mapping[str, Any]) -> Plan:
    """Return the plan from the form in which `write` stored it."""
    stages = tuple(Stage(**stage) for stage in recorded["stages"])
    low, high = recorded["think_s"]
    return Plan(str(recorded["url"]), stages, float(recorded["ramp_s"]), (low, high), str(recorded["mix"]))


def user_name(memories: int, number: int) -> str:
    """Return the name of a user of a preload; a preload of another size has other users."""
    return f"load-{memories}-{number:03d}"


def request_bodies(mix: str, users: Sequence[str], *, seed: int = 23, count: int = VARIETY) -> list[dict[str, Any]]:
    """Return `count` requests in the shares of the mix; the first users send more than the last."""
    chance = random.Random(seed)
    shares = MIXES[mix]
    kinds = chance.choices(list(shares), weights=list(shares.values()), k=count)
    weights = [1 / (1 + place) ** 0.5 for place in range(len(users))]
    return [
        _request(chance, kind, user) for kind, user in zip(kinds, chance.choices(users, weights, k=count), strict=True)
    ]


def write(plan: Plan, requests: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """Write both files to where the load tools read them."""
    (folder / PLAN_FILE).write_text(json.dumps(asdict(plan)), encoding="utf-8")
    (folder / REQUESTS_FILE).write_text(json.dumps(list(requests), ensure_ascii=False), encoding="utf-8")


def parse_stages(text: str, seconds: float) -> tuple[Stage, ...]:
    """Return stages from a text such as "30,60,100"; raises ToolError."""
    try:
        users = [int(part) for part in text.split(",")]
    except ValueError:
        raise ToolError(f"--stages must be numbers of users, such as 30,60,100, not {text!r}") from None
    if min(users) < 1:
        raise ToolError("--stages: a stage needs at least one user")
    return tuple(Stage(number, seconds) for number in users)


def parse_think(text: str) -> tuple[float, float]:
    """Return a range of seconds from a text such as "1-3"; 0 means no think time. Raises ToolError."""
    low, _, high = text.partition("-")
    try:
        given = (float(low), float(high or low))
    except ValueError:
        raise ToolError(f"--think must be seconds, such as 1-3 or 0, not {text!r}") from None
    if not 0 <= given[0] <= given[1]:
        raise ToolError("--think must go from the shorter to the longer time")
    return given


def search_body(chance: random.Random, user: str) -> dict[str, Any]:
    """Return the body of one search for a user."""
    return {"query": question(chance, chance.choice(LANGUAGES)), "filters": {"user_id": user}}


def _request(chance: random.Random, kind: str, user: str) -> dict[str, Any]:
    if kind == "search":
        return _posted(kind, "/search", search_body(chance, user))
    language = chance.choice(LANGUAGES)
    messages = [{"role": "user", "content": turn(chance, language)}]
    if chance.random() < 0.5:
        messages.append({"role": "assistant", "content": turn(chance, language)})
    return _posted(kind, "/memories", {"messages": messages, "user_id": user, "infer": kind == "extract"})


def _posted(kind: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
    return {"kind": kind, "path": path, "body": json.dumps(body, ensure_ascii=False)}
