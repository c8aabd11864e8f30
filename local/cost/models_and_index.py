"""The rows of the parts with a choice: embedder, Milvus or Zilliz, and the LLM."""

from __future__ import annotations

import math

from local.cost.bill import Bill, quantity_text
from local.cost.plan import GB, HOURS, SECONDS, Embedder, Index, Plan
from local.cost.tables import Price

__all__ = ["SCORED_FROM", "bill_embedder", "bill_index", "bill_llm"]

#: From so many memories of a user on, a search asks for scores of rows that one retriever did not list
#: (`CANDIDATES` in service/reading/search.py): two more reads.
SCORED_FROM, _SCORES = 150, 2
#: The share of CPU at which template-embedder.yaml starts another task.
_TASK_CPU = 0.6


def bill_embedder(bill: Bill, plan: Plan) -> None:
    """A function billed by calls, or tasks and a balancer billed by hours."""
    calls, texts = plan.sum_of("embedder_calls"), plan.sum_of("embedded_texts")
    architecture = plan.deployment.architecture
    memory = plan.deployment.number("MemoryMb") / 1024
    if plan.choices.embedder is Embedder.LAMBDA:
        cold = plan.assumed("cold_share") * plan.assumed("embedder_cold_ms")
        ms = calls * (plan.assumed("embedder_call_ms") + cold) + texts * plan.assumed("embedder_text_ms")
        bill.add("Embedder", "function, requests", calls, "lambda_requests", "calls of adds and searches")
        why = f"{quantity_text(texts)} texts in {quantity_text(calls)} calls, {memory:g} GB"
        seconds = ms / 1000 * memory
        bill.add("Embedder", "function, time", seconds, f"lambda_{architecture}_gb_seconds", why)
        return
    vcpus = plan.deployment.number("Cpu") / 1024
    busy = texts * plan.assumed("embedder_cpu_ms") / 1000 * plan.assumed("peak_to_mean") / SECONDS
    tasks = max(plan.deployment.number("LeastTasks"), math.ceil(busy / (vcpus * _TASK_CPU)))
    why = f"{tasks:g} tasks of {vcpus:g} vCPU and {memory:g} GB all month"
    bill.add("Embedder", "tasks, vCPU", tasks * vcpus * HOURS, f"fargate_{architecture}_vcpu_hours", why)
    bill.add("Embedder", "tasks, memory", tasks * memory * HOURS, f"fargate_{architecture}_gb_hours", why)
    bill.add("Embedder", "load balancer", HOURS, "balancer_hours", "an internal one, all month")
    units = max(1.0, calls * plan.assumed("peak_to_mean") / SECONDS / 25) * HOURS if calls else 0.0
    bill.add("Embedder", "load balancer, use", units, "balancer_units", "25 connections a second each, one at least")


def bill_index(bill: Bill, plan: Plan) -> None:
    """Reads, writes and storage of Zilliz, or hours of compute units or of machines."""
    index_gb = plan.usage.memories * plan.row_bytes() / GB
    by_choice = {Index.SERVERLESS: _serverless, Index.DEDICATED: _dedicated, Index.MACHINE: _machines}
    by_choice[plan.choices.index](bill, plan, index_gb)


def bill_llm(bill: Bill, plan: Plan) -> None:
    """Tokens of prompts and replies; characters were measured, and characters for each token are assumed."""
    calls = plan.usage.extracted * plan.each("llm_calls")["ingest"] * (1 + plan.assumed("retried_share"))
    kinds = (
        ("input", "prompt_chars", "prompt_factor", plan.model.input),
        ("output", "reply_chars", "reply_factor", plan.model.output),
    )
    for name, figure, factor, usd in kinds:
        tokens = plan.each(figure)["ingest"] * plan.assumed(factor) / plan.assumed("chars_per_token")
        why = f"{quantity_text(calls)} calls of {plan.choices.llm}, {tokens:.0f} tokens each"
        price = Price(f"llm_{name}", usd, 1_000_000, "token")
        bill.add_priced("LLM", f"{name} tokens", calls * tokens, price, why)


def _serverless(bill: Bill, plan: Plan, index_gb: float) -> None:
    use, service = plan.usage, "Zilliz serverless"
    vectors_gb = use.memories * plan.deployment.number("EmbeddingDimensions") * 4 / GB
    each = plan.prices.read_vcu(vectors_gb)
    scores = _SCORES if use.users and use.memories / use.users >= SCORED_FROM else 0
    reads = plan.sum_of("index_reads") + use.searches * scores
    why = f"{quantity_text(reads)} reads that scan {vectors_gb:.3g} GB of vectors, {each:.3g} vCU each"
    bill.add(service, "reads", reads * each, "zilliz_vcu", why)
    rows, removed = plan.sum_of("index_rows"), plan.sum_of("index_removals")
    written = rows * plan.row_bytes() / 1024 * 0.25 + removed
    why = f"{quantity_text(rows)} rows, 0.25 vCU for each KB; {quantity_text(removed)} removals, 1 vCU each"
    bill.add(service, "writes", written, "zilliz_vcu", why)
    bill.add(service, "storage", index_gb, "zilliz_storage_gb", f"{plan.row_bytes():,.0f} bytes a memory")


def _dedicated(bill: Bill, plan: Plan, index_gb: float) -> None:
    vectors = plan.assumed("cu_vectors") * 768 / plan.deployment.number("EmbeddingDimensions")
    units = max(1, math.ceil(plan.usage.memories / vectors))
    why = f"{units} compute units of {quantity_text(vectors)} vectors, all month"
    bill.add("Zilliz dedicated", "compute units", units * HOURS, "zilliz_cu_hours", why)
    bill.add("Zilliz dedicated", "storage", index_gb, "zilliz_dedicated_storage_gb", "vectors and rows")


def _machines(bill: Bill, plan: Plan, index_gb: float) -> None:
    share = plan.assumed("machine_share")
    memory = index_gb * plan.assumed("index_memory_factor") / (plan.assumed("machine_gb") * share)
    busy = plan.usage.searches * plan.assumed("milvus_cpu_ms") / 1000 * plan.assumed("peak_to_mean") / SECONDS
    machines = max(1, math.ceil(memory), math.ceil(busy / (plan.assumed("machine_vcpus") * share)))
    size = f"{plan.assumed('machine_vcpus'):g} vCPU and {plan.assumed('machine_gb'):g} GB"
    bill.add(
        "Milvus machine", "hours", machines * HOURS, "machine_hours", f"{machines} x {size}, or one so much larger"
    )
    disk = plan.assumed("disk_least_gb") + 2 * index_gb
    bill.add("Milvus machine", "disk", disk, "disk_gb", "the system, and twice the data")
