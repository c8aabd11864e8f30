"""Environment variables of a function: Lambda's reserved ones, the template's, and the overrides."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local.emulator.specs import FunctionSpec, Place

#: The variables of the emulator's environment that a function gets.
INHERITED = (
    "PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
)  # fmt: skip


#: The services of AWS that the emulator has itself, as they are named in variables.
OWN_SERVICES = ("SQS", "SNS", "LAMBDA")
#: With this variable, or one that begins with it, somebody says where services are, and with the key that it is AWS.
ENDPOINT, OWN_KEY = "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID"


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The URL of the emulator's own services, the session token that they want, and moto's URL, if it runs."""

    url: str
    token: str = ""
    moto: str = ""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all functions have in common: endpoints, the folder of the runtime's packages, and other such folders."""

    endpoints: Endpoints
    runtime: Path
    packages: tuple[Path, ...] = ()


def function_variables(
    spec: FunctionSpec, place: Place, overrides: Mapping[str, str], around: Surroundings
) -> dict[str, str]:
    """Return all variables of a function except those that differ by environment (log stream, Runtime API)."""
    endpoints, given = around.endpoints, {**spec.variables, **overrides}
    machine = {name: os.environ[name] for name in INHERITED if name in os.environ}
    defaults = {
        **{f"{ENDPOINT}_{service}": endpoints.url for service in OWN_SERVICES},
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_SESSION_TOKEN": endpoints.token or "local",
        "AWS_EC2_METADATA_DISABLED": "true",
        "TZ": ":UTC",
    }
    if endpoints.moto or OWN_KEY not in given:
        # No call leaves this machine unless somebody gave the credentials for it: the emulator refuses what it has not.
        defaults[ENDPOINT] = endpoints.moto or endpoints.url
    # Reserved names come last: neither a template nor a caller can set them on Lambda.
    reserved = _reserved(spec, place) | {"PYTHONPATH": os.pathsep.join(python_path(spec, given, around))}
    return {**machine, **defaults, **given, **reserved}


def _reserved(spec: FunctionSpec, place: Place) -> dict[str, str]:
    name = spec.physical_name or spec.name
    reserved = {
        "_HANDLER": spec.handler,
        "AWS_REGION": place.region,
        "AWS_DEFAULT_REGION": place.region,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{spec.runtime}",
        "AWS_LAMBDA_FUNCTION_NAME": name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(spec.memory),
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{name}",
        "AWS_LAMBDA_LOG_FORMAT": spec.log_format,
        "LAMBDA_TASK_ROOT": str(spec.code),
        "LAMBDA_RUNTIME_DIR": str(Path(sys.executable).parent),
    }
    return reserved | ({"AWS_LAMBDA_LOG_LEVEL": spec.log_level} if spec.log_level else {})


def python_path(spec: FunctionSpec, variables: Mapping[str, str], around: Surroundings) -> list[str]:
    """Return the import path: the code, the layers, the last one first, as in /opt, and the runtime's packages."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    folders = [spec.code]
    for layer in reversed(spec.layers):
        if layer in spec.sources:
            folders.append(layer)
            continue
        packages = layer / "python" / "lib" / version / "site-packages"
        folders += [layer / "python", *([packages] if packages.is_dir() else [])]
    folders += [*around.packages, around.runtime]
    given = variables.get("PYTHONPATH")
    return [str(folder) for folder in folders] + ([given] if given else [])
