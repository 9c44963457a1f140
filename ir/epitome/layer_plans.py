"""Plans layer by layer: what a user gives by hand or by a policy, as plain data.

    default = "uniform:256x32"          # the policy of all other layers; none if left out

    [[layer]]
    name = "conv1"                      # of one of its ONNX nodes, or of its value
    policy = "none"

    [[layer]]
    name = "conv2"
    epitome = [32, 28, 3, 3]            # [Eo, Ei, Eh, Ew]
    patches = [[0, 32, 0, 28, 0, 0, 0, 0]]   # [o0, on, i0, in, eo, ei, dy, dx] each

A TOML file says it so; the IR says the same in the attribute `plans` of a module.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from epimc.ir.core.attributes import Plain, integers
from epimc.ir.core.types import IrError
from epimc.ir.epitome import plan
from epimc.ir.epitome.plan import PLAN, Plan, Shape
from epimc.ir.epitome.policies import Layer, choose
from epimc.support.diagnostics import did_you_mean, mistaken

PLANS = "plans"
KEYS = ("default", "layer")
LAYER_KEYS = ("name", "policy", "epitome", "patches")
EPITOME = integers(4, minimum=1)


@dataclass(frozen=True)
class LayerPlan:
    """What a user gives for one layer: a policy, or an epitome's shape with its patches."""

    name: str
    policy: str = ""
    epitome: Shape = (0, 0, 0, 0)
    patches: Plan = ()

    def choose(self, layer: Layer) -> tuple[Shape, Plan]:
        """The epitome's shape and the plan.

        Raises:
            IrError: There is no such policy, or the plan is none for the layer.
        """
        if self.policy:
            return choose(self.policy, layer)
        if math.prod(self.epitome) > math.prod(layer.weights):
            shapes = f"an epitome {list(self.epitome)} is larger than weights {list(layer.weights)}"
            raise IrError(f"{shapes}: it would save nothing")
        plan.check(self.patches, layer.weights, self.epitome, layer.groups)
        return self.epitome, self.patches

    def dump(self) -> dict[str, Plain]:
        """As plain data."""
        if self.policy:
            return {"name": self.name, "policy": self.policy}
        return {"name": self.name, "epitome": self.epitome, "patches": PLAN.dump(self.patches)}


@dataclass(frozen=True)
class Plans:
    """What a user gives for a model.

    Attributes:
        default: The policy of all layers that are not named.
        layers: Those that are.
    """

    default: str = "none"
    layers: tuple[LayerPlan, ...] = ()

    @property
    def needs_target(self) -> bool:
        """Whether a policy asks for the size of the target's arrays."""
        policies = {self.default, *(given.policy for given in self.layers)}
        return not policies <= {"none", ""}

    def dump(self) -> dict[str, Plain]:
        """As plain data, which `load` reads back."""
        return {"default": self.default, "layer": tuple(given.dump() for given in self.layers)}

    def choose(self, layers: Sequence[Layer]) -> list[tuple[Shape, Plan]]:
        """The epitome's shape and the plan of each layer.

        Raises:
            EpimcError: One error that names every layer that does not exist, and every plan that
                is none for its layer.
        """
        if found := self.mistakes(layers):
            raise mistaken("The plans of the layers have", found)
        given = {find(one.name, layers)[0]: one for one in self.layers}
        rest = LayerPlan("", self.default)
        return [given.get(index, rest).choose(layer) for index, layer in enumerate(layers)]

    def mistakes(self, layers: Sequence[Layer], others: Collection[str] = frozenset()) -> list[str]:
        """What is wrong for a model with these layers, a sentence each.

        Args:
            layers: Those of the model.
            others: Names that may yet turn out to be those of layers: they are no mistakes.
        """
        found = [
            text
            for given in self.layers
            if given.name not in others or find(given.name, layers)
            for text in wrong_layer(given, layers)
        ]
        names = Counter(given.name for given in self.layers)
        found += [f"Layer '{name}' is given {n} times." for name, n in names.items() if n > 1]
        called: dict[int, list[str]] = defaultdict(list)
        for name in names:
            for index in find(name, layers):
                called[index].append(f"'{name}'")
        several = [quoted for quoted in called.values() if len(quoted) > 1]
        return found + [f"{' and '.join(quoted)} are names of one layer." for quoted in several]


