"""The bill: its arithmetic, what makes it grow, replaced prices, free tier, the floor, and errors of the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from forgetless.service.reading.retrieval import CANDIDATES
from local.cost.bill import Bill, quantity_text
from local.cost.cli import main
from local.cost.deployment import read_deployment
from local.cost.models_and_index import SCORED_FROM
from local.cost.page import page
from local.cost.tables import CostError, read_assumptions, read_prices

_PAGE = Path(__file__).parents[2] / "docs" / "cost.md"
_USE = "--users 10000 --adds 300000 --searches 1000000 --memories 1000000"


class Command:
    """`make cost` with these arguments."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, arguments: str) -> tuple[int, str, str]:
        code = main(arguments.split())
        return code, *self._capsys.readouterr()

    def bill(self, arguments: str) -> dict[str, Any]:
        code, out, err = self(f"{arguments} --json")
        assert code == 0, err
        found: dict[str, Any] = json.loads(out)
        return found

    def error(self, arguments: str) -> str:
        code, out, err = self(arguments)
        assert (code, out) == (2, "")
        return err


@pytest.fixture
def cost(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


def test_a_row_is_quantity_times_price_and_says_so() -> None:
    bill = Bill(read_prices())
    bill.add("DynamoDB", "writes", 3_200_000, "dynamodb_write_units", "100 k adds, 32 units each")
    (row,) = bill.rows
    assert row.usd == pytest.approx(2.0)
    assert row.why == "100 k adds, 32 units each; 3.2 M x $0.625 per M write unit"
    assert bill.by_service() == {"DynamoDB": row.usd}
    bill.add("DynamoDB", "reads", 0, "dynamodb_read_units", "none")
    assert len(bill.rows) == 1


def test_the_free_tier_of_a_price_is_taken_off_once() -> None:
    bill = Bill(read_prices(), free_tier=True)
    for name in ("one", "two"):
        bill.add("Lambda", name, 800_000, "lambda_requests", "events")
    assert [row.usd for row in bill.rows] == pytest.approx([0.0, 0.12])
    assert bill.rows[1].why.endswith("; 200 k free")


@pytest.mark.parametrize(
    ("number", "text"), [(0.5, "0.5"), (12, "12"), (43_800, "43.8 k"), (3.2e6, "3.2 M"), (2e9, "2 G")]
)
def test_numbers_are_short(number: float, text: str) -> None:
    assert quantity_text(number) == text


def test_the_sums_are_those_of_the_rows(cost: Command) -> None:
    bill = cost.bill(_USE)
    assert bill["total_usd"] == pytest.approx(sum(row["usd"] for row in bill["rows"]), abs=0.01)
    assert sum(bill["services"].values()) == pytest.approx(bill["total_usd"], abs=0.01)
    searches = next(row for row in bill["rows"] if row["item"] == "reads, searches")
    assert searches["usd"] == pytest.approx(searches["quantity"] / 1e6 * 0.125)


def test_without_use_the_bill_is_its_floor(cost: Command) -> None:
    idle = cost.bill("")
    assert idle["total_usd"] == idle["idle_usd"] == cost.bill(_USE)["idle_usd"]
    assert not {"API Gateway", "LLM", "Embedder", "Zilliz serverless"} & idle["services"].keys()
    assert idle["total_usd"] < 20


@pytest.mark.parametrize("what", ["adds", "searches", "memories", "lists", "updates", "deletes"])
def test_a_bill_grows_with_each_use(cost: Command, what: str) -> None:
    sums = [cost.bill(f"--{what} {number}")["total_usd"] for number in ("0", "100k", "1M", "10M")]
    assert sums == sorted(sums)
    assert len(set(sums)) == 4


@pytest.mark.parametrize(
    ("choice", "service"),
    [
        ("--embedder fargate", "Network"),
        ("--index milvus-machine", "Milvus machine"),
        ("--index zilliz-dedicated", "Zilliz dedicated"),
    ],
)
def test_a_choice_that_is_billed_by_the_hour_raises_the_floor(cost: Command, choice: str, service: str) -> None:
    assert service in cost.bill(choice)["services"]
    assert cost.bill(choice)["idle_usd"] > cost.bill("")["idle_usd"] + 50


def test_machines_and_tasks_are_added_when_one_is_not_enough(cost: Command) -> None:
    for choice, service in (("--embedder fargate", "Embedder"), ("--index milvus-machine", "Milvus machine")):
        small, large = (cost.bill(f"{choice} {use}")["services"][service] for use in ("", "--searches 300M"))
        assert large > 2 * small


def test_verbatim_adds_need_no_llm(cost: Command) -> None:
    bill = cost.bill(f"{_USE} --extract 0")
    assert "LLM" not in bill["services"]
    assert not any("IngestFunction" in row["item"] for row in bill["rows"])


def test_a_price_of_the_llm_may_be_given(cost: Command) -> None:
    own = cost.bill(f"{_USE} --llm-price 0.2,0.8")["services"]["LLM"]
    assert own == pytest.approx(2 * cost.bill(_USE)["services"]["LLM"], rel=1e-3)


def test_parameters_of_the_templates_change_the_bill(cost: Command) -> None:
    usual = cost.bill(_USE)
    assert cost.bill(f"{_USE} --architecture arm64")["services"]["Lambda"] < usual["services"]["Lambda"]
    off = cost.bill(f"{_USE} --parameter Metrics=off")["rows"]
    assert not {"metrics", "dashboard"} & {row["item"] for row in off}
    assert any(row["item"] == "X-Ray" for row in cost.bill(f"{_USE} --parameter Tracing=Active")["rows"])
    assert any("SnapStart" in row["item"] for row in cost.bill(f"{_USE} --parameter SnapStart=true")["rows"])


@pytest.mark.parametrize(
    ("parameters", "items", "usd"),
    [
        ("SearchProvisioned=2", ["SearchFunction, kept warm"], 2 * 730 * 3600 * 4.1667e-6),
        ("VpcEndpoints=true VpcSubnetIds=a,b,c", ["interface endpoints"], 2 * 3 * 730 * 0.01),
        ("DataKmsKey=arn", ["key", "calls"], 1 + 20 * 730 * 60 * 3e-6),
        ("HostedZoneId=Z1", ["hosted zone"], 0.5),
        ("DomainName=api.example.com CertificateArn=arn BasePath=memory", [], 0),
    ],
)
def test_what_is_there_without_requests_is_billed(cost: Command, parameters: str, items: list[str], usd: float) -> None:
    usual = cost.bill("")
    changed = cost.bill(" ".join(f"--parameter {one}" for one in parameters.split()))
    before = {row["item"] for row in usual["rows"]}
    assert [row["item"] for row in changed["rows"] if row["item"] not in before] == items
    assert changed["idle_usd"] - usual["idle_usd"] == pytest.approx(usd, abs=0.02)


def test_the_templates_are_read(cost: Command) -> None:
    deployment = read_deployment()
    assert deployment.memory_gb["SearchFunction"] == 1.0
    assert (deployment.api, deployment.schedules, deployment.queues, deployment.secrets) == ("http", 2, 2, 3)
    assert deployment.alarm_metrics >= 32
    assert deployment.recovery
    assert read_deployment(["Metrics=off"]).alarm_metrics < deployment.alarm_metrics


def test_prices_are_replaced_by_a_file(cost: Command, tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text('date = "2027-01-15"\nregion = "eu-central-1"\n[prices]\ndynamodb_read_units = { usd = 0.25 }\n')
    bill, usual = cost.bill(f"{_USE} --prices {own}"), cost.bill(_USE)
    assert (bill["prices"], bill["region"]) == ("2027-01-15", "eu-central-1")
    reads = [sum(row["usd"] for row in one["rows"] if row["item"].startswith("reads, ")) for one in (bill, usual)]
    assert reads[0] == pytest.approx(2 * reads[1])
    assert read_prices(own).of("dynamodb_read_units").checked == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[prices]\ndynamo_read_units = { usd = 1 }", "did you mean dynamodb_read_units"),
        ("[prices]\nsecrets = { dollars = 1 }", "dollars"),
        ("[prices]\nsecrets = { usd = -1 }", "must not be negative"),
        ("[price]\nsecrets = { usd = 1 }", "did you mean prices"),
        ("[prices", "not valid TOML"),
    ],
)
def test_a_mistake_in_a_price_file_is_named(cost: Command, tmp_path: Path, text: str, said: str) -> None:
    own = tmp_path / "own.toml"
    own.write_text(f'date = "2027-01-15"\nregion = "eu-central-1"\n{text}\n')
    assert said in cost.error(f"--prices {own}")


