"""HTTP as uvicorn reads it, without trailers: uvicorn adds what follows a chunked body to the headers of the request.

Only processes that serve with uvicorn import it; the functions have no uvicorn.
"""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["WithoutTrailers"]


class WithoutTrailers(HttpToolsProtocol):
    """What a proxy takes for the headers of a request is all that counts as such."""

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._headers_ended = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        if not self._headers_ended:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin to answer; what looks like headers from now on are trailers."""
        self._headers_ended = True
        super().on_headers_complete()
