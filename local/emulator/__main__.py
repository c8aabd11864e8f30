"""The command line: `python -m local.emulator --template FILE`."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

import uvloop

from local.emulator import announcement
from local.emulator.emulator import Emulator, run
from local.emulator.samconfig import config_beside, config_parameters
from local.emulator.servers import PortInUseError
from local.emulator.settings import Overrides, Settings, read_limits, read_overrides, read_parameters
from local.emulator.specs import TemplateError
from local.emulator.sqs.queue_file import StateError
from local.private_files import keep_private

#: The template, a file beside it or an argument cannot be used.
EXIT_USAGE = 2
#: A port is in use.
EXIT_PORT = 3
#: The variable with the session token that clients of the queue must send. It is no option, as others see those.
_QUEUE_TOKEN = "EMULATOR_QUEUE_TOKEN"  # noqa: S105 - the variable's name

_EXAMPLES = """examples:
  python -m local.emulator --template template.yaml --reload
  python -m local.emulator --template template.yaml --state .emulator --max-environments 4 SlowFunction=16
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the emulator until SIGINT or SIGTERM and return the exit code."""
    keep_private()
    options = _parser().parse_args(arguments)
    try:
        settings = _settings(options)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_run(settings))
    except (TemplateError, StateError, OSError) as error:
        print(error, file=sys.stderr)
        return EXIT_USAGE
    except PortInUseError as error:
        print(error, file=sys.stderr)
        return EXIT_PORT
    return 0


async def _run(settings: Settings) -> None:
    stopped, loop = asyncio.Event(), asyncio.get_running_loop()
    # Set explicitly: a process started from a script in the background has SIGINT ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    await run(settings, _ready, stopped)


def _ready(emulator: Emulator) -> None:
    for line in announcement.lines(emulator):
        print(line, file=sys.stderr, flush=True)
    print(announcement.ready_line(emulator), flush=True)


def _settings(options: argparse.Namespace) -> Settings:
    everywhere, named = read_limits(options.max_environments)
    template = options.template.resolve()
    state = options.state or template.parent / ".emulator" / template.stem
    _refuse_shared_ports(options)
    return Settings(
        template=template,
        state=state.resolve(),
        host=options.host,
        port=options.port,
        queue_port=options.queue_port,
        invoke_port=options.invoke_port,
        metrics_port=options.metrics_port,
        url_port=options.url_port,
        overrides=read_overrides(options.env_vars) if options.env_vars else Overrides(),
        parameters=read_parameters(options.parameter),
        config_parameters=_of_samconfig(template, options),
        max_environments=everywhere,
        max_by_function=named,
        region=os.environ.get("AWS_REGION") or "us-east-1",
        freeze=options.freeze,
        fork=options.fork,
        with_moto=options.with_moto,
        packages=_folders(options.packages),
        reload=options.reload,
        functions_at=options.functions_at,
        trust_tokens=options.trust_tokens,
        open_routes=options.open_routes,
        queue_token=os.environ.get(_QUEUE_TOKEN, ""),
        allowed_hosts=tuple(name.lower() for name in options.allow_host),
        mapping=f"/{options.mapping.strip('/')}".rstrip("/"),
    )


def _of_samconfig(template: Path, options: argparse.Namespace) -> dict[str, str]:
    path = options.config_file or config_beside(template)
    return config_parameters(path, options.config_env) if path else {}


def _folders(given: list[Path]) -> tuple[Path, ...]:
    for folder in given:
        if not folder.is_dir():
            raise TemplateError(f"--packages {folder}: there is no such folder")
    return tuple(folder.resolve() for folder in given)


def _refuse_shared_ports(options: argparse.Namespace) -> None:
    seen: dict[int, str] = {}
    for name in ("port", "queue_port", "invoke_port", "metrics_port"):
        option, port = f"--{name.replace('_', '-')}", getattr(options, name)
        if port and port in seen:
            raise TemplateError(f"{seen[port]} and {option} are both {port}: give each a port of its own")
        if port:
            seen[port] = option


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m local.emulator",
        description="API Gateway, Lambda and SQS on this machine, from a SAM template.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--template", type=Path, required=True, metavar="FILE", help="the SAM template")
    add("--state", type=Path, metavar="DIR",
        help="folder of queues and logs; survives restarts (default: .emulator/NAME beside the template)")  # fmt: skip
    add("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    add("--port", type=int, default=3000, help="port of the gateway, 0 for any (default %(default)s)")
    add("--queue-port", type=int, default=9324, help="port of SQS and the status (default %(default)s)")
    add("--invoke-port", type=int, help="port of Lambda's Invoke API, for example 3001 (default: not served)")
    add("--url-port", type=int, default=3100,
        help="port of the first function's own URL, the next ones follow; 0 for any (default %(default)s)")  # fmt: skip
    add("--metrics-port", type=int, help="port of /metrics for Prometheus, for example 9464 (default: not served)")
    add("--allow-host", action="append", default=[], metavar="NAME",
        help="a name that Host headers to the gateway may have, besides localhost; * for any")  # fmt: skip
    add("--mapping", default="", metavar="PATH",
        help="a path, such as orders, below which the API is there too, as with a domain's API mapping")  # fmt: skip
    add("--env-vars", type=Path, metavar="FILE.json", help="variables, in the format of sam local --env-vars")
    add("--with-moto", action="store_true",
        help="run moto for the other services of AWS, with the template's tables, buckets and parameters")  # fmt: skip
    add("--packages", action="append", default=[], type=Path, metavar="FOLDER",
        help="a folder of installed packages that functions may import besides boto3; may be repeated")  # fmt: skip
    add("--config-file", type=Path, metavar="FILE",
        help="a samconfig with parameter_overrides (default: samconfig.toml beside the template)")  # fmt: skip
    add("--config-env", default="default", metavar="NAME", help="which environment of it (default %(default)s)")
    add("--parameter", action="append", default=[], metavar="NAME=VALUE", help="a parameter of the template")
    add("--max-environments", nargs="+", action="extend", default=[], metavar="N | FUNCTION=N",
        help="most environments of every or one function (default: the template's, else twice the cores)")  # fmt: skip
    add("--freeze", action="store_true", help="stop environments between invocations, as Lambda does")
    add("--fork", action="store_true",
        help="initialise each function once and fork its environments, as SnapStart restores them")  # fmt: skip
    add("--reload", action="store_true", help="apply changes of code and template without a restart")
    add("--functions-at", default="", metavar="URL",
        help="invoke functions at this URL (as of `sam local start-lambda`) instead of running them here")  # fmt: skip
    add(
        "--trust-tokens",
        action="store_true",
        help="believe the tokens of routes that ask for Cognito, JWT or IAM: their claims reach the event unverified",
    )
    add("--open-routes", action="store_true",
        help="let every request with a token through to such routes, without reading it")  # fmt: skip
    return parser


if __name__ == "__main__":
    sys.exit(main())
