"""The forms of an encoder's products: float, int8 with one scale for a batch, int8 with a scale for each row.

Adapters of several tasks stand beside a weight as products of low rank. All tasks' columns are computed, and a mask
with a row for each token keeps those of its task, so one batch may hold rows of different tasks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from onnx import helper

from .graph_parts import CONTRIB, Array, Parts

__all__ = ["TASK_ROWS", "Adapter", "FloatProducts", "Int8Products", "Linear", "Products", "RowProducts"]

#: The value that holds the number of each token's task.
TASK_ROWS = "task.rows"
#: Weights keep to 7 bits, so that the sums of AVX2 machines cannot saturate; with VNNI and AMX it costs nothing.
WEIGHT_LIMIT = 64
#: An adapter's row may have this root mean square, as a share of the weight's largest values, so that it does not
#: exceed them; and the ratio of row and column at which their rounding errors are alike (a 64th against about a 25th).
LARGEST_ROW, ERRORS = 1 / 3, 0.4
#: How often an adapter's columns are given at most, each time with a smaller share of their values.
MOST_SHARES = 4


@dataclass(frozen=True, slots=True)
class Adapter:
    """The low-rank products of all tasks but the first, ``left`` (inputs, columns) and ``right`` (columns, outputs)."""

    left: Array
    right: Array


@dataclass(frozen=True, slots=True)
class Linear:
    """x·weight + bias, where ``weight`` is (inputs, outputs), and what the tasks add to the weight."""

    weight: Array
    bias: Array
    adapter: Adapter | None = None


@dataclass(frozen=True, slots=True)
class Operand:
    """What a product reads: values, and for int8 their scale and zero point; ``rows`` is a scale for each row.

    The scale of values that are ``one_sided``, such as those of Gelu, holds hardly any negative ones.
    """

    values: str
    scale: str = ""
    zero: str = ""
    rows: str = ""
    one_sided: bool = False


def task_columns(parts: Parts, adapter: Adapter, tasks: int) -> str:
    """Return a value with a row for each token: 1 in its task's columns, 0 in others'. The first task has none."""
    width = adapter.left.shape[1]
    name = f"task.columns.{width}"
    if name not in parts.stored:
        chosen = np.repeat(np.eye(tasks, dtype=np.float32)[:, 1:], width // (tasks - 1), axis=1)
        parts.add("Gather", [parts.store(name, chosen), TASK_ROWS], f"{name}.tokens")
    return f"{name}.tokens"


class Products(Protocol):
    """Writes the products of two-dimensional values, and the look-up in the table of words."""

    def read(self, source: str, *, one_sided: bool = False) -> Operand:
        """Prepare values that one or more products read."""
        ...

    def times(self, name: str, operand: Operand, linear: Linear) -> str:
        """Write one product with its bias, and return its result."""
        ...

    def words(self, name: str, table: Array, ids: str) -> str:
        """Look up the rows of ``table`` at ``ids``."""
        ...


class FloatProducts:
    """Products in float32."""

    def __init__(self, parts: Parts, tasks: int = 0) -> None:
        self._parts, self._tasks = parts, tasks

    def read(self, source: str, *, one_sided: bool = False) -> Operand:
        return Operand(source, one_sided=one_sided)

    def times(self, name: str, operand: Operand, linear: Linear) -> str:
        parts, adapter = self._parts, linear.adapter
        weight, bias = parts.store(f"{name}.weight", linear.weight), parts.store(f"{name}.bias", linear.bias)
        product = parts.add("MatMul", [operand.values, weight], f"{name}.product")
        if adapter is not None:
            left, right = parts.store(f"{name}.left", adapter.left), parts.store(f"{name}.right", adapter.right)
            low = parts.add("MatMul", [operand.values, left], f"{name}.low")
            own = parts.add("Mul", [low, task_columns(parts, adapter, self._tasks)], f"{name}.own")
            beside = parts.add("MatMul", [own, right], f"{name}.beside")
            product = parts.add("Add", [product, beside], f"{name}.sum")
        return parts.add("Add", [product, bias], f"{name}.out")

    def words(self, name: str, table: Array, ids: str) -> str:
        return self._parts.add("Gather", [self._parts.store(name, table), ids], f"{name}.rows")


class Int8Products:
    """Products of int8 weights, a scale for each output, and uint8 values with one scale for the whole batch."""

    def __init__(self, parts: Parts, tasks: int = 0) -> None:
        self._parts, self._tasks = parts, tasks

    def read(self, source: str, *, one_sided: bool = False) -> Operand:
        small, scale, zero = (f"{source}.{part}" for part in ("int8", "scale", "zero"))
        self._parts.nodes.append(helper.make_node("DynamicQuantizeLinear", [source], [small, scale, zero], name=small))
        return Operand(small, scale, zero, one_sided=one_sided)

    def times(self, name: str, operand: Operand, linear: Linear) -> str:
        return self._product(name, *self._with_adapter(name, operand, linear), linear.bias)

    def words(self, name: str, table: Array, ids: str) -> str:
        # One scale for the table, as the graphs of the first format had it: their vectors stay.
        lowest, highest = min(float(table.min()), 0.0), max(float(table.max()), 0.0)
        scale = np.float32((highest - lowest) / 255 or 1)
        zero = np.uint8(np.clip(np.round(-lowest / scale), 0, 255))
        small = np.clip(np.round(table / scale) + np.float32(zero), 0, 255).astype(np.uint8)
        parts = self._parts
        rows = parts.add("Gather", [parts.store(name, small), ids], f"{name}.small")
        inputs = [rows, parts.store(f"{name}.scale", np.array(scale)), parts.store(f"{name}.zero", np.array(zero))]
        return parts.add("DequantizeLinear", inputs, f"{name}.rows")

    def _product(self, name: str, operand: Operand, weight: Array, bias: Array | None) -> str:
        """Write the product of one int8 weight; the runtime multiplies with the scales and adds the bias at once."""
        parts = self._parts
        scale = _scales(weight)
        stored = parts.store(f"{name}.weight", quantised(weight, scale))
        inputs = [operand.values, stored, operand.scale, parts.store(f"{name}.scale", scale), operand.zero, ""]
        inputs += [] if bias is None else [parts.store(f"{name}.bias", bias)]
        return parts.add("MatMulIntegerToFloat", inputs, f"{name}.out", domain=CONTRIB)

    def _with_adapter(self, name: str, operand: Operand, linear: Linear) -> tuple[Operand, Array]:
        """Lengthen the values by the adapter's columns, and the weight by its rows: one product computes both."""
        if linear.adapter is None:
            return operand, linear.weight
        parts = self._parts
        adapter, shares = _balanced(linear.weight, linear.adapter)
        low = self._product(f"{name}.low", operand, adapter.left, None)
        own = parts.add("Mul", [low, task_columns(parts, adapter, self._tasks)], f"{name}.own")
        right = adapter.right
        if operand.one_sided:
            # Positive and negative values go into columns of their own, as what they have above zero.
            negative = parts.add("Neg", [own], f"{name}.own.negative")
            sides = parts.add("Concat", [own, negative], f"{name}.own.sides", axis=1)
            own, right = parts.add("Relu", [sides], f"{name}.own.above"), np.concatenate([right, -right])
        small = parts.add("QuantizeLinear", [own, operand.scale, operand.zero], f"{name}.own.int8")
        both = parts.add("Concat", [operand.values, *[small] * shares], f"{name}.both", axis=1)
        return Operand(both, operand.scale, operand.zero), np.concatenate([linear.weight, *[right] * shares])


