"""Runs `up` over fake parts: run_fake_parts.py STATE PARTS, with PARTS a JSON list of parts without environment."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.up.errors import UpError
from local.up.parts import Part
from local.up.settings import Settings
from local.up.supervisor import Pace
from local.up.up import run

FAKE_PROCESS = str(Path(__file__).with_name("fake_process.py"))


def part(role: str, argument: str, given: dict[str, object]) -> Part:
    command = (sys.executable, FAKE_PROCESS, role, argument)
    lists = {name: tuple(given.pop(name)) for name in ("after", "only_if") if name in given}  # type: ignore[call-overload]
    return Part(command=command, environment=os.environ, **lists, **given)  # type: ignore[arg-type]


@contextmanager
def prepared(state: Path, parts: list[Part]) -> Iterator[tuple[list[Part], str]]:
    (state / "prepared").touch()
    yield parts, "READY"
    (state / "prepared").unlink()


def main() -> int:
    settings = Settings(state=Path(sys.argv[1]))
    parts = [part(given.pop("role"), given.pop("says", ""), given) for given in json.loads(sys.argv[2])]
    pace = Pace(look=0.02, pause=0.05, longest_pause=0.1)
    try:
        run(settings, lambda: prepared(settings.state, parts), pace=pace)
    except UpError as error:
        print(f"forgetless: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
