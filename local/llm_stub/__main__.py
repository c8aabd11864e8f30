from __future__ import annotations

import argparse
from collections.abc import Sequence

import uvicorn

from local.llm_stub.app import BEHAVIOURS, make_app


def _parser() -> argparse.ArgumentParser:
    models = "\n".join(f"  {name:<20} {what}" for name, what in BEHAVIOURS.items())
    parser = argparse.ArgumentParser(
        prog="python -m local.llm_stub",
        description="An OpenAI-compatible chat completion server without a model.",
        epilog=f"Models and what they do:\n{models}\n\nUse it: OPENAI_BASE_URL=http://127.0.0.1:8090/v1",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    parser.add_argument("--port", type=int, default=8090, help="port to listen on (default %(default)s)")
    parser.add_argument("--latency-ms", type=float, default=300.0, help="time of each completion (default %(default)s)")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until interrupted."""
    options = _parser().parse_args(arguments)
    uvicorn.run(
        make_app(latency_ms=options.latency_ms),
        host=options.host,
        port=options.port,
        log_level="warning",
        access_log=False,
    )


if __name__ == "__main__":
    main()
