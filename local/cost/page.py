"""docs/cost.md: page.md with the bill for three sizes, the floor of each choice, and the measured operations."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from string import Template

from local.cost.bill import quantity_text
from local.cost.deployment import read_deployment
from local.cost.month import month
from local.cost.operations import Operations, read_operations
from local.cost.plan import Choices, Embedder, Index, Plan, Usage
from local.cost.tables import read_assumptions, read_prices

__all__ = ["SIZES", "page"]

_PAGE = Path(__file__).with_name("page.md")

SIZES = {
    "small": Usage(users=100, adds=3_000, searches=10_000, memories=10_000),
    "middle": Usage(users=10_000, adds=300_000, searches=1_000_000, memories=1_000_000),
    "large": Usage(users=100_000, adds=5_000_000, searches=20_000_000, memories=10_000_000),
}


_SHOWN = {
    "add_verbatim": "verbatim add of one message",
    "add_accepted": "add for the LLM, accepted",
    "ingest_without_facts": "its extraction, without a fact",
    "ingest_with_two_facts": "its extraction, with two facts",
    "search": "search",
    "list_page": "page of ten, with the count",
    "update": "update",
    "delete": "deletion",
    "notes": "notes of requests, written together",
    "idle_minute": "a minute of sweep and webhooks, idle",
}
_COLUMNS = {
    "requests": "requests", "write_units": "write units", "read_units": "read units", "index_reads": "index reads",
    "embedded_texts": "texts embedded", "prompt_chars": "prompt characters", "log_bytes": "log bytes",
}  # fmt: skip


def page() -> str:
    """The page as it should be now."""
    plan = _plan()
    text = Template(_PAGE.read_text(encoding="utf-8"))
    return text.substitute(
        date=plan.prices.date,
        region=plan.prices.region,
        llm=plan.choices.llm,
        measured=plan.operations.measured,
        sizes=_three_sizes(plan),
        floor=_floor(plan),
        choices=_choices(plan),
        operations=_operations(plan.operations),
    )


def _plan(choices: Choices | None = None, *parameters: str) -> Plan:
    prices, chosen = read_prices(), choices or Choices()
    return Plan(
        usage=SIZES["middle"],
        choices=chosen,
        deployment=read_deployment(parameters),
        operations=read_operations(),
        assumptions=read_assumptions(),
        prices=prices,
        model=prices.model(chosen.llm),
    )


def _three_sizes(plan: Plan) -> str:
    bills = {name: month(replace(plan, usage=usage)) for name, usage in SIZES.items()}
    services = dict.fromkeys(name for bill in bills.values() for name in bill.by_service())
    rows = [["", *bills]]
    for figure in ("users", "adds", "searches", "memories"):
        rows += [[figure, *(quantity_text(getattr(usage, figure)) for usage in SIZES.values())]]
    for service in services:
        rows += [[service, *(_usd(bill.by_service().get(service, 0.0)) for bill in bills.values())]]
    rows.append(["**in all**", *(f"**{_usd(bill.total())}**" for bill in bills.values())])
    totals = zip(bills.values(), SIZES.values(), strict=True)
    rows.append(["for a user", *(f"{bill.total() / usage.users:.3f}" for bill, usage in totals)])
    return _table(rows)


def _floor(plan: Plan) -> str:
    sums = _idle(plan)
    rows = [["service", "a month"], *([name, _usd(usd)] for name, usd in sums.items())]
    return _table([*rows, ["**in all**", f"**{_usd(sum(sums.values()))}**"]])


def _choices(plan: Plan) -> str:
    fargate = Choices(embedder=Embedder.FARGATE, nat_gateways=1)
    changed = {
        "as above": plan,
        "embedder on Fargate, with a NAT gateway": _plan(fargate),
        "the same, NAT gateway there already": _plan(replace(fargate, nat_gateways=0)),
        "Zilliz dedicated": _plan(Choices(index=Index.DEDICATED)),
        "Milvus on a machine": _plan(Choices(index=Index.MACHINE)),
        "all adds verbatim": replace(plan, usage=replace(plan.usage, extract_share=0)),
        "gpt-4.1-mini as the LLM": _plan(Choices(llm="gpt-4.1-mini")),
        "arm64": _plan(None, "Architecture=arm64"),
        "SnapStart=true": _plan(None, "SnapStart=true"),
        "two environments of search kept warm": _plan(None, "SearchProvisioned=2"),
        "interface endpoints in two subnets": _plan(None, "VpcEndpoints=true", "VpcSubnetIds=a,b"),
        "DataKmsKey": _plan(None, "DataKmsKey=arn"),
        "Metrics=off": _plan(None, "Metrics=off"),
    }
    rows = [["choice", "middle", "large", "floor"]]
    for name, one in changed.items():
        large = replace(one, usage=replace(SIZES["large"], extract_share=one.usage.extract_share))
        rows.append([name, *(_usd(month(each).total()) for each in (one, large)), _usd(sum(_idle(one).values()))])
    return _table(rows)


def _idle(plan: Plan) -> dict[str, float]:
    return month(replace(plan, usage=Usage())).by_service()


def _operations(operations: Operations) -> str:
    rows = [["", *_COLUMNS.values()]]
    for name, shown in _SHOWN.items():
        rows.append([shown, *(f"{operations.of(name, figure):,g}" for figure in _COLUMNS)])
    return _table(rows)


def _usd(usd: float) -> str:
    return f"{usd:,.2f}" if usd < 100 else f"{usd:,.0f}"


def _table(rows: list[list[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|---|" + "---:|" * (len(rows[0]) - 1), *lines[1:]]) + "\n"
