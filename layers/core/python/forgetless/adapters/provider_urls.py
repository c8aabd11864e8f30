"""The URLs of embedding servers and LLMs: where an API is, whichever form its address was given in.

Servers document their addresses in several forms: a host alone, a host with a path such as `/api/v3` or
`/v1beta/openai`, the whole endpoint, or an Azure deployment with its `api-version` in the query.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

__all__ = ["ProviderUrl", "provider_url"]

#: A part of a path that names a version: v1, v3, v1beta.
_VERSION = re.compile(r"v\d+(?:(?:alpha|beta)\d*)?", re.IGNORECASE)
#: Azure's path of one deployed model. Azure refuses it without an api-version.
_DEPLOYMENT = re.compile(r"/openai/deployments/[^/]+$")
_AZURE_HOST = ".azure.com"
_API_VERSION = re.compile(r"(?:^|&)api-version=")
#: The newest stable version of Azure's API of deployments; its newer API, /openai/v1, needs none.
AZURE_API_VERSION = "2024-10-21"


class ProviderUrl(NamedTuple):
    """The base URL of an API, to which the endpoint is added, and the header that its key goes into."""

    base: str
    key_header: str


def provider_url(url: str, endpoint: str, *, version: str = "") -> ProviderUrl:
    """Where the API is whose `endpoint` ("/embeddings") is called; `url` may already contain it.

    `version` ("/v1") is added to a path that names no version. The key goes into `api-key` for Azure, and for
    gateways that are addressed like Azure. A text that is no URL is returned as it is: the HTTP client refuses it.
    """
    url = url.strip()
    try:
        parts = urlsplit(url)
    except ValueError:
        return ProviderUrl(url, "authorization")
    path = parts.path.rstrip("/").removesuffix(endpoint).rstrip("/")
    deployment = _DEPLOYMENT.search(path) is not None
    versioned = deployment or _API_VERSION.search(parts.query) or any(map(_VERSION.fullmatch, path.split("/")))
    if not versioned:
        path += version
    query = parts.query
    if deployment and not _API_VERSION.search(query):
        query += f"{'&' * bool(query)}api-version={AZURE_API_VERSION}"
    azure = deployment or _like_azure(parts)
    return ProviderUrl(parts._replace(path=path, query=query).geturl(), "api-key" if azure else "authorization")


def _like_azure(parts: SplitResult) -> bool:
    return (parts.hostname or "").endswith(_AZURE_HOST) or _API_VERSION.search(parts.query) is not None
