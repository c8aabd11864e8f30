"""A corpus of small templates: each construct that public projects use works, or is named at the start.

Every template says in `Metadata.Corpus` which constructs it has, and what becomes of it. `constructs.yaml` lists them
all.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.emulator.specs import ApiSpec, Place, RouteSpec, Template
from local.emulator.template.document import read_document
from local.emulator.template.reader import read_template
from tests.emulator.fidelity import own

HERE = Path(__file__).parent
TEMPLATES = sorted((HERE / "corpus").glob("*.yaml"))
CONSTRUCTS: dict[str, dict[str, int]] = yaml.safe_load((HERE / "constructs.yaml").read_text(encoding="utf-8"))


def expected(path: Path) -> dict[str, Any]:
    said: dict[str, Any] = read_document(path).content["Metadata"]["Corpus"]
    return said


def route_text(route: RouteSpec) -> str:
    text = f"{route.key} -> {'mock' if route.mock is not None else route.function}"
    text += f" by {route.authorizer.name}" if route.authorizer else ""
    text += " with a key" if route.needs_key else ""
    return text


def api_text(api: ApiSpec) -> tuple[str, list[str]]:
    formats = ("1.0", "2.0") if api.rest is None else ("1.0",)
    assert all(route.payload_version in formats for route in api.routes)
    unusual = " in 1.0" if api.rest is None else ""
    texts = [route_text(one) + (unusual if one.payload_version == "1.0" else "") for one in api.routes]
    return f"{api.name} {api.stage}", texts


#: What a template may say of itself, and how it is read off the model.
FOUND: dict[str, Callable[[Template], Any]] = {
    "functions": lambda found: sorted(found.functions),
    "problems": lambda found: {name: spec.problem for name, spec in found.functions.items() if spec.problem},
    "variables": lambda found: {name: spec.variables for name, spec in found.functions.items() if spec.variables},
    "inline": lambda found: {name: spec.inline for name, spec in found.functions.items() if spec.inline},
    "layers": lambda found: {name: len(spec.layers) for name, spec in found.functions.items() if spec.layers},
    "routes": lambda found: dict(map(api_text, found.apis)),
    "cors": lambda found: {api.name: list(api.cors.origins) for api in found.apis if api.cors},
    "schedules": lambda found: sorted(f"{one.name} {one.expression}" for one in found.schedules),
    "queues": lambda found: sorted(queue.name for queue in found.queues),
    "fed": lambda found: sorted(
        f"{one.function} from {one.queue}{' filtered' if one.filters else ''}" for one in found.queue_events
    ),
    "topics": lambda found: sorted(found.topics),
    "subscriptions": lambda found: sorted(f"{one.topic} -> {one.target.name}" for one in found.subscriptions),
    "buckets": lambda found: sorted(
        f"{one.bucket} {event} -> {one.target.name}" for one in found.bucket_events for event in one.events
    ),
    "urls": lambda found: sorted(f"{url.name} {url.routes[0].authorizer or 'open'}" for url in found.urls),
}
#: What is compared with a template that does not mention it: a trigger that nobody expects is a fault, too.
ALWAYS = {"problems", "routes", "schedules", "fed", "topics", "subscriptions", "buckets", "urls"}


def told(template: Template) -> list[str]:
    """Return the warnings without the file's name, and without the one about this machine's Python."""
    lines = [re.sub(r"^.*?\.yaml:\d+: ", "", warning) for warning in template.warnings]
    return [line for line in lines if not line.startswith("the template says")]


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.stem))
@own("corpus of templates")
def test_a_template_of_the_corpus_does_what_it_says_of_itself(path: Path) -> None:
    said, template = expected(path), read_template(path, Place())
    for key in ALWAYS | (set(said) & set(FOUND)):
        found, wanted = FOUND[key](template), said.get(key)
        if wanted is None:
            assert not found, key
        elif key in {"problems", "inline"}:
            assert set(found) == set(wanted)
            for name, pattern in wanted.items():
                assert re.search(pattern, found[name]), found[name]
        else:
            assert found == (sorted(wanted) if isinstance(wanted, list) else wanted), key
    assert set(said) <= {*FOUND, "constructs", "warnings"}


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.stem))
@own("corpus of templates")
def test_a_template_of_the_corpus_is_told_what_is_not_served_and_nothing_else(path: Path) -> None:
    lines = told(read_template(path, Place()))
    for pattern in expected(path).get("warnings", []):
        fitting = [line for line in lines if line == pattern or re.fullmatch(pattern, line)]
        assert len(fitting) == 1, (pattern, lines)
        lines.remove(fitting[0])
    assert lines == []


@own("corpus of templates")
def test_every_construct_has_a_template_and_every_template_its_constructs() -> None:
    listed = [name for kind in CONSTRUCTS.values() for name in kind]
    shown = [name for path in TEMPLATES for name in expected(path)["constructs"]]
    assert sorted(listed) == sorted(set(listed))
    assert sorted(shown) == sorted(listed)
