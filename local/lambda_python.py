"""`python -m local.lambda_python` prints the path of a CPython of Lambda's version, if this machine has one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

__all__ = ["VERSION", "find_python"]

#: The template's runtime and the images have the same version.
VERSION = "3.13"


def find_python(environment: Mapping[str, str]) -> str | None:
    """Return the one that FORGETLESS_PYTHON313 names, or one on PATH or among pyenv's versions."""
    root = Path(environment.get("PYENV_ROOT") or Path.home() / ".pyenv")
    on_path = shutil.which(f"python{VERSION}", path=environment.get("PATH"))
    named = [environment.get("FORGETLESS_PYTHON313"), on_path]
    found = [name for name in named if name] + [
        str(path) for path in sorted(root.glob(f"versions/{VERSION}.*/bin/python{VERSION}"))
    ]
    return next((candidate for candidate in found if _is_right(candidate)), None)


def main() -> int:
    """Print its path; return 1 if there is none."""
    found = find_python(os.environ)
    if found is None:
        print(
            f"forgetless: no python{VERSION} on PATH, in FORGETLESS_PYTHON313 or among pyenv's versions",
            file=sys.stderr,
        )
        return 1
    print(found)
    return 0


def _is_right(candidate: str) -> bool:
    script = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run((candidate, "-c", script), capture_output=True, text=True, check=False)
    except OSError:
        return False
    return done.stdout.strip() == VERSION


if __name__ == "__main__":
    sys.exit(main())
