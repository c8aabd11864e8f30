"""`make audit`: asks pip-audit about every package of every lock file; to have asked about nothing is a failure.

pip-audit itself ends well when its database knows none of the packages, or does not answer about them. So a version
whose vulnerabilities have been known for years is asked about first: a database that does not know these tells nothing.

Exit code 0: everything was looked up and nothing is known. 1: something is known, or a package could not be looked up.
3: the database does not answer here, so nothing was looked up.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local.lock import LOCKS, ROOT, locked

__all__ = ["CANNOT", "FAULT", "Answer", "audit", "verdict"]

FAULT, CANNOT = 1, 3
#: Known to be vulnerable: CVE-2014-1402, CVE-2016-10745, CVE-2019-10906 and more.
CANARY = ("jinja2", "2.4.1")
_TIMEOUT_S = 900


@dataclass(frozen=True, slots=True)
class Answer:
    """What pip-audit said: the vulnerabilities of each package that it looked up, and why it did not look others up."""

    known: Mapping[str, list[str]] = field(default_factory=dict)
    skipped: Mapping[str, str] = field(default_factory=dict)
    failed: str = ""


def audit(program: Path, packages: Mapping[str, str]) -> Answer:
    """Ask about these versions, by name."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "packages.txt"
        # The digests are checked when packages are installed; pip-audit only wants there to be some.
        lines = [f"{name}=={version} --hash=sha256:{'0' * 64}\n" for name, version in packages.items()]
        file.write_text("".join(lines), encoding="utf-8")
        command = [str(program), "--require-hashes", "--disable-pip", "--progress-spinner", "off", "--format", "json"]
        try:
            done = subprocess.run(
                [*command, "-r", str(file)], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
            )
            found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
        except (OSError, subprocess.TimeoutExpired) as error:
            return Answer(failed=type(error).__name__)
        except (ValueError, KeyError, TypeError):
            said = done.stderr.strip().splitlines()
            return Answer(failed=said[-1] if said else f"pip-audit ended with {done.returncode}")
    return Answer(
        {one["name"]: [vuln["id"] for vuln in one["vulns"]] for one in found if "vulns" in one},
        {one["name"]: one.get("skip_reason", "") for one in found if "vulns" not in one},
    )


def verdict(canary: Answer, answers: Mapping[str, Answer]) -> tuple[int, list[str]]:
    """The exit code and what to say, of the answers by lock file."""
    if not any(canary.known.values()):
        reason = canary.failed or next(
            iter(canary.skipped.values()), "it knows nothing of a version known to be vulnerable"
        )
        return CANNOT, [f"nothing was audited: the database of vulnerabilities does not answer here ({reason})"]
    lines: list[str] = []
    for file, answer in answers.items():
        lines += [f"{file}: pip-audit failed: {answer.failed}"] if answer.failed else []
        lines += [f"{file}: {name}: not looked up: {reason}" for name, reason in answer.skipped.items()]
        lines += [f"{file}: {name}: {', '.join(ids)}" for name, ids in answer.known.items() if ids]
        lines += [f"{file}: nothing was audited"] if not (answer.known or answer.failed) else []
    count = sum(len(answer.known) for answer in answers.values())
    return (
        (FAULT, lines) if lines else (0, [f"{count} packages of {len(answers)} lock files: no vulnerability is known"])
    )


def main() -> int:
    """Audit all lock files."""
    program = Path(sys.executable).parent / "pip-audit"
    canary = audit(program, dict([CANARY]))
    answers: dict[str, Answer] = {}
    if verdict(canary, {})[0] != CANNOT:
        for lock in LOCKS:
            packages = {name: version for name, (version, _) in locked(ROOT / lock.file).items()}
            answers[lock.file] = audit(program, packages)
    code, lines = verdict(canary, answers)
    print(*(f"forgetless: {line}" for line in lines), sep="\n", file=sys.stderr if code else sys.stdout, flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
