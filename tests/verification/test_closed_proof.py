"""The proof is closed: whatever is changed in the integer reference, one thing at a time, shows."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from epimc.api import build
from epimc.backends.crossbar.proof import claims
from epimc.backends.forms import Claim
from epimc.backends.onnx.graph import ROLES_KEY
from epimc.backends.onnx.reading import read_exported
from epimc.bundle.bundle import Bundle, read_bundle
from epimc.cli.main import main
from epimc.compiler.options import Request
from epimc.support.diagnostics import EpimcError
from tests.crossbars import differences, program_in
from tests.helpers.bundles import rechecksum
from tests.helpers.onnx_networks import Network

EXAMPLES = Path(__file__).parents[2] / "examples"

ROLES = {
    *("scale", "zero_point", "dims", "cut_shape", "weight", "bias", "first", "end", "axis"),
    *("ones", "shares", "x_zero_point", "multipliers", "offsets", "half", "divisor", "added"),
    *("low", "high", "values", "starts", "chosen", "pads", "shape", "x_shape", "host"),
}
"""Every role that a form gives to an initializer."""


def everything() -> onnx.ModelProto:
    """Whatever the chip and the host compute, and a layer whose sums leave int32."""
    net = Network({"x": (3, 6, 6), "v": (34_000,)}, batch=1)
    x = net.conv("x", 3, 4)
    x = net.node("PRelu", x, net.constant(net.floats(4, 1, 1, scale=0.3)))
    x = net.node("Mul", x, net.node("Sigmoid", net.conv(x, 4, 4, 1)))
    x = net.node("Concat", x, net.constant(net.floats(1, 2, 6, 6)), axis=1)
    x = net.node("Pad", x, net.constant(np.array([0, 0, 1, 1, 0, 1, 0, 1])))
    cut = [net.constant(np.array(numbers)) for numbers in ([1, 0], [6, 7], [1, 2])]
    x = net.node("Slice", x, *cut)
    x = net.node("AveragePool", x, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    x = net.node("Add", x, net.constant(net.floats(5, 1, 1)))
    x = net.node("MaxPool", x, kernel_shape=[2, 2])
    # The layer behind it has all of this on the chip.
    x = net.conv(net.node("Transpose", x, perm=[0, 2, 3, 1]), 6, 2, 1)
    weight = net.constant(np.full((34_000, 2), 0.5, np.float32))
    shares = net.node("Add", net.node("Softmax", x, axis=3), net.constant(net.floats(5)))
    return net.model(shares, net.node("MatMul", "v", weight))


@dataclass(frozen=True)
class Case:
    """A bundle whose integer reference is changed.

    Attributes:
        bundle: In its folder.
    """

    bundle: Bundle

    @property
    def reference(self) -> Path:
        """The file."""
        assert self.bundle.folder is not None
        return self.bundle.folder / "reference" / "integer.onnx"

    @cached_property
    def claimed(self) -> list[Claim]:
        """What the program claims."""
        return list(claims(program_in(self.bundle)))

    def fails(self, model: onnx.ModelProto) -> bool:
        """Whether the proof fails with another reference, or refuses it."""
        try:
            exported = read_exported(model.SerializeToString(), "it")
        except EpimcError:
            return True
        program, fragments = program_in(self.bundle), self.bundle.fragments
        return bool(differences(exported, program, fragments, self.claimed))

    def survivors(self, change: Change) -> list[str]:
        """Where the change shows in nothing, of all places one by one."""
        model = onnx.load(self.reference)
        places = [name for name, _ in change(model)]
        assert len(places) > 3
        data, passed = model.SerializeToString(), []
        for index, name in enumerate(places):
            model = onnx.load_model_from_string(data)
            next(islice(change(model), index, None))[1]()
            if not self.fails(model):
                passed.append(name)
        return passed


Change = Callable[[onnx.ModelProto], Iterator[tuple[str, Callable[[], None]]]]
"""The places of a model, each with what changes it there."""


@pytest.fixture(scope="module", params=["mnist-conv", "fashion-resnet8", "everything"])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    """A compiled model."""
    folder, path = tmp_path_factory.mktemp("closed"), EXAMPLES / f"{request.param}.onnx"
    if request.param == "everything":
        path = folder / "m.onnx"
        onnx.save(everything(), path)
    # Fewer than 8 bits, so that every bound is one.
    asked = Request(path, activation_bits=7 if request.param == "everything" else 8)
    return Case(build(asked, folder / "out"))


def roles_in(model: onnx.ModelProto) -> dict[str, list[str | int]]:
    """The declared roles."""
    (text,) = (entry.value for entry in model.metadata_props if entry.key == ROLES_KEY)
    declared: dict[str, list[str | int]] = json.loads(text)
    return declared


def declare(model: onnx.ModelProto, roles: dict[str, list[str | int]]) -> None:
    """Put other roles in."""
    (entry,) = (entry for entry in model.metadata_props if entry.key == ROLES_KEY)
    entry.value = json.dumps(roles)


# --- initializers ---------------------------------------------------------------------------------


def flipped(constant: TensorProto) -> None:
    """One bit of one number the other way: of a real the lowest, which is of the mantissa."""
    random, data = np.random.default_rng(len(constant.name)), bytearray(constant.raw_data)
    width = numpy_helper.to_array(constant).dtype.itemsize
    real = constant.data_type == TensorProto.FLOAT
    place = int(random.integers(len(data) // width)) * width if real else 0
    place = place if real else int(random.integers(len(data)))
    data[place] ^= 1 if real else 1 << int(random.integers(8))
    constant.raw_data = bytes(data)


OTHER_TYPES: dict[int, int] = {
    TensorProto.UINT8: TensorProto.INT8,
    TensorProto.INT8: TensorProto.UINT8,
    TensorProto.INT64: TensorProto.UINT64,
    TensorProto.FLOAT: TensorProto.INT32,
}
"""Of as many bytes."""


def cast(constant: TensorProto) -> None:
    """Other elements of the same bytes."""
    constant.data_type = OTHER_TYPES[constant.data_type]


def wrong_numbers(model: onnx.ModelProto) -> Iterator[tuple[str, Callable[[], None]]]:
    for constant in model.graph.initializer:
        yield constant.name, lambda it=constant: flipped(it)  # type: ignore[misc]


def wrong_types(model: onnx.ModelProto) -> Iterator[tuple[str, Callable[[], None]]]:
    for constant in model.graph.initializer:
        yield constant.name, lambda it=constant: cast(it)  # type: ignore[misc]


def wrong_shapes(model: onnx.ModelProto) -> Iterator[tuple[str, Callable[[], None]]]:
    for constant in model.graph.initializer:
        yield constant.name, lambda it=constant: it.dims.append(1)  # type: ignore[misc]


def none_left(model: onnx.ModelProto) -> Iterator[tuple[str, Callable[[], None]]]:
    for constant in model.graph.initializer:
        yield constant.name, lambda it=constant: model.graph.initializer.remove(it)  # type: ignore[misc]


def doubled(model: onnx.ModelProto) -> Iterator[tuple[str, Callable[[], None]]]:
    for constant in model.graph.initializer:
        yield constant.name, lambda it=constant: model.graph.initializer.append(it)  # type: ignore[misc]


def no_roles(model: onnx.ModelProto) -> Iterator[tuple[str, Callable[[], None]]]:
    roles = roles_in(model)
    for name in roles:
        rest = {other: role for other, role in roles.items() if other != name}
        yield name, lambda rest=rest: declare(model, rest)  # type: ignore[misc]


def other_roles(model: onnx.ModelProto) -> Iterator[tuple[str, Callable[[], None]]]:
    roles = roles_in(model)
    for name, (value, role, *key) in roles.items():
        other = {**roles, name: [value, f"{role}s", *key]}
        yield name, lambda other=other: declare(model, other)  # type: ignore[misc]


# --- everything else ------------------------------------------------------------------------------


def wrong_kinds(model: onnx.ModelProto) -> Iterator[tuple[str, Callable[[], None]]]:
    for node in model.graph.node:
        yield node.name, lambda it=node: setattr(it, "op_type", f"{it.op_type}s")  # type: ignore[misc]


def wrong_inputs(model: onnx.ModelProto) -> Iterator[tuple[str, Callable[[], None]]]:
    names = sorted({name for node in model.graph.node for name in node.input})
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            other = names[names.index(name) - 1]
            yield (
                f"{node.name} {index}",
                lambda it=node, k=index, o=other: it.input.__setitem__(k, o),  # type: ignore[misc]
            )


def wrong_attributes(model: onnx.ModelProto) -> Iterator[tuple[str, Callable[[], None]]]:
    def change(attribute: onnx.AttributeProto) -> None:
        attribute.i += 1
        if attribute.ints:
            attribute.ints[-1] += 1
        if attribute.s:
            attribute.s = b"reflect"

    for node in model.graph.node:
        for attribute in node.attribute:
            yield f"{node.name} {attribute.name}", lambda it=attribute: change(it)  # type: ignore[misc]


def nodes_away(model: onnx.ModelProto) -> Iterator[tuple[str, Callable[[], None]]]:
    for node in model.graph.node:
        yield node.name, lambda it=node: model.graph.node.remove(it)  # type: ignore[misc]


def wrong_annotations(model: onnx.ModelProto) -> Iterator[tuple[str, Callable[[], None]]]:
    notes = model.graph.quantization_annotation
    for note in notes:
        yield note.tensor_name, lambda it=note: notes.remove(it)  # type: ignore[misc]
        entry = note.quant_parameter_tensor_names[0]
        yield note.tensor_name, lambda it=entry: setattr(it, "value", "other")  # type: ignore[misc]


CHANGES: tuple[Change, ...] = (
    *(wrong_numbers, wrong_types, wrong_shapes, none_left, doubled, no_roles, other_roles),
    *(wrong_kinds, wrong_inputs, wrong_attributes, nodes_away, wrong_annotations),
)


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_of_the_reference_shows(case: Case, change: Change) -> None:
    assert case.survivors(change) == []


def test_the_unchanged_reference_is_claimed_to_the_last_number(case: Case) -> None:
    assert not case.fails(onnx.load(case.reference))


def test_what_nobody_claims_fails(case: Case) -> None:
    roles: tuple[list[str | int] | None, ...] = (None, ["x", "weight", 7], ["input.q", "scale", 1])
    for role in roles:
        model = onnx.load(case.reference)
        extra = numpy_helper.from_array(np.zeros(3, np.int64), "extra")
        model.graph.initializer.append(extra)
        if role is not None:
            declare(model, {**roles_in(model), "extra": role})
        assert case.fails(model)
    model = onnx.load(case.reference)
    model.graph.node.append(onnx.helper.make_node("Identity", [model.graph.input[0].name], ["e"]))
    assert case.fails(model)


def test_the_models_have_every_role(tmp_path: Path) -> None:
    onnx.save(everything(), tmp_path / "m.onnx")
    case = Case(build(Request(tmp_path / "m.onnx"), tmp_path / "out"))
    used = {str(role) for _, role, *_ in roles_in(onnx.load(case.reference)).values()}
    assert used == ROLES


# --- the command ----------------------------------------------------------------------------------


@pytest.mark.parametrize("change", [wrong_numbers, other_roles, wrong_annotations])
def test_the_command_sees_it(
    case: Case, change: Change, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(case.reference.parent.parent, tmp_path / "copy")
    path = tmp_path / "copy" / "reference" / "integer.onnx"
    model = onnx.load(path)
    next(change(model))[1]()
    onnx.save(model, path)
    rechecksum(tmp_path / "copy")
    read_bundle(tmp_path / "copy")
    assert main(["verify", str(tmp_path / "copy")]) == 1
    printed = capsys.readouterr()
    assert "  parameter %" in printed.out
    assert "Traceback" not in printed.err
