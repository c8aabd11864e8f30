"""The command `keys`: create, list, rotate and revoke API keys, and register an existing one."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from forgetless.adapters.clock import SystemClock
from forgetless.cli.actions import add_action
from forgetless.cli.quotas import add_key_quotas, add_quota_option
from forgetless.cli.text import printable
from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.identifiers import new_identifier
from forgetless.domain.key_limits import ANY, KeyLimits
from forgetless.domain.keys import ApiKey, Role
from forgetless.domain.times import read_time
from forgetless.runtime.composition import build_ledger
from forgetless.runtime.settings import Settings
from forgetless.service.access.keys import KeyService, KeyStatus

__all__ = ["add_key_commands"]

_action = partial(add_action, of="key")

#: As over HTTP.
MAX_OVERLAP_HOURS = 720
_OPEN = (
    "warning: a limited key with `*` may read and write what its users say to every agent or app. So may every limited "
    "key of an earlier version. To narrow one, create another key with --agent-id and --app-id, and revoke this one."
)


def add_key_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `keys` and its actions."""
    actions = commands.add_parser("keys", help="manage API keys").add_subparsers(required=True, metavar="ACTION")
    create = _action(actions, "create", "create a key and print it once", _create)
    create.add_argument("--role", type=Role, choices=list(Role), default=Role.WRITE, help="default: %(default)s")
    create.add_argument("--label", default="cli", help="a name for people (default: %(default)s)")
    create.add_argument(
        "--user-id", action="append", default=[], help="limit the key to this user; may be given several times"
    )
    for name, what in (("agent", "agent"), ("app", "app")):
        create.add_argument(
            f"--{name}-id",
            action="append",
            default=[],
            help=f"an {what} that a limited key may use; * for all; may be given several times (default: none)",
        )
    create.add_argument("--expires-at", help="refuse the key from this time on, or after this day, such as 2027-01-31")
    add_quota_option(create)
    add_key_quotas(actions)
    _action(actions, "list", "the tenant's keys, newest first", _list)
    revoke = _action(actions, "revoke", "make a key invalid", _revoke)
    revoke.add_argument("id", help="its id, as `list` shows it")
    rotate = _action(actions, "rotate", "create a successor and print it once; the old key ends later", _rotate)
    rotate.add_argument("id", help="the old key's id, as `list` shows it")
    rotate.add_argument(
        "--overlap-hours", type=float, default=24.0, help="how long the old key stays valid (default: %(default)s)"
    )
    register = _action(actions, "add", "register the key in a file", _register)
    register.add_argument("--admin", action="store_true", help="an administrator's key")
    register.add_argument("--key-file", type=Path, required=True, help="the file with the key")


@contextmanager
def _keys(settings: Settings) -> Iterator[KeyService]:
    ledger = build_ledger(settings)
    try:
        yield KeyService(ledger=ledger, clock=SystemClock(), most=None)  # an operator may make any number
    finally:
        ledger.close()


def _create(settings: Settings, options: argparse.Namespace) -> int:
    with _keys(settings) as keys:
        _, secret = keys.create(
            options.tenant,
            label=options.label,
            role=options.role,
            limits=KeyLimits(
                tuple(new_identifier("--user-id", id_) for id_ in options.user_id),
                tuple(_listed("--agent-id", id_) for id_ in options.agent_id),
                tuple(_listed("--app-id", id_) for id_ in options.app_id),
            ),
            expires_at=_time(options.expires_at),
            quotas=options.quota,
        )
    print(secret)
    return 0


def _rotate(settings: Settings, options: argparse.Namespace) -> int:
    if not 0 <= options.overlap_hours <= MAX_OVERLAP_HOURS:
        raise InvalidRequestError(f"--overlap-hours: give 0 to {MAX_OVERLAP_HOURS}")
    with _keys(settings) as keys:
        key, secret, old = keys.rotate(options.tenant, options.id, overlap_s=options.overlap_hours * 3600)
    print(secret)
    print(f"{key.id} replaces {old.id}, which is refused from {old.ends_at} on", file=sys.stderr)
    return 0


def _list(settings: Settings, options: argparse.Namespace) -> int:
    with _keys(settings) as keys:
        is_open = False
        for one in keys.each(options.tenant):
            print(_line(one))
            is_open = is_open or ANY in (*one.key.agents, *one.key.apps)
    if is_open:
        print(_OPEN, file=sys.stderr)
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
    used = one.last_used_at or "never used"
    ends = "" if key.ends_at is None else f"  until {key.ends_at}"
    parts = (
        key.id,
        f"{key.prefix or '?':12}",
        f"{key.role:5}",
        _whose(key),
        f"{key.created_at}{ends}",
        used,
        key.label,
    )
    return printable("  ".join(parts))


def _whose(key: ApiKey) -> str:
    if key.limits is None:
        return "all users"
    lists = {"agents": key.agents, "apps": key.apps}
    more = " ".join(f"{name}: {','.join(ids) or 'none'}" for name, ids in lists.items())
    return f"{','.join(key.users)} ({more})"


def _listed(name: str, given: str) -> str:
    return ANY if given.strip() == ANY else new_identifier(name, given)


def _time(given: str | None) -> str | None:
    try:
        return None if given is None else read_time(given)
    except ValueError:
        raise InvalidRequestError(f"--expires-at: {given!r} is not a day or a time such as 2027-01-31") from None
