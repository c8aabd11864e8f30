"""The command `usage`, and the quotas of `tenants` and `keys`: what tenants and keys may use, and what they used."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from forgetless.adapters.clock import SystemClock
from forgetless.cli.actions import add_action
from forgetless.cli.text import printable
from forgetless.domain.quotas import QuotaName, Quotas
from forgetless.domain.usage import OF_TENANT, UsageKind
from forgetless.ports.ledger import Ledger
from forgetless.ports.usage import UsageRow
from forgetless.runtime.composition import build_ledger
from forgetless.runtime.settings import Settings
from forgetless.service.access.keys import CACHE_S, KeyService
from forgetless.service.access.tenant_quotas import TenantQuotas
from forgetless.service.access.usage_reports import check_days

__all__ = ["add_key_quotas", "add_quota_option", "add_tenant_quotas", "add_usage_command"]

_PAGE = 500
_QUOTAS = f"NAME=NUMBER, NAME=none for no limit, or NAME=default; may be given several times. {', '.join(QuotaName)}"


def add_tenant_quotas(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `tenants set` and `tenants show`."""
    for name, help_, run in (
        ("set", "set quotas of a tenant", _set_tenant),
        ("show", "show the quotas of a tenant", _show_tenant),
    ):
        action = actions.add_parser(name, help=help_, description=f"{help_.capitalize()}.")
        action.add_argument("tenant", metavar="NAME", help="the tenant")
        action.set_defaults(run=run)
        if name == "set":
            add_quota_option(action, required=True)


def add_key_quotas(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `keys set`."""
    action = add_action(actions, "set", "set quotas of a key", _set_key, of="key")
    action.add_argument("id", help="its id, as `list` shows it")
    add_quota_option(action, required=True)


def add_quota_option(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    """Add `--quota`."""
    parser.add_argument(
        "--quota", action="append", default=None if required else [], required=required, metavar="QUOTA", help=_QUOTAS
    )


def add_usage_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `usage`."""
    usage = commands.add_parser("usage", help="what a tenant and its keys used, by day")
    usage.add_argument("--tenant", default="default", help="default: %(default)s")
    usage.add_argument("--from", dest="first", help="the first day, such as 2026-11-01 (default: of the month)")
    usage.add_argument("--to", dest="last", help="the last day (default: today, in UTC)")
    usage.add_argument("--by-key", action="store_true", help="each key by itself, instead of the tenant")
    usage.add_argument("--json", action="store_true", help="one JSON object for each line")
    usage.set_defaults(run=_usage)


@contextmanager
def _ledger(settings: Settings) -> Iterator[Ledger]:
    ledger = build_ledger(settings)
    try:
        yield ledger
    finally:
        ledger.close()


def _set_tenant(settings: Settings, options: argparse.Namespace) -> int:
    with _ledger(settings) as ledger:
        known = bool(ledger.all_keys(options.tenant, limit=1)[0])
        quotas = TenantQuotas(ledger=ledger, clock=SystemClock()).set(options.tenant, options.quota)
    _print(quotas, settings.quotas.tenant)
    if not known:
        print(f"tenant {printable(options.tenant)} has no keys yet; its first key will have them", file=sys.stderr)
    print(f"in force everywhere within {CACHE_S:g} s", file=sys.stderr)
    return 0


def _show_tenant(settings: Settings, options: argparse.Namespace) -> int:
    with _ledger(settings) as ledger:
        _print(TenantQuotas(ledger=ledger, clock=SystemClock()).get(options.tenant), settings.quotas.tenant)
    return 0


def _set_key(settings: Settings, options: argparse.Namespace) -> int:
    with _ledger(settings) as ledger:
        keys = KeyService(ledger=ledger, clock=SystemClock())
        key = keys.set_quotas(options.tenant, options.id, options.quota)
    _print(key.quotas, settings.quotas.key)
    print(f"in force everywhere within {CACHE_S:g} s", file=sys.stderr)
    return 0


def _print(quotas: Quotas, defaults: Quotas) -> None:
    own = dict(quotas)
    limits = list(quotas.over(defaults))
    if not limits:
        print("no quotas", file=sys.stderr)
    for name, limit in limits:
        origin = "" if name in own else "  (from the settings)"
        print(f"{name:22} {'none' if limit is None else limit}{origin}")


def _usage(settings: Settings, options: argparse.Namespace) -> int:
    first, last = check_days(options.first, options.last, SystemClock().now())
    show = partial(_show_row, as_json=options.json, by_key=options.by_key)
    with _ledger(settings) as ledger:
        rows = _by_key(ledger, options.tenant, first, last) if options.by_key else iter(())
        if not options.by_key:
            rows = iter(ledger.usage_of(options.tenant, OF_TENANT, first=first, last=last))
        count = 0
        for count, row in enumerate(rows, 1):
            if count == 1 and not options.json:
                print("  ".join(["day       ", *(["key" + " " * 33] if options.by_key else []), *UsageKind]))
            show(row)
    if not count:
        print(f"nothing from {first} to {last}", file=sys.stderr)
    return 0


def _by_key(ledger: Ledger, tenant: str, first: str, last: str) -> Iterator[UsageRow]:
    cursor: str | None = None
    while True:
        page = ledger.usage_by_key(tenant, first=first, last=last, limit=_PAGE, cursor=cursor)
        yield from page.rows
        cursor = page.cursor
        if cursor is None:
            return


def _show_row(row: UsageRow, *, as_json: bool, by_key: bool) -> None:
    counts = {str(kind): row.counts.get(kind, 0) for kind in UsageKind}
    if as_json:
        print(json.dumps({"day": row.day, **({"key_id": row.key_id} if by_key else {}), **counts}))
        return
    key = [f"{row.key_id:36}"] if by_key else []
    print("  ".join([row.day, *key, *(f"{number:>{len(kind)}}" for kind, number in counts.items())]))
