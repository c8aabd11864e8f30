"""What a function may import besides its own code: the runtime's client and boto3, as on Lambda, and nothing else.

The emulator's own environment holds far more. A function that imported from it would work here and fail on AWS.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

__all__ = ["BOOT", "PARENT_BOOT", "RuntimePackages", "import_hint"]

#: What Lambda's own runtimes for Python hold.
_RUNTIME = ("awslambdaric", "boto3")
_NAME = re.compile(r"[A-Za-z0-9._-]+")
#: -S keeps away the packages of the emulator's interpreter; it also takes away `exit` and `quit`, which Lambda has.
_START = "import site, sys; site.setquit(); site.setcopyright(); site.sethelper(); "
BOOT = ("-S", "-c", f"{_START}from awslambdaric.__main__ import main; main(sys.argv)")
#: Boots `fork_parent.py`. Its folder is searched for it alone, and last.
PARENT_BOOT = (
    "-S", "-c",
    f"{_START}sys.modules['runtime_client'] = None; sys.path.append({str(Path(__file__).parent)!r}); "
    "from fork_parent import main; sys.path.pop(); main(sys.argv)",
)  # fmt: skip
_MISSING_MODULE = re.compile(r"No module named '([^'.]+)")


class RuntimePackages:
    """A folder of links to the packages of the runtime."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def link(self) -> None:
        """Make the links anew, because another interpreter may have made those that are there."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        for name in _with_requirements(_RUNTIME):
            for target in _top_level(name):
                link = self.folder / target.name
                if not link.exists():
                    link.symlink_to(target)


def _with_requirements(names: tuple[str, ...]) -> list[str]:
    """Return the names of distributions and of everything installed that they require, without extras."""
    found: list[str] = []
    waiting = list(names)
    while waiting:
        name = waiting.pop().lower().replace("_", "-")
        if name in found:
            continue
        try:
            requirements = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue  # one that this interpreter or system does not need
        found.append(name)
        waiting += [match[0] for text in requirements if "extra ==" not in text and (match := _NAME.match(text))]
    return found


def _top_level(name: str) -> Iterator[Path]:
    """Yield the files and folders of a distribution that lie beside those of others."""
    distribution = metadata.distribution(name)
    names = {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}
    return (Path(str(distribution.locate_file(first))) for first in sorted(names))


def import_hint(text: str) -> str:
    """Return what to do about an error that says that a module is missing; empty for other errors."""
    found = _MISSING_MODULE.search(text)
    if found is None or found[1] in sys.stdlib_module_names:
        return ""
    return (
        f"{found[1]} is neither in the function's code nor in its layers: run `sam build` and give --template "
        ".aws-sam/build/template.yaml, or give the folder in which it is installed: --packages FOLDER"
    )