def find(name: str, layers: Sequence[Layer]) -> list[int]:
    """The layers that a name may mean: the one with this value, or else all that have the name."""
    exact = [index for index, layer in enumerate(layers) if layer.value == name]
    return exact or [index for index, layer in enumerate(layers) if name in layer.names]


def wrong_layer(given: LayerPlan, layers: Sequence[Layer]) -> Iterator[str]:
    """What is wrong with the plan of one layer."""
    found = find(given.name, layers)
    if not found:
        names = {name for layer in layers for name in layer.names}
        # Of the many names of a layer the first is enough to find it by.
        hint = did_you_mean(given.name, names, {layer.names[0] for layer in layers})
        yield f"There is no layer '{given.name}'. {hint}".rstrip()
    elif len(found) > 1:
        yield f"'{given.name}' is a name of {len(found)} layers: take that of a value."
    else:
        try:
            given.choose(layers[found[0]])
        except IrError as problem:
            yield f"Layer '{given.name}': {problem}."


# --- reading ------------------------------------------------------------------------------------


def load(data: Mapping[str, Any]) -> tuple[Plans, list[str]]:
    """What plain data says, and what is wrong with it; a layer with a mistake is left out."""
    found = [
        f"Key '{key}' is unknown. {did_you_mean(key, KEYS)}" for key in data if key not in KEYS
    ]
    default = data.get("default", "none")
    if problem := wrong_policy(default):
        found.append(f"'default' is wrong: {problem}.")
        default = "none"
    entries = data.get("layer", ())
    if not isinstance(entries, (list, tuple)):
        return Plans(default), [*found, "'layer' must be a list of tables: write [[layer]]."]
    layers = []
    for number, entry in enumerate(entries, 1):
        try:
            layers.append(load_layer(entry))
        except IrError as problem:
            name = entry.get("name") if isinstance(entry, Mapping) else None
            place = f"Layer '{name}'" if isinstance(name, str) else f"Layer number {number}"
            found.append(f"{place}: {problem}.")
    return Plans(default, tuple(layers)), found


def load_layer(entry: object) -> LayerPlan:
    """The plan of one layer.

    Raises:
        IrError: The first mistake in it.
    """
    if not isinstance(entry, Mapping):
        raise IrError("expected a table")
    for key in entry:
        if key not in LAYER_KEYS:
            raise IrError(f"key '{key}' is unknown ({', '.join(LAYER_KEYS)})")
    name = entry.get("name")
    if not isinstance(name, str) or not name:
        raise IrError("'name' must name a node or a value")
    if ("policy" in entry) == ("epitome" in entry or "patches" in entry):
        raise IrError("expected either 'policy', or 'epitome' and 'patches'")
    if "policy" in entry:
        if problem := wrong_policy(entry["policy"]):
            raise IrError(problem)
        return LayerPlan(name, entry["policy"])
    eo, ei, eh, ew = loaded(EPITOME, "epitome", entry)
    return LayerPlan(name, "", (eo, ei, eh, ew), loaded(PLAN, "patches", entry))


def loaded(kind: Any, key: str, entry: Mapping[str, Any]) -> Any:
    """One key of a layer's table."""
    try:
        return kind.load(entry.get(key))
    except IrError as problem:
        raise IrError(f"'{key}': {problem}") from None


def wrong_policy(policy: object) -> str:
    """What is wrong with a policy; empty for a good one."""
    if not isinstance(policy, str):
        return "expected a policy in quotes"
    try:
        choose(policy, Layer((1, 1, 1, 1), 1))
    except IrError as problem:
        return str(problem)
    return ""
