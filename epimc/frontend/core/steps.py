"""What an import knows of a model's nodes before it is decided where they run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import onnx
from onnx import TensorProto

from epimc.frontend.core.bindings import Array, shape_of
from epimc.frontend.core.node import UnsupportedError
from epimc.frontend.model.standard import where_of

# Elements that are reals on the chip, whatever the host computes with.
REALS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE)


@dataclass
class Step:
    """A node whose results are no constants.

    Attributes:
        proto: As the model has it, or what stands for a part of it.
        reads: The tensors that it reads, each once, also those that its graphs see around it.
        makes: Those of its results that have names.
        reason: Why the chip cannot compute it, a clause; empty where it can.
        macs: Multiplications by numbers of a convolution or product of matrices.
        work: Those of them that the chip does on crossbars.
        copies: Whether it is no node of the model, but gives an output as users have it.
    """

    proto: onnx.NodeProto
    reads: tuple[str, ...]
    makes: tuple[str, ...]
    reason: str = ""
    macs: int = 0
    work: int = 0
    copies: bool = False

    @property
    def place(self) -> str:
        """How messages name the node."""
        return where_of(self.proto)


@dataclass
class Scope:
    """All tensors of a model.

    Attributes:
        inputs: The model's inputs, which are no constants.
        constants: Contents by name.
        kinds: Types by name, as far as they are known, axis 0 of samples being the batch.
        batch: What ONNX shapes have on axis 0 where that counts samples.
        stay: The tensors that no value stands for, which the host cannot take from the chip.
        samples_first: Whether that is so for all inputs.
        opsets: The versions of all domains.
    """

    inputs: tuple[str, ...]
    batch: int
    samples_first: bool = True
    constants: dict[str, Array] = field(default_factory=dict)
    kinds: dict[str, onnx.TypeProto] = field(default_factory=dict)
    stay: set[str] = field(default_factory=set)
    opsets: Mapping[str, int] = field(default_factory=dict)

    def needs_cast(self, name: str) -> bool:
        """Whether a tensor holds other reals than float32."""
        kind = self.kinds.get(name)
        return kind is not None and kind.tensor_type.elem_type in REALS[1:]

    def entering(self, name: str) -> tuple[tuple[int, ...], bool]:
        """The shape of one sample of a tensor of the host, if the chip can take that.

        Returns:
            The shape, and whether the samples' axis stands before it.  Where one sample is all that
            the model takes, a tensor may be without.

        Raises:
            UnsupportedError: It cannot.
        """
        kind = self.kinds.get(name)
        shape = shape_of(kind)
        if kind is None or not kind.HasField("tensor_type"):
            raise UnsupportedError(f"its input '{name}' is no tensor of known type")
        if kind.tensor_type.elem_type not in REALS:
            word = TensorProto.DataType.Name(kind.tensor_type.elem_type).lower()
            raise UnsupportedError(f"its input '{name}' holds {word} values, and the chip reals")
        if shape is None:
            raise UnsupportedError(f"the shape of its input '{name}' depends on the data")
        if 0 in shape:
            raise UnsupportedError(f"its input '{name}' of shape {list(shape)} is empty")
        if len(shape) > 1 and shape[0] == self.batch:
            return shape[1:], True
        if self.samples_first:
            raise UnsupportedError(
                f"axis 0 of its input '{name}' of shape {list(shape)} counts no samples"
            )
        return shape, False

    def enters(self, name: str) -> bool:
        """Whether the chip can take a tensor of the host."""
        try:
            self.entering(name)
        except UnsupportedError:
            return False
        return True


def readers_of(steps: Iterable[Step]) -> Mapping[str, list[int]]:
    """The numbers of the steps that read each tensor."""
    readers: dict[str, list[int]] = {}
    for number, step in enumerate(steps):
        for name in step.reads:
            readers.setdefault(name, []).append(number)
    return readers
