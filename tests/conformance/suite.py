"""The tests of ONNX's backend suite, all of them from the installed package, without network."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.backend.test
from onnx import numpy_helper
from onnx.backend.test.case.test_case import TestCase
from onnx.backend.test.loader import load_model_tests
from onnx.backend.test.runner import Runner

DATA = Path(onnx.backend.test.__file__).parent / "data"
KINDS = ("node", "simple", "pytorch-converted", "pytorch-operator", "real")

# A model of ONNX's zoo without its weights, and how its test names it.
LIGHT = re.compile(r"onnx/backend/test/data/light/(?P<file>.*\.onnx)")

Value = Any
"""An array, a list of values for a sequence, None for an optional without one."""


@dataclass(frozen=True)
class DataSet:
    """What goes into a model, and what must come out.

    Attributes:
        inputs: By name; those with initializers are left out.
        outputs: By name, in the order of the model.
    """

    inputs: Mapping[str, Value]
    outputs: Mapping[str, Value]


@dataclass(frozen=True)
class Trial:
    """A test of the suite with all that it needs.

    Attributes:
        name: Its own.
        model: The model.
        data: At least one.
        rtol: The suite's relative tolerance.
        atol: The suite's absolute tolerance.
        weightless: It is a model of ONNX's zoo with constants in the place of its weights.
    """

    name: str
    model: onnx.ModelProto
    data: Sequence[DataSet]
    rtol: float
    atol: float
    weightless: bool = False

    @property
    def operators(self) -> tuple[str, ...]:
        """Op types of the graph, with the domain where that is not the default."""
        nodes = self.model.graph.node
        return tuple(sorted({f"{n.domain}.{n.op_type}" if n.domain else n.op_type for n in nodes}))


@cache
def trials() -> dict[str, Callable[[], Trial]]:
    """What loads each test, by its name; in the order of the names."""
    loaders: dict[str, Callable[[], Trial]] = {}
    with warnings.catch_warnings():
        # The references of some tests divide by 0 as they are made.
        warnings.simplefilter("ignore")
        cases = [case for kind in KINDS for case in load_model_tests(kind=kind)]
    for case in cases:
        loaders[case.name] = lambda case=case: load(case)  # type: ignore[misc]  # Bound early.
    return dict(sorted(loaders.items()))


def load(case: TestCase) -> Trial:
    """The test with its model and data."""
    if case.model is not None:
        assert case.data_sets is not None
        data = [
            described(case.model, map(plain, inputs), map(plain, outputs))
            for inputs, outputs in case.data_sets
        ]
        return Trial(case.name, case.model, data, case.rtol, case.atol)
    if case.model_dir is not None:
        folder = Path(case.model_dir)
        model = onnx.load(folder / "model.onnx")
        data = [read(model, each) for each in sorted(folder.glob("test_data_set*"))]
        return Trial(case.name, model, data, case.rtol, case.atol)
    light = LIGHT.fullmatch(case.url or "")
    assert light, f"{case.name} would be loaded from '{case.url}'"
    model = onnx.load(DATA / "light" / light["file"])
    data = [made(model, light["file"])]
    return Trial(case.name, model, data, case.rtol, case.atol, weightless=True)


def plain(value: Value) -> Value:
    """A value of the suite as an array, or a list of them."""
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    # The suite has scalars of numpy, too.
    return np.asarray(value) if isinstance(value, np.generic) else value


def ports(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """The inputs that have no initializers."""
    constant = {tensor.name for tensor in model.graph.initializer}
    return [port for port in model.graph.input if port.name not in constant]


def described(model: onnx.ModelProto, inputs: Any, outputs: Any) -> DataSet:
    """Values by the names of the model."""
    taken = [port.name for port in ports(model)]
    results = [port.name for port in model.graph.output]
    return DataSet(
        dict(zip(taken, inputs, strict=True)),
        # Where the suite has fewer outputs than the model, it compares only those.
        dict(zip(results, outputs, strict=False)),
    )


def read(model: onnx.ModelProto, folder: Path) -> DataSet:
    """The values in the files of a folder."""
    inputs = [from_file(folder / f"input_{k}.pb", port.type) for k, port in enumerate(ports(model))]
    outputs = [
        from_file(folder / f"output_{k}.pb", port.type)
        for k, port in enumerate(model.graph.output)
        if (folder / f"output_{k}.pb").is_file()
    ]
    return described(model, inputs, outputs)


def from_file(path: Path, declared: onnx.TypeProto) -> Value:
    """The value of a file, which is a message of the declared type."""
    data = path.read_bytes()
    if declared.HasField("sequence_type"):
        return numpy_helper.to_list(onnx.SequenceProto.FromString(data))
    if declared.HasField("optional_type"):
        return numpy_helper.to_optional(onnx.OptionalProto.FromString(data))
    return numpy_helper.to_array(onnx.TensorProto.FromString(data))


def made(model: onnx.ModelProto, file: str) -> DataSet:
    """Data of a model of the zoo without weights, as the suite's runner makes them."""
    inputs = [np.asarray(Runner.generate_dummy_data(port)) for port in ports(model)]
    stem = file.removesuffix(".onnx")
    outputs = [
        from_file(DATA / "light" / f"{stem}_output_{k}.pb", port.type)
        for k, port in enumerate(model.graph.output)
    ]
    return described(model, inputs, outputs)
