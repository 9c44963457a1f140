"""`epitomize`: every convolution and every constant matmul becomes an epitome op."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from epimc.ir.core.levels import EPI, NN
from epimc.ir.core.module import Module
from epimc.ir.core.module_attributes import ARRAY_ROWS
from epimc.ir.core.op import Op, Value, dump_attributes
from epimc.ir.core.traits import Weighted
from epimc.ir.dialects import epi
from epimc.ir.epitome import plan
from epimc.ir.epitome.layer_plans import PLANS, Plans, load, wrong_policy
from epimc.ir.epitome.policies import Layer
from epimc.ir.passes.fold import NormIntoAffine, affine_chain
from epimc.ir.pipeline import Pass
from epimc.ir.rewriting import Pattern, Replacement, Rewriter, rewritten
from epimc.support.diagnostics import error, mistaken
from epimc.support.options import Option


@dataclass(frozen=True)
class Epitomize(Pass):
    """Choose a sampling plan a layer and fit its epitome by least squares on the weights.

    Attributes:
        policy: `none`: the identity plan, whose epitome is the weights themselves; or
            `uniform:RxC`: epitomes of at most R rows and C columns; or `plans`: what the
            module's attribute `plans` gives for each layer.
    """

    policy: Annotated[str, Option("none, uniform:RxC, or plans: those of the module.")] = "none"

    name: ClassVar[str] = "epitomize"
    requires: ClassVar[str] = NN
    ensures: ClassVar[str] = EPI

    def __post_init__(self) -> None:
        """A policy that does not exist is refused where it is asked for."""
        super().__post_init__()
        if self.policy != PLANS and (problem := wrong_policy(self.policy)):
            raise ValueError(problem)

    def run(self, module: Module) -> Module:
        """Rewrite nn.conv and nn.gemm, and nn.batch_norm to nn.affine; everything else stays."""
        plans = module_plans(module) if self.policy == PLANS else Plans(self.policy)
        layers = layers_of(module, array_rows(module) if plans.needs_target else 1)
        names, described = [op.output.name for op in layers], list(layers.values())
        chosen = dict(zip(names, plans.choose(described), strict=True))
        bits = dict(zip(names, plans.weight_bits(described), strict=True))
        # A batch normalization that no one folds is affine behind the weights, too.
        patterns = (LayerIntoEpitome(chosen, bits), NormIntoAffine())
        result = rewritten(module, patterns, level=self.ensures)
        # Both have been carried out: at the next levels they would say nothing.
        for key in (PLANS, ARRAY_ROWS):
            result.attributes.pop(key, None)
        return result


@dataclass(frozen=True)
class LayerIntoEpitome(Pattern[Weighted]):
    """A layer with weights computes with those that its epitome is sampled to.

    Attributes:
        chosen: The shape of the epitome and the plan of every layer, by its result's name.
        weight_bits: Bits of a weight, by the same names; none or 0: none are stated.
    """

    chosen: Mapping[str, tuple[plan.Shape, plan.Plan]]
    weight_bits: Mapping[str, int] = field(default_factory=dict)

    name: ClassVar[str] = "layer-into-epitome"
    ops: ClassVar[tuple[type[Op], ...]] = (Weighted,)

    def rewrite(self, op: Weighted, rewriter: Rewriter) -> Replacement | None:
        """The epitome op, whose epitome is fitted to the weights."""
        epitome, patches = self.chosen[op.output.name]
        weights = rewriter.tensor(op.weight)
        shape = as_conv(weights.shape)
        fitted = plan.fit(weights.reshape(shape), patches, epitome)
        kept = dump_attributes(op)
        del kept["weight"]
        attributes = {
            **kept,
            "epitome": rewriter.store(f"{op.weight.name}.epitome", fitted),
            "shape": shape,
            "plan": patches,
        }
        if bits := self.weight_bits.get(op.output.name):
            attributes["weight_bits"] = bits
        return Replacement(epi.Conv(op.operands, op.output, op.location, attributes))


def module_plans(module: Module) -> Plans:
    """The plans in the attribute `plans`.

    Raises:
        EpimcError: There are none, or they are wrong.
    """
    attribute = module.attributes.get(PLANS)
    if not isinstance(attribute, dict):
        raise error(
            f"Module '{module.name}' has no plans for its layers.",
            hint='Declare them: attribute plans = {default = "none", layer = [{name = …, …}]}.',
        )
    plans, mistakes = load(attribute)
    if mistakes:
        raise mistaken("The plans of the layers have", mistakes)
    return plans


def layers_of(module: Module, rows: int) -> dict[Op, Layer]:
    """What policies and users know of each layer of a module at level `nn`.

    Args:
        module: Before or after `fold`: the names of a layer are the same.
        rows: Word lines of the target's crossbar.
    """
    classifying, uses = classifiers(module), module.uses()
    return {
        op: Layer(
            as_conv(module.tensors[op.weight.name].type.shape),
            rows,
            op.output in classifying,
            op.group_count,
            layer_names([op, *affine_chain(op.output, uses)]),
        )
        for op in module.ops
        if isinstance(op, Weighted)
    }


def layer_names(ops: Sequence[Op]) -> tuple[str, ...]:
    """The names of a layer and of what is folded into it: nodes, then values."""
    nodes = [name for op in ops for _, name in op.location.nodes]
    return (*nodes, *(op.output.name for op in ops))


def array_rows(module: Module) -> int:
    """Word lines of the target's arrays, to which a policy aligns its blocks.

    Raises:
        EpimcError: The module does not tell.
    """
    rows = module.attributes.get(ARRAY_ROWS)
    if rows is None:
        raise error(
            f"Module '{module.name}' does not tell the word lines of an array.",
            hint=f"Declare them: attribute {ARRAY_ROWS} = 256.",
        )
    return int(rows)


def classifiers(module: Module) -> set[Value]:
    """The results that reach a graph output through no other layer with weights."""
    producers = module.producers()
    reached: set[Value] = set()
    pending = [value for _, value in module.outputs]
    while pending:
        value = pending.pop()
        op = producers.get(value)
        if op is None or value in reached:
            continue
        reached.add(value)
        # Behind a layer with weights its operands are no longer what an output shows.
        if not isinstance(op, Weighted):
            pending += op.operands
    return reached


def as_conv(shape: tuple[int, ...]) -> plan.Shape:
    """Weights [Cout, Cin / groups, Kh, Kw]; a matmul is a 1x1 convolution."""
    cout, cin, kh, kw = (*shape, *(1,) * (4 - len(shape)))
    return cout, cin, kh, kw
