"""Plans layer by layer: what a user gives by hand or by a policy, as plain data.

    default = "uniform:256x32"          # the policy of all other layers; none if left out
    default_weight_bits = 6             # of all other layers; those of the compile if left out

    [[layer]]
    name = "conv1"                      # of one of its ONNX nodes, or of its value
    policy = "none"

    [[layer]]
    name = "conv2"
    epitome = [32, 28, 3, 3]            # [Eo, Ei, Eh, Ew]
    patches = [[0, 32, 0, 28, 0, 0, 0, 0]]   # [o0, on, i0, in, eo, ei, dy, dx] each
    weight_bits = 4                     # beside what is said of the epitome, or alone

A TOML file says it so; the IR says the same in the attribute `plans` of a module.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationError, model_validator

from epimc.ir.core.attributes import Plain
from epimc.ir.core.types import IrError
from epimc.ir.epitome import plan
from epimc.ir.epitome.plan import PLAN, Patch, Plan, Shape
from epimc.ir.epitome.policies import POLICIES, Layer, choose
from epimc.support.diagnostics import counted, did_you_mean, error, mistaken
from epimc.support.limits import LARGEST_NUMBER
from epimc.support.mistakes import Keys, explained, key_path, sentences
from epimc.support.toml_files import TomlTable, number, words

PLANS = "plans"

MOST_HINTS = 20
"""So many mistakes tell what may be meant."""


LEAST_WEIGHT_BITS, MOST_WEIGHT_BITS = 1, 16
"""What a layer's weights may have."""


@dataclass(frozen=True)
class LayerPlan:
    """What a user gives for one layer.

    Attributes:
        name: By which the layer is called.
        policy: What chooses its epitome; empty: nothing does, or what follows.
        epitome: The epitome's shape, where there are patches.
        patches: The plan; none: the policy counts, or the one of layers that are not named.
        weight_bits: Bits of a weight; 0: as of layers that are not named.
    """

    name: str
    policy: str = ""
    epitome: Shape = (0, 0, 0, 0)
    patches: Plan = ()
    weight_bits: int = 0

    @property
    def has_epitome(self) -> bool:
        """Whether it says anything of the layer's epitome."""
        return bool(self.policy or self.epitome[0])

    def choose(self, layer: Layer, default: str = "none") -> tuple[Shape, Plan]:
        """The epitome's shape and the plan.

        Args:
            layer: The one that is meant.
            default: The policy of layers of which nothing is said.

        Raises:
            IrError: There is no such policy, or the plan is none for the layer.
        """
        if not self.has_epitome or self.policy:
            return choose(self.policy or default, layer)
        if math.prod(self.epitome) > math.prod(layer.weights):
            shapes = f"an epitome {list(self.epitome)} is larger than weights {list(layer.weights)}"
            raise IrError(f"{shapes}: it would save nothing")
        plan.check(self.patches, layer.weights, self.epitome, layer.groups)
        return self.epitome, self.patches

    def dump(self) -> dict[str, Plain]:
        """The name with what is said of the layer, as plain values."""
        said: dict[str, Plain] = {"name": self.name}
        if self.policy:
            said["policy"] = self.policy
        elif self.has_epitome:
            said |= {"epitome": self.epitome, "patches": PLAN.dump(self.patches)}
        if self.weight_bits:
            said["weight_bits"] = self.weight_bits
        return said


