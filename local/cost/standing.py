"""The rows of what is billed because it is there: kept environments, endpoints and NAT gateways, KMS, a zone."""

from __future__ import annotations

from local.cost.bill import Bill
from local.cost.plan import GB, HOURS, MINUTES, SECONDS, Plan

__all__ = ["bill_keys", "bill_network", "bill_provisioned"]

#: The functions with a parameter for provisioned concurrency.
_PROVISIONED = ("Search", "Memories")


def bill_provisioned(bill: Bill, plan: Plan) -> None:
    """Environments that are kept warm. What they do is billed as ever here, which is somewhat too much."""
    for name in _PROVISIONED:
        kept, memory = plan.deployment.number(f"{name}Provisioned"), plan.deployment.memory_gb[f"{name}Function"]
        why = f"{kept:g} x {memory:g} GB, all month"
        price = f"provisioned_{plan.deployment.architecture}_gb_seconds"
        bill.add("Lambda", f"{name}Function, kept warm", kept * memory * SECONDS, price, why)


def bill_keys(bill: Bill, plan: Plan) -> None:
    """A customer-managed key for the data, and the calls that use it."""
    if plan.deployment.parameters["DataKmsKey"]:
        bill.add("KMS", "key", 1, "kms_keys", "of DataKmsKey; another stack may share it")
        a_minute = plan.assumed("kms_calls_per_minute")
        why = f"{a_minute:g} a minute, because DynamoDB and SQS keep a data key for minutes"
        bill.add("KMS", "calls", a_minute * MINUTES, "kms_calls", why)


def bill_network(bill: Bill, plan: Plan) -> None:
    """NAT gateways, interface endpoints, and the zone of a domain. The domain itself and its certificate are free."""
    gateways, parameters = plan.choices.nat_gateways, plan.deployment.parameters
    bill.add("Network", "NAT gateways", gateways * HOURS, "nat_hours", f"{gateways} all month")
    if gateways:
        sent = (plan.sum_of("prompt_chars") + plan.sum_of("reply_chars")) / GB
        bill.add("Network", "NAT, traffic", sent, "nat_gb", "prompts and replies of the LLM")
    if parameters["VpcEndpoints"] == "true":
        endpoints, zones = plan.deployment.interface_endpoints, len(parameters["VpcSubnetIds"].split(","))
        why = f"{endpoints} endpoints in {zones} subnets, all month"
        bill.add("Network", "interface endpoints", endpoints * zones * HOURS, "endpoint_hours", why)
    if parameters["HostedZoneId"]:
        bill.add("Network", "hosted zone", 1, "hosted_zones", "of the domain, in Route 53; it may have other records")
