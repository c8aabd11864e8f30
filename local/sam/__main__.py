"""`python -m local.sam up|down` runs the service under `sam local start-api`, in the foreground."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from local.private_files import keep_private
from local.sam.parts import BUILT, SAM, Ports, SamSettings, parts_of
from local.up.down import down
from local.up.errors import UpError
from local.up.keys import api_key, forget_given
from local.up.parts import Part
from local.up.settings import Settings, add_options, read_settings
from local.up.up import run

#: The address of Docker's bridge by default.
_BRIDGE = "172.17.0.1"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return 0, or 1 after one line on stderr that names the reason."""
    keep_private()
    options = _parser().parse_args(arguments)
    settings = replace(read_settings(options, os.environ), beside=None)  # its ledger is new at each start
    settings = replace(settings, state=settings.state / "sam") if options.state is None else settings
    try:
        if options.command == "down":
            print(down(settings.state))
        else:
            _up(settings, Ports(options.milvus_port, options.dynamodb_port, options.functions_port), os.environ)
    except (UpError, OSError) as error:
        print(f"forgetless: {error}", file=sys.stderr)
        return 1
    return 0


def _up(settings: Settings, ports: Ports, environment: Mapping[str, str]) -> None:
    for needed, fix in ((SAM, "make build"), (BUILT / "template.yaml", "make build")):
        if not needed.exists():
            raise UpError(f"{needed} is missing; make it with: {fix}")
    given = environment.get("AWS_ENDPOINT_URL_DYNAMODB", "")
    whole = SamSettings(replace(settings, host=_bridge()), ports, given)

    @contextmanager
    def prepare() -> Iterator[tuple[list[Part], str]]:
        _, key_file = api_key(settings.state, environment)
        try:
            yield parts_of(whole, environment, key_file), _block(settings, whole)
        finally:
            forget_given(settings.state)

    run(whole.up, prepare, command="make sam-local")


def _block(settings: Settings, whole: SamSettings) -> str:
    ledger = "moto's DynamoDB: it is lost when this stops" if not whole.dynamodb_url else whole.dynamodb_url
    return (
        f"Forgetless is ready under sam local: http://127.0.0.1:{settings.port}\n"
        f"key:    {settings.state / 'api_key'}\nledger: {ledger}"
    )


def _bridge() -> str:
    """Return this machine's address on Docker's bridge: only containers can reach what listens there."""
    command = ("docker", "network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}")
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    if told.returncode:
        raise UpError("no Docker engine answers; sam local needs one")
    return told.stdout.strip() or _BRIDGE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local.sam", description=__doc__)
    chosen = parser.add_subparsers(dest="command", required=True)
    for name, text in (("up", "start and stay in the foreground"), ("down", "stop what `up` started")):
        command = chosen.add_parser(name, help=text)
        add_options(command)
        ports = Ports()
        command.add_argument("--milvus-port", type=int, default=ports.milvus, help="port of Milvus Lite")
        command.add_argument("--dynamodb-port", type=int, default=ports.dynamodb, help="port of moto's DynamoDB")
        command.add_argument(
            "--functions-port", type=int, default=ports.functions, help="port of sam local start-lambda"
        )
    return parser


if __name__ == "__main__":
    sys.exit(main())
