"""Random cases of the whole compiler: a network, its epitomes, bits, and a chip."""

from __future__ import annotations

import json
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import onnx
from hypothesis import strategies as st
from numpy.typing import NDArray

from epimc.backends.crossbar.lower.counting import Matrix, geometry_of, mapped, matrix_of
from epimc.backends.crossbar.target.schema import Crossbar, Target, load_target
from epimc.frontend import import_proto
from epimc.ir.epitome.layer_plans import LayerPlan, Plans
from epimc.ir.epitome.policies import Layer
from epimc.ir.passes.epitomize import layers_of
from epimc.ir.passes.layout import Layout
from epimc.ir.passes.plan_names import known_names
from epimc.ir.semantics.cells import MappingName, lossless_adc_bits
from epimc.support.port_types import PortType
from tests.helpers.hand_plans import hand_plans
from tests.helpers.strategies.networks import networks

MOST_ARRAYS = 200
"""Of a chip: more than these make compiling and running slow, and nothing new."""

MOST_PATCHES = 60
"""Of a layer: a thousand rounds of a single channel say no more, and take long."""


@dataclass(frozen=True)
class Case:
    """Something to compile.

    Attributes:
        model: The network.
        samples: [samples, ...] for each input by name.
        policy: Of all layers; used where there are no plans.
        plans: Of single layers; None for no plan file.
        weight_bits: 2 to 8.
        activation_bits: 4 to 12.
        target: Its buffer may be too small for the network.
    """

    model: onnx.ModelProto
    samples: dict[str, NDArray[Any]]
    policy: str
    plans: Plans | None
    weight_bits: int
    activation_bits: int
    target: Target

    @property
    def loses_little(self) -> bool:
        """Whether the program must stay near the float model."""
        return self.plans is None and (self.policy, self.weight_bits, self.activation_bits) == (
            "none",
            8,
            8,
        )

    @property
    def fits_files(self) -> bool:
        """Whether files can hold what goes in and comes out: they know no texts and no lists."""
        tensors = all(entry.type.HasField("tensor_type") for entry in self.model.graph.output)
        types = {entry.type.tensor_type.elem_type for entry in self.model.graph.output}
        numbers = all(array.dtype.kind in "biuf" for array in self.samples.values())
        return tensors and numbers and onnx.TensorProto.STRING not in types

    def __repr__(self) -> str:
        """The network as text, its weights left out, and all the rest."""
        model = onnx.ModelProto.FromString(self.model.SerializeToString())
        del model.graph.initializer[:]
        graph = onnx.printer.to_text(model)
        rest = self.plans or self.policy, f"W{self.weight_bits}A{self.activation_bits}", self.target
        return f"Case({graph}\n{rest})"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Hypothesis would print the weights."""
        printer.text(repr(self))


def toml_of(plans: Plans) -> str:
    """The plan file that says so."""
    lines = [f"default = {json.dumps(plans.default)}"]
    for given in plans.layers:
        lines.append("[[layer]]")
        # TOML writes lists and plain text as JSON does.
        lines += [f"{key} = {json.dumps(value)}" for key, value in given.dump().items()]
    return "\n".join(lines) + "\n"


Made = tuple[onnx.ModelProto, dict[str, NDArray[Any]]]


@st.composite
def cases(draw: st.DrawFn, made: st.SearchStrategy[Made] | None = None) -> Case:
    """A case; half of them with a plan file, the others with a policy.

    Args:
        draw: Draws.
        made: Models and samples as they take them; else those of `networks`.
    """
    model, samples = draw(networks() if made is None else made)
    imported = import_proto(model, "model")
    module = imported.module
    samples = {port.name: as_taken(samples[port.name], port.port_type) for port in imported.inputs}
    layers = list(layers_of(Layout().run(module), 64).values())
    policy, plans = draw(POLICIES), None
    if draw(st.booleans()):
        plans = draw(layer_plans(policy, layers, known_names(module)))
    weight_bits, activation_bits = draw(BITS)
    chosen = (plans or Plans(policy)).choose(layers)
    epitomes = [
        matrix_of(epitome, layer.groups) for (epitome, _), layer in zip(chosen, layers, strict=True)
    ]
    target = draw(targets(epitomes, weight_bits))
    return Case(model, samples, policy, plans, weight_bits, activation_bits, target)


def as_taken(samples: NDArray[Any], kind: PortType) -> NDArray[Any]:
    """Samples of an input, several in one where the model takes so many at once, or none."""
    if kind.samples_first or samples.shape[1:] == kind.shape:
        return samples
    assert kind.shape is not None
    return np.stack([np.roll(samples, k, 0) for k in range(kind.shape[0])], 1)


POLICIES = st.just("none") | st.builds(
    "uniform:{}x{}".format, st.integers(4, 60), st.integers(1, 8)
)
BITS = st.just((8, 8)) | st.tuples(st.integers(2, 8), st.integers(4, 12))


@st.composite
def layer_plans(
    draw: st.DrawFn, default: str, layers: Sequence[Layer], known: Container[str]
) -> Plans:
    """Plans by hand for most layers, each called by any known name, and policies for others."""
    chosen = []
    for layer in layers:
        names = [name for name in layer.names if name in known]
        if not names:
            continue
        name = draw(st.sampled_from(names))
        kind = draw(st.sampled_from(["hand", "hand", "hand", "policy", "default"]))
        if kind == "policy":
            chosen.append(LayerPlan(name, draw(POLICIES)))
        elif kind == "hand":
            epitome, patches = draw(hand_plans(layer.weights, layer.groups))
            if len(patches) <= MOST_PATCHES:
                chosen.append(LayerPlan(name, "", epitome, patches))
    return Plans(default, tuple(draw(st.permutations(chosen))))


@st.composite
def targets(draw: st.DrawFn, epitomes: Sequence[Matrix], weight_bits: int) -> Target:
    """A chip with small arrays on few tiles, perhaps with small buffers; its ADC just lossless."""
    rows, cell_bits = draw(st.integers(4, 64)), draw(st.integers(1, 4))
    most = max(n for n in range(1, 9) if lossless_adc_bits(rows, n, cell_bits) <= 16)
    dac_bits = draw(st.integers(1, most))
    mapping: MappingName = draw(st.sampled_from(get_args(MappingName)))
    crossbar = Crossbar(
        rows=rows, columns=draw(st.integers(4, 64)), cell_bits=cell_bits, mapping=mapping
    )
    arrays = arrays_of(epitomes, weight_bits, crossbar)
    if arrays > MOST_ARRAYS:
        crossbar = crossbar.model_copy(update={"columns": 64 * (1 + arrays // MOST_ARRAYS)})
        arrays = arrays_of(epitomes, weight_bits, crossbar)
    buffers = st.sampled_from([2**16, 8, 8, 8, 256, 512])
    adc_bits = lossless_adc_bits(rows, dac_bits, cell_bits)
    crossbars = -(-arrays // draw(TILES)) or 1
    return Target.from_dict(
        {
            "schema": 1,
            "name": "drawn",
            "crossbar": crossbar.model_dump(),
            "converters": {
                "dac_bits": dac_bits,
                "adc_bits": adc_bits,
                # Not drawn: of so many rows some chips read few at a time.
                "rows_per_read": rows // 3 if rows % 2 else 0,
            },
            "tile": {"crossbars": crossbars, "buffer_bytes": draw(buffers)},
            "memory": {"off_chip_bytes": 2**24},
        }
    )


TILES = st.integers(1, 9)


def arrays_of(epitomes: Sequence[Matrix], weight_bits: int, crossbar: Crossbar) -> int:
    """How many crossbars the layers take."""
    geometry = geometry_of(crossbar)
    return sum(mapped(epitome, weight_bits, geometry) for epitome in epitomes)


def plain_case(
    model: onnx.ModelProto, samples: dict[str, NDArray[Any]], target: str = "epim-256"
) -> Case:
    """A network without epitomes on a built-in target, with eight bits."""
    return Case(model, samples, "none", None, 8, 8, load_target(target))
