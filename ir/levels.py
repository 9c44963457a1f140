"""What is legal at each level of the IR: one table, checked at the boundaries of passes."""

from __future__ import annotations

from epimc.ir.core import Module, Op
from epimc.ir.types import IrError, as_map

NN, EPI, XBAR = "nn", "epi", "xbar"
LEVELS = (NN, EPI, XBAR)

# Float ops that stay as they are until they are quantized, and those that also move activations.
BETWEEN = frozenset(
    {
        "nn.affine",
        "nn.relu",
        "nn.add",
        "nn.max_pool",
        "nn.average_pool",
        "nn.sub",
        "nn.multiply",
        "nn.clip",
        "nn.activation",
        "nn.concat",
        "nn.pad",
        "nn.select",
        "nn.constant",
        "nn.rearrange",
        "nn.softmax",
    }
)

# Which ops each level holds.  At `epi` the constant-weight ops have become epitomes.
LEGAL: dict[str, frozenset[str]] = {
    NN: BETWEEN | {"nn.conv", "nn.gemm", "nn.batch_norm"},
    EPI: BETWEEN
    | {
        "epi.conv",
        "epi.quantize",
        "epi.dequantize",
        "epi.sum_pool",
        "epi.requantize",
        "epi.multiply",
        "epi.lookup",
        "epi.host",
    },
    XBAR: frozenset(
        {
            "xbar.mvm",
            "xbar.add",
            "xbar.pool",
            "xbar.rearrange",
            "xbar.requantize",
            "xbar.multiply",
            "xbar.lookup",
            "xbar.concat",
            "xbar.pad",
            "xbar.select",
            "xbar.constant",
            "xbar.host",
        },
    ),
}

# What inputs and outputs of the module are: real values until the border becomes the host's.
BORDER: dict[str, str] = {NN: "f", EPI: "f", XBAR: "u"}


def check_op(op: Op, level: str) -> None:
    """Raise IrError unless the op is legal at the level."""
    if op.name not in LEGAL[level]:
        raise IrError(f"op {op.name} is not legal at level {level}")


def check_border(module: Module) -> None:
    """Raise IrError unless inputs and outputs are vectors or maps of what the level says."""
    for name, value in (*module.inputs, *module.outputs):
        as_map(value.type.shape)
        if value.type.element[0] != BORDER[module.level]:
            wanted = "real (f32)" if BORDER[module.level] == "f" else "activations (uN)"
            raise IrError(f"'{name}' must be {wanted} at level {module.level}")
