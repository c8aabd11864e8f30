"""`python -m local.console_vendor`: fetches the console's libraries from npm and puts them among its files.

They are taken as they are published, but for two things: the address of a source map goes, and `preact` in an import
becomes the file beside it, because a browser resolves no names of packages.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

__all__ = ["FILES", "PACKAGES"]

VENDOR = Path(__file__).parents[1] / "layers/core/python/forgetless/api/console/assets/vendor"
PACKAGES = ("preact@11.2.0", "htm@3.1.1")
#: Each file of ours: the package and its file.
FILES = {
    "preact.mjs": ("preact@11.2.0", "dist/preact.mjs"),
    "hooks.mjs": ("preact@11.2.0", "hooks/dist/hooks.mjs"),
    "htm.mjs": ("htm@3.1.1", "dist/htm.mjs"),
}
_SOURCE_MAP = re.compile(r"\n?//# sourceMappingURL=.*")


def main() -> int:
    """Write all files anew."""
    with tempfile.TemporaryDirectory() as folder:
        homes = {package: _unpacked(package, Path(folder, str(place))) for place, package in enumerate(PACKAGES)}
        for name, (package, file) in FILES.items():
            text = _SOURCE_MAP.sub("", (homes[package] / file).read_text(encoding="utf-8"))
            text = text.replace('from"preact"', 'from"./preact.mjs"')
            (VENDOR / name).write_text(text.rstrip("\n") + "\n", encoding="utf-8")
        licences = [f"{package}\n\n{(homes[package] / 'LICENSE').read_text(encoding='utf-8')}" for package in PACKAGES]
        (VENDOR / "LICENSES.txt").write_text("\n\n".join(licences), encoding="utf-8")
    return 0


def _unpacked(package: str, folder: Path) -> Path:
    folder.mkdir()
    done = subprocess.run(["npm", "pack", "--silent", package], cwd=folder, check=True, capture_output=True, text=True)
    with tarfile.open(folder / done.stdout.strip()) as archive:
        archive.extractall(folder, filter="data")
    return folder / "package"


if __name__ == "__main__":
    sys.exit(main())
