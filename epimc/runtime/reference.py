"""onnxruntime, as the reference: run an ONNX model on a batch of samples."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state

from epimc.support.diagnostics import EpimcError, error
from epimc.support.origins import place_of

Array = NDArray[Any]

FAILURES: tuple[type[Exception], ...] = (
    *(
        kind
        for kind in vars(onnxruntime_pybind11_state).values()
        if isinstance(kind, type) and issubclass(kind, Exception)
    ),
    RuntimeError,
    UnicodeDecodeError,
)
"""What onnxruntime raises: its own exceptions, which have no common base, C++'s, and what Python
raises where its message quotes a name that is no UTF-8."""


NAMED_NODES = (
    # Of a model that it loads, and of one that it runs.
    re.compile(r"Node \((?P<name>.*?)\) Op \((?P<kind>\w+)\)"),
    re.compile(r"while running (?P<kind>\w+) node\. Name:'(?P<name>.*?)' "),
)
"""How onnxruntime names the node on which it fails."""

MAXIMUM_SAID = 500


class Reference:
    """One model in onnxruntime on the CPU."""

    def __init__(
        self, model: bytes | Path, what: str, *, optimize: bool = True, users: bool = False
    ) -> None:
        """Load a model.

        Args:
            model: The serialized ONNX model, or its file, which takes less memory.
            what: Names it in errors.
            optimize: Let onnxruntime rewrite the graph; the integer reference runs as written.
            users: It is the user's own, which may hold one sample's constants, or shapes, though
                it takes any number of samples; it then gets one at a time.

        Raises:
            EpimcError: onnxruntime refuses it.
        """
        self.what, self.users = what, users
        try:
            self.session = load_session(model, optimize=optimize)
        except FAILURES as problem:
            raise refusal(f"onnxruntime refuses {what}.", problem) from None
        first = self.session.get_inputs()[0].shape
        self.fixed_batch = first[0] if first and isinstance(first[0], int) else None

    @property
    def inputs(self) -> dict[str, tuple[int | str, ...]]:
        """Shapes without the samples, by name."""
        return {entry.name: tuple(entry.shape[1:]) for entry in self.session.get_inputs()}

    @property
    def outputs(self) -> dict[str, tuple[int | str, ...]]:
        """Shapes without the samples, by name."""
        return {entry.name: tuple(entry.shape[1:]) for entry in self.session.get_outputs()}

    @property
    def properties(self) -> dict[str, str]:
        """What the model's metadata say."""
        metadata: dict[str, str] = self.session.get_modelmeta().custom_metadata_map
        return metadata

    def run(self, names: Sequence[str], inputs: Mapping[str, Array]) -> list[Array]:
        """The named outputs for all samples, samples first.

        A model with a fixed batch is run in pieces of it, the last one filled up and cut.

        Raises:
            EpimcError: onnxruntime fails on them, or an output holds NaN or infinity, with which
                nothing can be compared.
        """
        results = self.computed(names, inputs)
        for name, array in zip(names, results, strict=True):
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise error(
                    f"'{name}' of {self.what} holds NaN or infinity for these samples.",
                    hint="A value leaves the range of float32: try other samples, or run the "
                    "user's model in onnxruntime to see where.",
                )
        return results

    def computed(self, names: Sequence[str], inputs: Mapping[str, Array]) -> list[Array]:
        """The named outputs for all samples, whatever they are."""
        count = len(next(iter(inputs.values())))
        if self.fixed_batch is None:
            results = self._at_once(names, inputs)
            if results and (not self.users or all(a.shape[:1] == (count,) for a in results)):
                return results
        size = self.fixed_batch or 1
        parts: list[list[Array]] = []
        for first in range(0, count, size):
            piece = {
                name: filled(array[first : first + size], size) for name, array in inputs.items()
            }
            parts.append(self._run(names, piece))
        return [np.concatenate(columns)[:count] for columns in zip(*parts, strict=True)]

    def _at_once(self, names: Sequence[str], inputs: Mapping[str, Array]) -> list[Array]:
        """The named outputs of one run; none where the user's model fails on so many samples."""
        try:
            return self._run(names, inputs)
        except EpimcError:
            if not self.users:
                raise
            return []

    def _run(self, names: Sequence[str], inputs: Mapping[str, Array]) -> list[Array]:
        """The named outputs of one run."""
        missing = [name for name in self.inputs if name not in inputs]
        if missing:
            notes = [f"It has an input '{name}', which the program has not." for name in missing]
            raise error(f"onnxruntime cannot run {self.what}.", notes=notes)
        try:
            results: list[Array] = self.session.run(list(names), dict(inputs))
        except FAILURES as problem:
            raise refusal(f"onnxruntime cannot run {self.what}.", problem) from None
        return results


def refusal(message: str, problem: Exception) -> EpimcError:
    """The error for what onnxruntime does not load or run.

    Args:
        message: What it does not.
        problem: What it raised.
    """
    said = first_line(problem)
    matches = (pattern.search(said) for pattern in NAMED_NODES)
    node = next((match for match in matches if match), None)
    where = place_of(((node["kind"], node["name"]),)) if node else ""
    return error(message, where=where, notes=[said])


def first_line(problem: Exception) -> str:
    """What an exception says first, shortened: it may list what a model has."""
    said = next(iter(str(problem).splitlines()), type(problem).__name__)
    return said if len(said) <= MAXIMUM_SAID else said[: MAXIMUM_SAID - 1] + "…"


def filled(array: Array, size: int) -> Array:
    """The samples, the last one repeated up to `size`."""
    missing = size - len(array)
    return np.concatenate([array, np.repeat(array[-1:], missing, axis=0)]) if missing else array


def load_session(model: bytes | Path, *, optimize: bool) -> onnxruntime.InferenceSession:
    """A session; without the one optimization of onnxruntime that changes what a model computes.

    It takes a Pad of zeros into the MaxPool behind it, whose own padding is less than any number.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    if not optimize:
        level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.graph_optimization_level = level
    if isinstance(model, Path) and not is_text(str(model)):
        model = model.read_bytes()
    source = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(
        source, options, providers=["CPUExecutionProvider"], disabled_optimizers=["Pad_Fusion"]
    )


def is_text(path: str) -> bool:
    """Whether the bytes of a path are UTF-8: onnxruntime opens no others."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
