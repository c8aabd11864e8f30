"""`make cost`: prints what a month of a deployment costs, by service, and how each line comes about."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from local.cost import page
from local.cost.bill import Bill, quantity_text
from local.cost.deployment import read_deployment
from local.cost.month import month
from local.cost.operations import read_operations
from local.cost.plan import Choices, Embedder, Index, Plan, Usage
from local.cost.tables import CostError, LlmPrice, read_assumptions, read_prices

__all__ = ["main", "plan_of"]

_LETTERS = {"k": 1e3, "M": 1e6, "G": 1e9}
_USAGE = {
    "users": "people; with --memories it says how many memories one has",
    "adds": "adds in the month",
    "searches": "searches in the month",
    "memories": "memories that are stored all month",
    "lists": "pages of lists",
    "updates": "updates of a memory",
    "deletes": "deletions of a memory",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the bill, or the page docs/cost.md."""
    options = _parser().parse_args(arguments)
    try:
        if options.page:
            print(page.page(), end="")
            return 0
        plan = plan_of(options)
        bill = month(plan, free_tier=options.free_tier)
        idle = month(replace(plan, usage=Usage(extract_share=plan.usage.extract_share)), free_tier=options.free_tier)
    except CostError as error:
        print(f"make cost: {error}", file=sys.stderr)
        return 2
    print(_as_json(plan, bill, idle) if options.json else _as_text(plan, bill, idle))
    return 0


def plan_of(options: argparse.Namespace) -> Plan:
    """What the options ask for."""
    prices = read_prices(options.prices)
    architecture = [f"Architecture={options.architecture}"] if options.architecture else []
    embedder = Embedder(options.embedder)
    gateways = options.nat_gateways
    if gateways is None:
        gateways = 1 if embedder is Embedder.FARGATE else 0
    model = "an LLM" if options.llm_price else options.llm_model
    return Plan(
        usage=Usage(extract_share=options.extract, **{name: getattr(options, name) for name in _USAGE}),
        choices=Choices(embedder, Index(options.index), model, gateways),
        deployment=read_deployment([*options.parameter, *architecture]),
        operations=read_operations(),
        assumptions=read_assumptions(options.assume),
        prices=prices,
        model=options.llm_price or prices.model(options.llm_model),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make cost ARGS=", description=__doc__)
    for name, about in _USAGE.items():
        parser.add_argument(f"--{name}", type=_number, default=0.0, metavar="N", help=f"{about}; 300000, 300k or 0.3M")
    parser.add_argument(
        "--extract", type=_share, default=1.0, metavar="SHARE",
        help="share of the adds that an LLM turns into facts, 0 to 1; the others are verbatim (default 1)",
    )  # fmt: skip
    parser.add_argument("--embedder", choices=[*Embedder], default="lambda", help="template-embedder.yaml's Kind")
    parser.add_argument("--index", choices=[*Index], default="zilliz-serverless", help="where Milvus is")
    parser.add_argument("--llm-model", default=Choices.llm, help="a model of the price list (default %(default)s)")
    parser.add_argument(
        "--llm-price", type=_llm_price, metavar="INPUT,OUTPUT", help="another model: dollars for a million tokens"
    )
    parser.add_argument("--architecture", help="x86_64 or arm64 (the templates' parameter Architecture)")
    parser.add_argument(
        "--parameter", action="append", default=[], metavar="NAME=VALUE", help="a parameter of the templates"
    )
    parser.add_argument(
        "--assume",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="another value in local/cost/assumptions.toml",
    )
    parser.add_argument(
        "--nat-gateways", type=int, metavar="N", help="NAT gateways (default: 1 with the embedder on Fargate, else 0)"
    )
    parser.add_argument(
        "--prices", type=Path, metavar="FILE", help="prices that replace those of local/cost/prices.toml"
    )
    parser.add_argument("--free-tier", action="store_true", help="take off what AWS gives every account for ever")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--page", action="store_true", help="print docs/cost.md instead")
    return parser


def _number(text: str) -> float:
    """A number of things, also as 300k or 0.3M."""
    factor = _LETTERS.get(text[-1:], 1.0)
    try:
        number = float(text[:-1] if text[-1:] in _LETTERS else text) * factor
    except ValueError:
        number = -1.0
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 on: write 300000, 300k or 0.3M")
    return number


def _share(text: str) -> float:
    number = _number(text)
    if number > 1:
        raise argparse.ArgumentTypeError(f"{text} is more than all: write a share from 0 to 1, for example 0.5")
    return number


def _llm_price(text: str) -> LlmPrice:
    first, _, second = text.partition(",")
    return LlmPrice(_number(first), _number(second), "--llm-price")


def _as_text(plan: Plan, bill: Bill, idle: Bill) -> str:
    prices, sums = plan.prices, bill.by_service()
    width = max((len(row.item) for row in bill.rows), default=0)
    lines = [f"A month in {prices.region} by list prices of {prices.date}, in US dollars, operations as measured on "
             f"{plan.operations.measured}:"]  # fmt: skip
    service = ""
    for row in bill.rows:
        if row.service != service:
            service = row.service
            lines += ["", f"{sums[service]:>10,.2f}  {service}"]
        amount = f"{quantity_text(row.quantity)} {row.unit}"
        lines.append(f"{row.usd:>12,.2f}  {row.item:{width}}  {amount:20}  {row.why}")
    lines += ["", f"{bill.total():>10,.2f}  in all"]
    if plan.usage.users:
        lines.append(f"{bill.total() / plan.usage.users:>10,.4f}  for each of {quantity_text(plan.usage.users)} users")
    lines.append(f"{idle.total():>10,.2f}  of it would be billed without any use and without any memory")
    return "\n".join(lines)


def _as_json(plan: Plan, bill: Bill, idle: Bill) -> str:
    content = {
        "prices": plan.prices.date,
        "region": plan.prices.region,
        "operations_measured": plan.operations.measured,
        "usage": asdict(plan.usage),
        "choices": asdict(plan.choices),
        "services": {name: round(usd, 4) for name, usd in bill.by_service().items()},
        "rows": [asdict(row) for row in bill.rows],
        "total_usd": round(bill.total(), 4),
        "idle_usd": round(idle.total(), 4),
    }
    return json.dumps(content, indent=1)
