"""The scenario for locust, with the same plan, requests and samples as k6.js. Only locust imports this file."""

from __future__ import annotations

import itertools
import json
import os
import random
import time
from pathlib import Path
from typing import Any, ClassVar

from locust import FastHttpUser, LoadTestShape, task

FOLDER = Path(os.environ["FORGETLESS_LOAD_FOLDER"])
PLAN: dict[str, Any] = json.loads((FOLDER / "plan.json").read_text(encoding="utf-8"))
REQUESTS: list[dict[str, Any]] = json.loads((FOLDER / "requests.json").read_text(encoding="utf-8"))
COMING = itertools.cycle(REQUESTS)
HEADERS = {"Content-Type": "application/json", "X-API-Key": os.environ["FORGETLESS_LOAD_KEY"]}
SAMPLES = (FOLDER / "samples.jsonl").open("a", encoding="utf-8", buffering=1)


class Stages(LoadTestShape):  # type: ignore[misc]  # locust is not in the environment that checks types
    """Users by the plan's stages; the run ends with the last."""

    began: ClassVar[float] = 0.0

    def tick(self) -> tuple[int, float] | None:
        """Return the current number of users, and how many are added in a second."""
        if not Stages.began:
            Stages.began = time.time()
        at, before, end = time.time() - Stages.began, 0, 0.0
        for stage in PLAN["stages"]:
            end += PLAN["ramp_s"] + stage["seconds"]
            if at < end:
                coming = abs(stage["users"] - before)
                return stage["users"], max(1.0, coming / max(PLAN["ramp_s"], 0.1))
            before = stage["users"]
        return None


class Person(FastHttpUser):  # type: ignore[misc]
    """A user who sends requests with think time between them."""

    host = PLAN["url"]
    network_timeout = 40.0
    connection_timeout = 40.0

    def wait_time(self) -> float:
        """Return the seconds until the next request."""
        return random.uniform(*PLAN["think_s"])

    @task  # type: ignore[untyped-decorator]
    def ask(self) -> None:
        """Send one request and record its sample."""
        request = next(COMING)
        began, clock = time.time(), time.perf_counter()
        answer = self.client.post(request["path"], data=request["body"].encode(), headers=HEADERS, name=request["kind"])
        spent = time.perf_counter() - clock
        sample = {
            "sent": int(began * 1000),
            "at": int((began - Stages.began) * 1000),
            "kind": request["kind"],
            "ms": round(spent * 1000, 3),
            "status": answer.status_code or 0,
            "ok": answer.status_code == 200 and '"results"' in (answer.text or ""),
            "timing": (answer.headers or {}).get("Server-Timing", ""),
        }
        SAMPLES.write(json.dumps(sample) + "\n")
