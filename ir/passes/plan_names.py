"""The layers that plans name, from the imported module to the pass that looks for them.

Users know the ONNX nodes and values of their model.  Passes keep nodes: the location of an op tells
all that it stands for.  Values go when what computes them is folded into a layer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace

from epimc.ir.core.module import Module
from epimc.ir.core.op import Op
from epimc.ir.core.traits import Moves, Weighted
from epimc.ir.epitome.layer_plans import Plans, indices_by_name
from epimc.ir.epitome.plan_files import requested_plans
from epimc.ir.epitome.policies import Layer
from epimc.ir.passes.epitomize import layers_of


def plans_for(epitome: str, module: Module) -> Plans:
    """What `--epitome` asks for, each layer called by a name that passes keep.

    What is a layer of its own, or a part of one, is certain only where `epitomize` runs, which
    therefore looks again; but most mistakes are certain now.

    Args:
        epitome: A policy, or a file with plans.
        module: As it was imported.

    Raises:
        EpimcError: There is no such policy, or the file is wrong: one error names every mistake
            that is certain.
    """
    # Nothing that is checked here depends on the arrays of the target.
    layers = layers_of(module, rows=1)
    plans = requested_plans(epitome, list(layers.values()), others=known_names(module))
    names = Names(module, layers)
    named = (replace(one, name=names.kept(one.name)) for one in plans.layers)
    return replace(plans, layers=tuple(named))


def known_names(module: Module) -> set[str]:
    """The names of all nodes and values."""
    nodes = {name for op in module.ops for _, name in op.location.nodes}
    return nodes | {value.name for value in module.values()}


class Names:
    """What the names of a module mean: looked up once, for plans of thousands of layers."""

    def __init__(self, module: Module, layers: Mapping[Op, Layer]) -> None:
        """Note the names of all nodes, values and layers."""
        self.layers, self.ops = layers, list(layers)
        self.of_layers = indices_by_name(list(layers.values()))
        self.makers = {op.output.name: op for op in module.ops}
        self.of_nodes: dict[str, list[Op]] = defaultdict(list)
        for op in module.ops:
            for name in dict.fromkeys(name for _, name in op.location.nodes):
                self.of_nodes[name].append(op)

    def kept(self, name: str) -> str:
        """The name by which the layer of a name can be found after every pass.

        It is that of its node.  Where the node's name could mean another layer as well, it is that
        of the value which `fold` leaves, as far as that is certain before `layout`.
        """
        op = self.meant(name)
        if op is None:
            return name
        value = self.layers[op].value if op in self.layers else name
        if len(op.location.nodes) != 1:
            return value
        ((_, node),) = op.location.nodes
        return node if self.makers.get(node, op) is op and self.is_one_layer(node, op) else value

    def meant(self, name: str) -> Op | None:
        """The layer that a name means, or what may yet become a part of one: the op of a value."""
        if indices := self.of_layers.get(name):
            return self.ops[indices[0]]
        return None if name in self.of_nodes else self.makers.get(name)

    def is_one_layer(self, node: str, op: Op) -> bool:
        """Whether all ops of a name's nodes are those of one node, and make one layer at most.

        What moves elements on the way to a layer may stand for other nodes as well.
        """
        named = self.of_nodes[node]
        layers = [other for other in named if isinstance(other, Weighted)]
        same = all(other.location == op.location for other in named if not isinstance(other, Moves))
        return same and (len(layers) == 1 or (not layers and len(named) == 1))
