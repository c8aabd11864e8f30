"""The command `keys`: create, list and revoke API keys, and register an existing one."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from forgetless.adapters.clock import SystemClock
from forgetless.cli_actions import add_action
from forgetless.cli_text import printable
from forgetless.domain.keys import Role
from forgetless.runtime.composition import build_ledger
from forgetless.runtime.settings import Settings
from forgetless.service.access.keys import KeyService, KeyStatus

__all__ = ["add_key_commands"]

_action = partial(add_action, of="key")


def add_key_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `keys` and its actions."""
    actions = commands.add_parser("keys", help="manage API keys").add_subparsers(required=True, metavar="ACTION")
    create = _action(actions, "create", "create a key and print it once", _create)
    create.add_argument("--role", type=Role, choices=list(Role), default=Role.WRITE, help="default: %(default)s")
    create.add_argument("--label", default="cli", help="a name for people (default: %(default)s)")
    create.add_argument(
        "--user-id", action="append", default=[], help="limit the key to this user; may be given several times"
    )
    _action(actions, "list", "the tenant's keys, newest first", _list)
    revoke = _action(actions, "revoke", "make a key invalid", _revoke)
    revoke.add_argument("id", help="its id, as `list` shows it")
    register = _action(actions, "add", "register the key in a file", _register)
    register.add_argument("--admin", action="store_true", help="an administrator's key")
    register.add_argument("--key-file", type=Path, required=True, help="the file with the key")


@contextmanager
def _keys(settings: Settings) -> Iterator[KeyService]:
    ledger = build_ledger(settings)
    try:
        yield KeyService(ledger=ledger, clock=SystemClock())
    finally:
        ledger.close()


def _create(settings: Settings, options: argparse.Namespace) -> int:
    with _keys(settings) as keys:
        _, secret = keys.create(options.tenant, label=options.label, role=options.role, users=options.user_id)
    print(secret)
    return 0


def _list(settings: Settings, options: argparse.Namespace) -> int:
    with _keys(settings) as keys:
        found = keys.list(options.tenant)
    for one in found:
        print(_line(one))
    return 0


def _revoke(settings: Settings, options: argparse.Namespace) -> int:
    with _keys(settings) as keys:
        key = keys.revoke(options.tenant, options.id)
    print(f"revoked {printable(key.prefix) or key.id}; it stops working everywhere within 30 s")
    return 0


def _register(settings: Settings, options: argparse.Namespace) -> int:
    secret = options.key_file.read_text(encoding="utf-8").strip()
    role = Role.ADMIN if options.admin else Role.WRITE
    with _keys(settings) as keys:
        keys.register(options.tenant, secret, role=role, label="cli")
    return 0


def _line(one: KeyStatus) -> str:
    key = one.key
    users = ",".join(key.users) or "all users"
    used = one.last_used_at or "never used"
    line = f"{key.id}  {key.prefix or '?':12}  {key.role:5}  {users}  {key.created_at}  {used}  {key.label}"
    return printable(line)
