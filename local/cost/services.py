"""The rows of what AWS bills for requests: API, functions, ledger, queues, logs and metrics, secrets."""

from __future__ import annotations

from local.cost.bill import Bill, quantity_text
from local.cost.plan import GB, MINUTES, SECONDS, Plan

__all__ = ["bill_api", "bill_functions", "bill_ledger", "bill_logs", "bill_queues"]

#: The operations in words.
_NAMES = {
    "add_verbatim": "verbatim adds",
    "add_accepted": "adds accepted",
    "ingest": "extractions",
    "search": "searches",
    "list_page": "pages",
    "update": "updates",
    "delete": "deletions",
    "notes": "notes of requests",
    "idle_minute": "minutes of sweep and webhooks",
}


def bill_api(bill: Bill, plan: Plan) -> None:
    """The gateway's requests, and what its answers send to the internet."""
    requests = plan.usage.requests
    bill.add("API Gateway", "requests", requests, f"api_{plan.deployment.api}_requests", "one for each request")
    sent = plan.sum_of("answer_bytes") / GB
    bill.add("API Gateway", "transfer out", sent, "transfer_out_gb", "answers as they were measured")


def bill_functions(bill: Bill, plan: Plan) -> None:
    """Requests and seconds of each function, by the memory that the template gives it."""
    use, calls = plan.usage, {name: plan.assumed(f"{name}_ms") for name in ("search", "list", "update", "delete")}
    ingest_ms = plan.assumed("ingest_ms") + plan.assumed("llm_ms") * _tries(plan)
    minutes = float(MINUTES)
    work = {
        "SearchFunction": [(use.searches, calls["search"])],
        "MemoriesFunction": [
            (use.verbatim, plan.assumed("add_verbatim_ms")),
            (use.extracted, plan.assumed("add_accepted_ms")),
            (use.lists, calls["list"]),
            (use.updates, calls["update"]),
            (use.deletes, calls["delete"]),
        ],
        "IngestFunction": [(use.extracted, ingest_ms)],
        "SweepFunction": [(minutes, plan.assumed("sweep_ms"))],
        "WebhooksFunction": [(minutes, plan.assumed("webhooks_ms"))],
    }
    for name, parts in work.items():
        _bill_function(bill, plan, name, parts)
    bill.add(
        "Lambda", "schedules", minutes * plan.deployment.schedules, "schedule_invocations",
        f"{plan.deployment.schedules} schedules, once a minute each",
    )  # fmt: skip
    _bill_snapstart(bill, plan, sum(count for parts in work.values() for count, _ in parts))
    if plan.deployment.parameters["Tracing"] == "Active":
        invocations = sum(count for parts in work.values() for count, _ in parts)
        traced = min(invocations, SECONDS) + max(0.0, invocations - SECONDS) * 0.05
        bill.add("Lambda", "X-Ray", traced, "xray_traces", "one invocation a second, and 5 % of the others")


def bill_ledger(bill: Bill, plan: Plan) -> None:
    """Write and read units of each operation, and what is stored."""
    for kind in ("write", "read"):
        each = plan.each(f"{kind}_units")
        for name, count in plan.all_counts().items():
            why = f"{quantity_text(count)} {_NAMES[name]}, {each[name]:g} units each"
            bill.add("DynamoDB", f"{kind}s, {_NAMES[name]}", count * each[name], f"dynamodb_{kind}_units", why)
    stored = plan.usage.memories * _bytes_of_memory(plan) / GB
    why = f"{quantity_text(plan.usage.memories)} memories, {_bytes_of_memory(plan):,.0f} bytes each"
    bill.add("DynamoDB", "storage", stored, "dynamodb_storage_gb", why)
    if plan.deployment.recovery:
        bill.add("DynamoDB", "point-in-time recovery", stored, "dynamodb_recovery_gb", "as much as is stored")