@dataclass(frozen=True)
class Plans:
    """What a user gives for a model.

    Attributes:
        default: The policy of all layers that are not named.
        layers: Those that are.
        default_weight_bits: Bits of a weight of all layers of which nothing else is said; 0: those
            of the compile.
    """

    default: str = "none"
    layers: tuple[LayerPlan, ...] = ()
    default_weight_bits: int = 0

    @property
    def states_bits(self) -> bool:
        """Whether any layer gets bits of its own."""
        return bool(self.default_weight_bits or any(layer.weight_bits for layer in self.layers))

    @property
    def needs_target(self) -> bool:
        """Whether a policy asks for the size of the target's arrays."""
        policies = {self.default, *(layer.policy for layer in self.layers)}
        return not policies <= {"none", ""}

    def dump(self) -> dict[str, Plain]:
        """As plain data, which `load` reads back."""
        said: dict[str, Plain] = {"default": self.default}
        if self.default_weight_bits:
            said["default_weight_bits"] = self.default_weight_bits
        return {**said, "layer": tuple(layer.dump() for layer in self.layers)}

    def choose(self, layers: Sequence[Layer]) -> list[tuple[Shape, Plan]]:
        """The epitome's shape and the plan of each layer.

        Raises:
            EpimcError: One error that names every layer that does not exist, and every plan that
                is none for its layer.
        """
        if mistakes := self.mistakes(layers):
            raise mistaken("The plans of the layers have", mistakes)
        chosen: list[tuple[Shape, Plan]] = []
        for layer, one in zip(layers, self.of_each(layers), strict=True):
            try:
                chosen.append(one.choose(layer, self.default))
            # The plans that are named are right: it is the policy of the others that does not suit.
            except IrError as problem:
                raise error(f"Layer '{layer.value}': {problem}.") from None
        return chosen

    def of_each(self, layers: Sequence[Layer]) -> list[LayerPlan]:
        """What is said of each layer of a model in which all that are named exist."""
        known = indices_by_name(layers)
        named = {known[one.name][0]: one for one in self.layers}
        return [named.get(index, LayerPlan("")) for index in range(len(layers))]

    def weight_bits(self, layers: Sequence[Layer]) -> list[int]:
        """The bits of each layer's weights, which all exist; 0: those of the compile."""
        return [one.weight_bits or self.default_weight_bits for one in self.of_each(layers)]

    def mistakes(self, layers: Sequence[Layer], others: Collection[str] = frozenset()) -> list[str]:
        """What is wrong for a model with these layers, a sentence each.

        Args:
            layers: Those of the model.
            others: Names that may yet turn out to be those of layers: they are no mistakes.
        """
        known = indices_by_name(layers)
        mistakes: list[str] = []
        for one in self.layers:
            if one.name not in others or one.name in known:
                # To look for the nearest of many names takes long.
                hinted = len(mistakes) < MOST_HINTS
                mistakes += wrong_layer(one, layers, known.get(one.name, []), hinted)
        names = Counter(one.name for one in self.layers)
        mistakes += [f"Layer '{name}' is given {n} times." for name, n in names.items() if n > 1]
        called: dict[int, list[str]] = defaultdict(list)
        for name in names:
            for index in known.get(name, []):
                called[index].append(f"'{name}'")
        several = [quoted for quoted in called.values() if len(quoted) > 1]
        return mistakes + [f"{' and '.join(quoted)} are names of one layer." for quoted in several]


def indices_by_name(layers: Sequence[Layer]) -> dict[str, list[int]]:
    """The layers that each name may mean: those with this value, or else all that have the name."""
    values: dict[str, list[int]] = defaultdict(list)
    names: dict[str, list[int]] = defaultdict(list)
    for index, layer in enumerate(layers):
        values[layer.value].append(index)
        for name in dict.fromkeys(layer.names):
            names[name].append(index)
    return {**names, **values}


def wrong_layer(
    one: LayerPlan, layers: Sequence[Layer], indices: Sequence[int], hinted: bool
) -> Iterator[str]:
    """What is wrong with the plan of one layer.

    Args:
        one: The plan.
        layers: Those of the model.
        indices: Of the layers that its name may mean.
        hinted: Whether to name what may be meant where there is no such layer.
    """
    if not indices:
        hint = ""
        if hinted:
            names = {name for layer in layers for name in layer.names}
            # Of the many names of a layer the first is enough to find it by.
            hint = did_you_mean(one.name, names, {layer.names[0] for layer in layers})
        yield f"There is no layer '{one.name}'. {hint}".rstrip()
    elif len(indices) > 1:
        yield f"'{one.name}' is a name of {counted(len(indices), 'layer')}: take that of a value."
    else:
        try:
            one.choose(layers[indices[0]])
        except IrError as problem:
            yield f"Layer '{one.name}': {problem}."


# --- reading ------------------------------------------------------------------------------------


def known_policy(policy: str) -> str:
    """The policy itself; ValueError if there is none such."""
    if problem := wrong_policy(policy):
        raise ValueError(problem)
    return policy


Size = Annotated[int, Field(ge=1, le=LARGEST_NUMBER)]
Offset = Annotated[int, Field(ge=0, le=LARGEST_NUMBER)]
# TOML and the text of the IR have lists, which a strict model does not take for tuples.
Sizes = Annotated[tuple[Size, Size, Size, Size], Field(strict=False)]
Numbers = tuple[Offset, Offset, Offset, Offset, Offset, Offset, Offset, Offset]
PatchRow = Annotated[Numbers, Field(strict=False)]
Policy = Annotated[str, AfterValidator(known_policy)]
KNOWN_POLICIES = " or ".join(f'"{policy}"' for policy in POLICIES)


