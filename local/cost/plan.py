"""What a bill is made for: use of a month, choices, the deployment, and the figures that turn one into the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from local.cost.deployment import Deployment
from local.cost.operations import Operations
from local.cost.tables import Assumption, LlmPrice, Prices

__all__ = ["HOURS", "MINUTES", "SECONDS", "Choices", "Embedder", "Index", "Plan", "Usage"]

#: A month as AWS' calculator counts it.
HOURS = 730
MINUTES = HOURS * 60
SECONDS = MINUTES * 60
GB = 1024**3


class Embedder(StrEnum):
    """Where the embedding service runs."""

    LAMBDA = "lambda"
    FARGATE = "fargate"


class Index(StrEnum):
    """Where Milvus is."""

    SERVERLESS = "zilliz-serverless"
    DEDICATED = "zilliz-dedicated"
    MACHINE = "milvus-machine"


@dataclass(frozen=True)
class Usage:
    """A month. `memories` are those that are stored all the time; `extract_share` of the adds go through the LLM."""

    users: float = 0
    adds: float = 0
    searches: float = 0
    memories: float = 0
    lists: float = 0
    updates: float = 0
    deletes: float = 0
    extract_share: float = 1.0

    @property
    def extracted(self) -> float:
        """Adds that an LLM turns into facts."""
        return self.adds * self.extract_share

    @property
    def verbatim(self) -> float:
        """Adds that are stored as they are."""
        return self.adds - self.extracted

    @property
    def requests(self) -> float:
        """Requests at the API."""
        return self.adds + self.searches + self.lists + self.updates + self.deletes


@dataclass(frozen=True)
class Choices:
    """What the templates leave open."""

    embedder: Embedder = Embedder.LAMBDA
    index: Index = Index.SERVERLESS
    llm: str = "gpt-4.1-nano"
    #: NAT gateways; a VPC is needed for Fargate's internal balancer, and the functions in it must reach the LLM.
    nat_gateways: int = 0


@dataclass(frozen=True)
class Plan:
    """Everything that the rows are made from."""

    usage: Usage
    choices: Choices
    deployment: Deployment
    operations: Operations
    assumptions: Mapping[str, Assumption]
    prices: Prices
    model: LlmPrice

    def assumed(self, name: str) -> float:
        """An assumption's value."""
        return self.assumptions[name].value

    def counts(self) -> dict[str, float]:
        """How often each measured operation happens in the month; ingest is apart (`Operations.ingest`)."""
        use = self.usage
        return {
            "add_verbatim": use.verbatim,
            "add_accepted": use.extracted,
            "search": use.searches,
            "list_page": use.lists,
            "update": use.updates,
            "delete": use.deletes,
            "notes": use.requests / self.assumed("requests_per_note"),
            "idle_minute": MINUTES,
        }

    def each(self, figure: str) -> dict[str, float]:
        """What one operation takes of this figure, by operation, ingest among them."""
        ingest = self.operations.ingest(figure, self.assumed("facts_per_add"))
        return {name: self.operations.of(name, figure) for name in self.counts()} | {"ingest": ingest}

    def all_counts(self) -> dict[str, float]:
        """`counts` with the extractions."""
        return self.counts() | {"ingest": self.usage.extracted}

    def sum_of(self, figure: str) -> float:
        """The month's sum of one figure."""
        each = self.each(figure)
        return sum(count * each[name] for name, count in self.all_counts().items())

    def row_bytes(self) -> float:
        """What one memory takes in the index: its vector, and the other fields of its row."""
        rest = self.operations.of("add_verbatim", "index_row_bytes")
        return self.deployment.number("EmbeddingDimensions") * 4 + rest
