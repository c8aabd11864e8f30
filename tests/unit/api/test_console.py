"""The console's files: how they are served, that they load nothing foreign, and that every text has its Vietnamese."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

import forgetless.api.console
from forgetless.api.app import create_app
from tests.unit.api.client import Api

ASSETS = Path(forgetless.api.console.__file__).with_name("assets")
SOURCES = {path.relative_to(ASSETS).as_posix(): path.read_text() for path in ASSETS.rglob("*.js")}


def test_the_page_and_its_files_are_open_and_may_run_only_themselves(api: Api) -> None:
    page = api.get("/console", key=None)
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert page.headers["referrer-policy"] == "no-referrer"
    named = re.findall(r'(?:href|src)="(console/[^"]+)"', page.text)
    assert len(named) >= 5
    for name in named:
        file = api.get(f"/{name}", key=None)
        assert (file.status_code, file.headers["content-security-policy"]) == (200, policy), name


def test_the_page_asks_at_once_for_every_module_so_that_none_waits_for_another(api: Api) -> None:
    asked = set(re.findall(r'modulepreload" href="console/([^"]+)"', api.get("/console", key=None).text))
    modules = {path.relative_to(ASSETS).as_posix() for path in ASSETS.rglob("*") if path.suffix in {".js", ".mjs"}}
    assert asked == modules - {"start.js"}


def test_a_browser_keeps_the_files_and_asks_whether_they_are_the_same(api: Api) -> None:
    for path in ("/console", "/console/main.js"):
        first = api.get(path, key=None)
        tag = first.headers["etag"]
        assert (first.headers["cache-control"], len(first.content) > 1000) == ("no-cache", True)
        for known in (tag, f'"other", W/{tag}', "*"):
            again = api.get(path, key=None, headers={"If-None-Match": known})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag), known
            assert again.headers["content-security-policy"] == first.headers["content-security-policy"]
        assert api.get(path, key=None, headers={"If-None-Match": '"other"'}).status_code == 200
    assert api.get("/console/nothing.js", key=None).headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "path",
    ["/console/nothing.js", "/console/..%2f..%2fapp.py", "/console/assets/main.js", "/console/__init__.py"],
)
def test_nothing_but_its_files_is_served(api: Api, path: str) -> None:
    assert api.get(path, key=None).status_code == 404


def test_it_can_be_switched_off(api: Api) -> None:
    client = TestClient(create_app(lambda: api.world.services, inline=True, console=False))
    assert client.get("/console").status_code == 404
    assert client.get("/console/main.js").status_code == 404


def test_a_slash_too_many_leads_to_the_console(api: Api) -> None:
    answer = api.get("/console/", key=None, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (307, "../console")


def test_no_other_method_is_open(api: Api) -> None:
    assert api.post("/console/main.js", key=None).status_code == 401


def test_the_files_are_small_and_name_no_other_host() -> None:
    files = [path for path in ASSETS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 300_000
    for name, source in SOURCES.items():
        assert "innerHTML" not in source.replace("dangerouslySetInnerHTML", "innerHTML"), name
        assert re.findall(r"https?://(?!127\.0\.0\.1|www\.w3\.org)", source) == [], name
        for imported in re.findall(r'from "([^"]+)"', source):
            assert (ASSETS / name).parent.joinpath(imported).resolve().is_file(), f"{name} imports {imported}"


def test_an_id_stands_in_a_path_by_one_function_alone() -> None:
    users = {name for name, source in SOURCES.items() if "encodeURIComponent(" in source}
    assert users == {"api.js"}


def test_every_text_has_its_vietnamese_and_no_translation_is_left_over() -> None:
    known = set(re.findall(r'^  "((?:[^"\\]|\\.)+)":', SOURCES["texts_vi.js"], re.MULTILINE))
    others = {name: source for name, source in SOURCES.items() if name != "texts_vi.js"}
    asked = {text for source in others.values() for text in re.findall(r'\bt\(\s*"((?:[^"\\]|\\.)*)"', source)}
    assert len(asked) > 100
    assert asked - known == set()
    everywhere = "\n".join(others.values())
    assert [text for text in known if f'"{text}"' not in everywhere and f"{text}:" not in everywhere] == []
    pair = re.compile(r'^  "((?:[^"\\]|\\.)+)":\s+"((?:[^"\\]|\\.)+)"', re.MULTILINE)
    for text, said in pair.findall(SOURCES["texts_vi.js"]):
        assert _placeholders(text) == _placeholders(said), text


def _placeholders(text: str) -> set[str]:
    return set(re.findall(r"\{\w+\}", text))