class RowProducts(Int8Products):
    """Int8 products whose values have a scale for each row: a text's vector does not depend on its batch.

    The runtime takes no zero point for each row, so values are symmetric around 128. Their scales are multiplied
    with the results, which costs a pass over them.
    """

    def read(self, source: str, *, one_sided: bool = False) -> Operand:
        del one_sided  # these scales are symmetric
        parts = self._parts
        axis = parts.whole(1)
        highest = parts.add("ReduceMax", [source, axis], f"{source}.highest", keepdims=0)
        lowest = parts.add("ReduceMin", [source, axis], f"{source}.lowest", keepdims=0)
        negative = parts.add("Neg", [lowest], f"{source}.negative")
        largest = parts.add("Max", [highest, negative, parts.number(1e-9)], f"{source}.largest")
        scale = parts.add("Div", [largest, parts.number(127.0)], f"{source}.scale")
        inputs = [source, scale, self._zeros(scale)]
        small = parts.add("QuantizeLinear", inputs, f"{source}.int8", axis=0)
        return Operand(small, parts.number(1.0), self._zero(), parts.add("Unsqueeze", [scale, axis], f"{source}.rows"))

    def times(self, name: str, operand: Operand, linear: Linear) -> str:
        parts = self._parts
        if linear.adapter is None:
            product = self._product(f"{name}.product", operand, linear.weight, None)
        else:
            longer, weight = self._with_adapter(name, operand, linear)
            product = self._product(f"{name}.product", longer, weight, None)
        scaled = parts.add("Mul", [product, operand.rows], f"{name}.scaled")
        return parts.add("Add", [scaled, parts.store(f"{name}.bias", linear.bias)], f"{name}.out")

    def _zero(self) -> str:
        name = "row.zero"
        return name if name in self._parts.stored else self._parts.store(name, np.array(128, np.uint8))

    def _zeros(self, scale: str) -> str:
        """Return the zero point of every row: all values of one graph have the same rows."""
        name = "row.zeros"
        if not self._zeros_made:
            rows = self._parts.add("Shape", [scale], f"{name}.shape")
            self._parts.add("Expand", [self._zero(), rows], name)
            self._zeros_made = True
        return name

    _zeros_made = False


def quantised(weight: Array, scale: Array) -> NDArray[np.int8]:
    """Return a weight as whole numbers of its outputs' scales."""
    return np.clip(np.round(weight / scale), -WEIGHT_LIMIT, WEIGHT_LIMIT).astype(np.int8)


def _scales(weight: Array) -> Array:
    scale = np.abs(weight).max(axis=0) / np.float32(WEIGHT_LIMIT)
    return np.where(scale == 0, np.float32(1), scale)


def _balanced(weight: Array, adapter: Adapter) -> tuple[Adapter, int]:
    """Scale the adapter so that it shares the scales of the weight and of its input, and say in how many shares.

    What one column and its row contribute is fixed; a factor moves it from the one to the other. Both are rounded:
    the row in steps of the weight's scales, the column's results in steps of the input's. The factor makes both errors
    alike, but leaves the rows smaller than the weight. Columns that are longer than 1 then can give results that are
    larger than the inputs: each share gives a part of them.
    """
    outputs = np.abs(weight).max(axis=0) + np.float32(1e-12)
    rows = np.sqrt(np.mean((adapter.right / outputs) ** 2, axis=1))
    both = rows * np.linalg.norm(adapter.left, axis=0)
    wanted = np.minimum(np.sqrt(ERRORS * both), LARGEST_ROW)
    factor = np.where(both == 0, 1, rows / np.where(both == 0, 1, wanted))
    left, right = adapter.left * factor, adapter.right / factor[:, None]
    shares = int(np.clip(np.ceil(np.linalg.norm(left, axis=0).max()), 1, MOST_SHARES))
    return Adapter((left / shares).astype(np.float32), right.astype(np.float32)), shares