def bill_queues(bill: Bill, plan: Plan) -> None:
    """Messages of jobs, and Lambda's looks into empty queues."""
    jobs = plan.usage.extracted
    per_job = plan.assumed("queue_requests")
    bill.add("SQS", "jobs", jobs * per_job, "sqs_fifo_requests", f"{per_job:g} requests for each extraction")
    a_minute = plan.assumed("polls_per_minute")
    polls, why = MINUTES * a_minute, f"{a_minute:g} a minute, also when idle"
    bill.add("SQS", "looks into the ingest queue", polls, "sqs_fifo_requests", why)
    others = polls * (plan.deployment.queues - 1)
    bill.add("SQS", "looks into the bulk queue", others, "sqs_standard_requests", why)


def bill_logs(bill: Bill, plan: Plan) -> None:
    """Log lines, metrics, alarms, dashboards, and the secrets."""
    use, deployment, service = plan.usage, plan.deployment, "CloudWatch"
    events = use.requests + use.extracted + MINUTES * deployment.schedules
    lines = plan.sum_of("log_bytes") + events * plan.assumed("platform_log_bytes")
    logged = (lines + use.requests * plan.assumed("gateway_log_bytes")) / GB
    bill.add(
        service, "logs", logged, "log_gb", "lines of the functions (metrics among them), of Lambda and the gateway"
    )
    months = deployment.number("LogRetentionDays") / (730 / 24)
    bill.add(service, "logs kept", logged * months, "log_storage_gb", f"{months * 730 / 24:g} days")
    busy = use.requests > 0
    if deployment.metrics:
        metrics = plan.assumed("metrics_busy" if busy else "metrics_idle")
        bill.add(
            service, "metrics", metrics, "metrics", "written by a busy deployment" if busy else "written when idle"
        )
    if deployment.detailed_metrics and busy:
        of_routes = deployment.routes * plan.assumed("route_metrics")
        bill.add(
            service, "metrics of routes", of_routes, "metrics", f"{deployment.routes} routes (DetailedMetricsEnabled)"
        )
    bill.add(service, "alarms", deployment.alarm_metrics, "alarm_metrics", "metrics that the template's alarms read")
    bill.add(service, "dashboard", deployment.dashboards, "dashboards", "the template's")
    bill.add("Secrets Manager", "secrets", deployment.secrets, "secrets", "keys of Milvus, embedder and LLM")


def _bill_function(bill: Bill, plan: Plan, name: str, parts: list[tuple[float, float]]) -> None:
    count = sum(number for number, _ in parts)
    if not count:
        return
    cold = plan.assumed("cold_share") * plan.assumed("cold_ms")
    ms = sum(number * each for number, each in parts) / count + cold
    memory = plan.deployment.memory_gb[name]
    bill.add("Lambda", f"{name}, requests", count, "lambda_requests", "one for each event")
    seconds = count * ms / 1000 * memory
    why = f"{quantity_text(count)} events, {ms:.0f} ms each (cold starts among them), {memory:g} GB"
    bill.add("Lambda", f"{name}, time", seconds, f"lambda_{plan.deployment.architecture}_gb_seconds", why)


def _bill_snapstart(bill: Bill, plan: Plan, invocations: float) -> None:
    memory, versions = plan.deployment.snapstart_gb, plan.assumed("snapstart_versions")
    kept = memory * versions * SECONDS
    bill.add("Lambda", "SnapStart, cache", kept, "snapstart_cache_gb_seconds", f"{memory:g} GB, {versions:g} versions")
    restored = invocations * plan.assumed("cold_share") if memory else 0.0
    bill.add("Lambda", "SnapStart, restores", restored, "snapstart_restore_gb", "one for each cold start")


def _tries(plan: Plan) -> float:
    return 1 + plan.assumed("retried_share")


def _bytes_of_memory(plan: Plan) -> float:
    """What one memory leaves in the table, with its share of jobs and messages as long as they are kept."""
    facts, share = plan.assumed("facts_per_add"), plan.usage.extract_share
    extracted = plan.operations.of("add_accepted", "stored_bytes") + plan.operations.ingest("stored_bytes", facts)
    verbatim = plan.operations.of("add_verbatim", "stored_bytes")
    memories_of_an_add = share * facts + 1 - share
    return (share * extracted + (1 - share) * verbatim) / memories_of_an_add if memories_of_an_add else verbatim
