"""A stand-in for pandas: pymilvus imports it for data frames, which Forgetless never makes.

It saves a cold start a quarter of a second and the layer 43 MB. Nothing here computes.
"""

from __future__ import annotations

from pandas import api

__all__ = ["DataFrame", "Series", "api"]
# A valid version: others (pyarrow) parse it.
__version__ = "0.0.1"


class DataFrame:
    """What no value is an instance of."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        raise NotImplementedError("this environment carries a stand-in for pandas; install pandas for data frames")


class Series(DataFrame):
    """What no value is an instance of, either."""
