"""Collects the nodes and constants of a new ONNX graph; large constants can go straight into a file beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

__all__ = ["CONTRIB", "Array", "Parts", "data_of", "new_node"]

#: The domain of ONNX Runtime's own operators.
CONTRIB = "com.microsoft"
#: Constants of at least this many bytes go into the file beside the graph, aligned to this size.
INLINE_BYTES, ALIGNMENT = 4096, 4096

Array = NDArray[np.float32]


def data_of(out: Path) -> Path:
    """Return the file beside the graph ``out`` that holds its large constants."""
    return out.with_name(f"{out.name}_data")


def new_node(kind: str, inputs: Sequence[str], output: str, **attributes: object) -> onnx.NodeProto:
    """Return a node whose name is that of its only result."""
    return helper.make_node(kind, inputs, [output], name=output, **attributes)


@dataclass(slots=True)
class Parts:
    """Nodes and constants of a new graph. With ``data``, large constants are written there at once."""

    data: BinaryIO | None = None
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    stored: dict[str, onnx.TensorProto] = field(default_factory=dict)

    def store(self, name: str, value: NDArray[Any]) -> str:
        """Store a constant and return its name."""
        if self.data is None or value.nbytes < INLINE_BYTES:
            self.stored[name] = numpy_helper.from_array(np.asarray(value), name)
            return name
        self.data.write(b"\0" * (-self.data.tell() % ALIGNMENT))
        tensor = TensorProto(name=name, data_type=helper.np_dtype_to_tensor_dtype(value.dtype), dims=value.shape)
        tensor.data_location = TensorProto.EXTERNAL
        where = {"location": Path(self.data.name).name, "offset": self.data.tell(), "length": value.nbytes}
        for key, entry in where.items():
            tensor.external_data.add(key=key, value=str(entry))
        self.data.write(np.ascontiguousarray(value).data)
        self.stored[name] = tensor
        return name

    def number(self, value: float) -> str:
        """Store a single float32 once and return its name."""
        return self._once(f"number.{value!r}", np.array(value, np.float32))

    def whole(self, *values: int) -> str:
        """Store a list of whole numbers once and return its name."""
        return self._once(f"whole.{'_'.join(map(str, values))}", np.array(values, np.int64))

    def add(self, kind: str, inputs: Sequence[str], output: str, **attributes: object) -> str:
        """Add a node of one result and return the result's name."""
        self.nodes.append(new_node(kind, inputs, output, **attributes))
        return output

    def _once(self, name: str, value: NDArray[Any]) -> str:
        return name if name in self.stored else self.store(name, value)