EPITOME_KEYS: tuple[set[str], ...] = (set(), {"policy"}, {"epitome", "patches"})
"""The ways to say something of a layer's epitome, the first of which is to say nothing."""

EXPECTED_KEYS = (
    "either 'policy', or 'epitome' and 'patches'; or 'weight_bits', beside them or alone"
)


class LayerTable(TomlTable):
    """One `[[layer]]` of a file."""

    name: Annotated[str, Field(min_length=1)] = words(
        "a name in quotes", "that of one of the layer's nodes, or of its value"
    )
    policy: Policy = words(KNOWN_POLICIES, "what chooses the layer's epitome", default="")
    epitome: Sizes = words(
        "a list of 4 integers, each at least 1",
        "the epitome's shape [Eo, Ei, Eh, Ew]",
        inner=[f"an integer from 1 to {LARGEST_NUMBER}"],
        default=(0, 0, 0, 0),
    )
    patches: Annotated[tuple[PatchRow, ...], Field(strict=False)] = words(
        "a list of patches",
        "[o0, on, i0, in, eo, ei, dy, dx] each",
        inner=["a list of 8 integers, each at least 0", f"an integer from 0 to {LARGEST_NUMBER}"],
        default=(),
    )

    weight_bits: int = number(
        LEAST_WEIGHT_BITS, MOST_WEIGHT_BITS, "bits", "of the layer's weights", default=0
    )

    @model_validator(mode="after")
    def one_way(self) -> LayerTable:
        """Refuse a layer that says nothing, or two things of its epitome."""
        said = set(self.model_fields_set) - {"name"}
        if said - {"weight_bits"} not in EPITOME_KEYS or not said:
            raise explained(f"expected {EXPECTED_KEYS}")
        return self

    def plan(self) -> LayerPlan:
        """What the table says."""
        patches = tuple(Patch(*row) for row in self.patches)
        return LayerPlan(self.name, self.policy, self.epitome, patches, self.weight_bits)


class PlanTable(TomlTable):
    """A file of plans."""

    default: Policy = words(KNOWN_POLICIES, "for all layers that are not named", default="none")
    default_weight_bits: int = number(
        LEAST_WEIGHT_BITS, MOST_WEIGHT_BITS, "bits", "for all layers that state none", default=0
    )
    layer: Annotated[tuple[LayerTable, ...], Field(strict=False)] = ()

    def plans(self) -> Plans:
        """What the file says."""
        layers = tuple(table.plan() for table in self.layer)
        return Plans(self.default, layers, self.default_weight_bits)


def load(data: Mapping[str, Any]) -> tuple[Plans, list[str]]:
    """What plain data says, and what is wrong with it; what is wrong is left out."""
    try:
        return PlanTable.model_validate(data).plans(), []
    except ValidationError as caught:
        places = {item["loc"][:2] for item in caught.errors(include_url=False)}
        mistakes = sentences(caught, PlanTable, lambda keys: place_of(keys, data))
    wrong = {place[0] for place in places if place[0] != "layer" or len(place) == 1}
    good = {key: value for key, value in data.items() if key not in wrong}
    if "layer" in good:
        entries = enumerate(good["layer"])
        good["layer"] = [entry for number, entry in entries if ("layer", number) not in places]
    # What is good is read again alone, so that its own mistakes in the model are told, too.
    return PlanTable.model_validate(good).plans(), mistakes


def place_of(keys: Keys, data: Mapping[str, Any]) -> str:
    """What a message calls a place in a file: a layer by its name."""
    match keys:
        case ("layer", int(index), *rest):
            entry = data["layer"][index]
            name = entry.get("name") if isinstance(entry, Mapping) else None
            layer = (
                f"Layer '{name}'" if isinstance(name, str) and name else f"Layer number {index + 1}"
            )
            return f"{layer}: {key_path(tuple(rest))}" if rest else layer
    return key_path(keys)


def wrong_policy(policy: str) -> str:
    """What is wrong with a policy; empty for a good one."""
    try:
        choose(policy, Layer((1, 1, 1, 1), 1))
    except IrError as problem:
        return str(problem)
    return ""
