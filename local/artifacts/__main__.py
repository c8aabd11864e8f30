import argparse
import sys
from pathlib import Path

from local.artifacts.build import ARCHITECTURES, faults, lines, read_build
from local.emulator.specs import TemplateError


def main() -> int:
    """Print the sizes of what `sam build` made; return 1 when it must not be deployed."""
    parser = argparse.ArgumentParser(prog="python -m local.artifacts", description=main.__doc__)
    parser.add_argument("--build", type=Path, default=Path(".aws-sam/build"), help="sam's build folder")
    parser.add_argument("--arch", choices=sorted(ARCHITECTURES.values()), default="x86_64")
    options = parser.parse_args()
    try:
        build = read_build(options.build)
    except TemplateError as error:
        print(f"make build comes first: {error}", file=sys.stderr)
        return 1
    print(*lines(build), sep="\n")
    if not all(layer.bytecode() for layer in build.layers.values()):
        print("no bytecode for python3.13 in some layer: cold starts will take three times as long")
    found = list(faults(build, options.arch))
    print(*found, sep="\n", end="\n" if found else "", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
