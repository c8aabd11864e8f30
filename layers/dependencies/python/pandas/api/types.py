"""pandas.api.types as far as pymilvus uses it outside of data frames, with pandas' meaning."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from numbers import Number

import numpy as np

__all__ = ["infer_dtype", "is_array_like", "is_float", "is_list_like", "is_scalar"]

_SCALARS = (str, bytes, Number, np.generic, date, datetime, time, timedelta, Decimal, Fraction)


def is_scalar(value: object) -> bool:
    return value is None or isinstance(value, _SCALARS)


def is_list_like(value: object) -> bool:
    if isinstance(value, str | bytes | type) or (isinstance(value, np.ndarray) and value.ndim == 0):
        return False
    return isinstance(value, Iterable)


def is_array_like(value: object) -> bool:
    return is_list_like(value) and hasattr(value, "dtype")


def is_float(value: object) -> bool:
    return isinstance(value, float | np.floating)


def infer_dtype(value: object, skipna: bool = True) -> str:
    raise NotImplementedError("this environment carries a stand-in for pandas; install pandas to infer types")
