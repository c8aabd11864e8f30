"""How a command that has actions adds them: `forgetless keys list`, `forgetless jobs watch`."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from forgetless.runtime.settings import Settings

__all__ = ["add_action"]


def add_action(
    actions: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    text: str,
    run: Callable[[Settings, argparse.Namespace], int],
    *,
    of: str,
) -> argparse.ArgumentParser:
    """Add an action with the option --tenant, the tenant `of` a key or a job; `run` returns the exit code."""
    parser = actions.add_parser(name, help=text)
    parser.add_argument("--tenant", default="default", help=f"the tenant of the {of} (default: %(default)s)")
    parser.set_defaults(run=run)
    return parser
