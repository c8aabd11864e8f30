"""Changes the FastAPI of a layer so that its models of an OpenAPI document are built when one is first asked for.

FastAPI needs them for /openapi.json alone, but builds them whenever it is imported, which is a twentieth of a cold
start. Usage: defer_openapi_models.py FOLDER, the folder with the packages; fails if FastAPI is no longer as expected.
"""

import re
import sys
from pathlib import Path

_CONFIG = '    model_config = {"extra": "allow"}\n'
_DEFERRED = '    model_config = {"extra": "allow", "defer_build": True}\n'
#: Builds a model that refers to ones below it. A deferred one finds them by itself.
_REBUILD = re.compile(r"^[A-Z]\w+\.model_rebuild\(\)\n", re.MULTILINE)


def main(folder: Path) -> None:
    """Change the file in place."""
    file = folder / "fastapi" / "openapi" / "models.py"
    text = file.read_text()
    text, rebuilds = _REBUILD.subn("", text)
    if text.count(_CONFIG) != 1 or not rebuilds:
        sys.exit(f"{file} is not as expected: see whether its models can still be deferred")
    # A new file, because what pip installs may be linked to its cache.
    file.unlink()
    file.write_text(text.replace(_CONFIG, _DEFERRED))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
