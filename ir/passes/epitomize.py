"""`epitomize`: every convolution and every constant matmul becomes an epitome op."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from epimc.ir import plan
from epimc.ir.core import Builder, Module
from epimc.ir.dialects import epi, nn
from epimc.ir.levels import EPI
from epimc.ir.pipeline import Pass

POLICIES = ("none",)


@dataclass(frozen=True)
class Epitomize(Pass):
    """Choose a sampling plan a layer and fit its epitome.

    Attributes:
        policy: `none`: the identity plan, whose epitome is the weights themselves.
    """

    policy: str = "none"

    name: ClassVar[str] = "epitomize"
    requires: ClassVar[str] = "nn"
    ensures: ClassVar[str] = "epi"

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise ValueError(f"there is no policy '{self.policy}' (known: {', '.join(POLICIES)})")

    def run(self, module: Module) -> Module:
        """Rewrite nn.conv and nn.gemm; everything else stays."""
        builder = Builder(module, EPI)
        builder.inputs_of(module)
        for op in module.ops:
            if isinstance(op, (nn.Conv, nn.Gemm)):
                self.rewrite(builder, module, op)
            else:
                builder.copy(op)
        builder.outputs_of(module)
        return builder.finish()

    def rewrite(self, builder: Builder, module: Module, op: nn.Conv | nn.Gemm) -> None:
        """Append the epitome op for one layer; a matmul is a 1x1 convolution."""
        weight = module.tensor(op.weight)
        weight = weight.reshape(*weight.shape, *(1,) * (4 - weight.ndim))
        shape = (weight.shape[0], weight.shape[1], weight.shape[2], weight.shape[3])
        chosen, size = plan.identity(shape), shape
        epitome = plan.fit(weight, chosen, size)
        windows = ("strides", "pads", "dilations") if isinstance(op, nn.Conv) else ()
        old = op.output
        builder.mapped[old] = builder.add(
            epi.Conv,
            [builder.mapped[op.x]],
            type(old)(old.name, old.type, old.range),
            op.location,
            epitome=builder.store(f"{op.weight.name}.epitome", epitome, "f32"),
            bias=op.bias,
            shape=shape,
            plan=chosen,
            **{key: op.attributes[key] for key in windows},
        )