def test_a_price_file_says_its_day_and_region(cost: Command, tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text('date = "2027-01-15"\n')
    assert 'needs region = "…"' in cost.error(f"--prices {own}")
    assert "cannot be read" in cost.error(f"--prices {tmp_path}/none.toml")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--assume serch_ms=3", "did you mean search_ms"),
        ("--assume search_ms=fast", "must be a number, for example search_ms=10"),
        ("--parameter Metric=off", "did you mean Metrics"),
        ("--parameter Architecture=riscv", "must be one of x86_64, arm64"),
        ("--parameter LogRetentionDays=long", "must be one of 1, 3"),
        ("--parameter EmbeddingDimensions=many", "must be a number, not 'many'"),
        ("--llm-model gpt-4.1-nan", "did you mean gpt-4.1-nano"),
    ],
)
def test_unknown_names_and_values_are_named(cost: Command, arguments: str, said: str) -> None:
    assert said in cost.error(arguments)


@pytest.mark.parametrize("arguments", ["--adds many", "--adds -3", "--extract 1.5", "--adds inf", "--llm-price 0.1"])
def test_numbers_are_checked(arguments: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(arguments.split())
    assert "write" in capsys.readouterr().err


def test_a_search_among_many_memories_of_a_user_asks_for_scores_too(cost: Command) -> None:
    assert SCORED_FROM == CANDIDATES
    few, many = (cost.bill(f"--searches 1M --memories 1M --users {users}") for users in ("10k", "1k"))
    reads = [next(row["quantity"] for row in bill["rows"] if "scan" in row["why"]) for bill in (few, many)]
    assert reads[1] == pytest.approx(2 * reads[0])


def test_an_unknown_price_is_an_error() -> None:
    with pytest.raises(CostError, match="unknown price: 'lambda_request'; did you mean lambda_requests"):
        read_prices().of("lambda_request")


def test_every_assumption_has_its_reason_and_reads_are_priced_between_the_points() -> None:
    assert all(one.why and one.unit for one in read_assumptions().values())
    prices = read_prices()
    assert [prices.read_vcu(gb) for gb in (0, 0.5, 3.072, 15.36)] == pytest.approx([6, 6, 15, 35])
    assert prices.read_vcu(46.08) == pytest.approx(75)


def test_the_text_says_the_sum_and_the_floor(cost: Command) -> None:
    code, out, _ = cost(_USE)
    bill = cost.bill(_USE)
    assert code == 0
    assert f"{bill['total_usd']:,.2f}  in all" in out
    assert f"{bill['idle_usd']:,.2f}  of it would be billed without any use" in out
    assert "for each of 10 k users" in out


def test_the_page_is_what_the_command_prints() -> None:
    fix = "run `.venv/bin/python -m local.cost --page > docs/cost.md`"
    assert page() == _PAGE.read_text(encoding="utf-8"), fix
