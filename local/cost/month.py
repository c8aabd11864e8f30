"""A month's bill of a plan: the rows of every service in the order in which they are shown."""

from __future__ import annotations

from local.cost.bill import Bill
from local.cost.models_and_index import bill_embedder, bill_index, bill_llm
from local.cost.plan import Plan
from local.cost.services import bill_api, bill_functions, bill_ledger, bill_logs, bill_queues
from local.cost.standing import bill_keys, bill_network, bill_provisioned

__all__ = ["month"]

_SERVICES = (
    bill_api,
    bill_functions,
    bill_provisioned,
    bill_ledger,
    bill_queues,
    bill_embedder,
    bill_index,
    bill_llm,
    bill_logs,
    bill_keys,
    bill_network,
)


def month(plan: Plan, *, free_tier: bool = False) -> Bill:
    """The bill."""
    bill = Bill(plan.prices, free_tier)
    for rows in _SERVICES:
        rows(bill, plan)
    return bill
