"""The one way into onnxruntime: nothing but the model's bytes, within a limit, no failure unnamed.

Models lie in bundles, which come from anyone.  onnxruntime would read external data beside the
current folder, allocate whatever a model says, and raise exceptions without a common base.
"""

from __future__ import annotations

import ctypes
import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from epimc.backends.onnx.large import LargeModel, serialized
from epimc.backends.onnx.safety import refuse_unsafe, repeats, without_unread
from epimc.backends.onnx.special import is_special, packed, unpacked
from epimc.support.diagnostics import EpimcError, error
from epimc.support.limits import DEFAULT_BYTES
from epimc.support.origins import place_of

Array = NDArray[Any]

# What onnxruntime may take for the tensors that a model computes, weights not counted, as a share
# of the limit on bytes: with the rest of the process, no more than half of the limit.
TENSOR_SHARE = 3 / 8

# Of an arena with less than its first piece of memory, onnxruntime bounds nothing.
LEAST_BYTES = 2**21

# More is as good as no limit, and no number that onnxruntime takes.
MOST_BYTES = 2**62

NAMED_NODES = (
    # Of a model that it loads, and of one that it runs.
    re.compile(r"Node \((?P<name>.*?)\) Op \((?P<kind>\w+)\)"),
    re.compile(r"for (?P<kind>\w+)\(\d+\) node with name '(?P<name>.*?)'"),
    re.compile(r"kernel for (?P<kind>\w+)\(\d+\) \(node:'(?P<name>.*?)' "),
    re.compile(r"while running (?P<kind>\w+) node\. Name:'(?P<name>.*?)' "),
)
"""How onnxruntime names the node on which it fails."""

CODE = re.compile(
    r"^\[ONNXRuntimeError\] : \d+ : \w+ : (Non-zero status code returned while running \w+ node\. "
    r"Name:'.*?' Status Message: )?"
)
"""How it begins, the node being named beside it."""

SOURCE = re.compile(r"\S+\.(?:cc|cpp|h):\d+ ")
"""Where in its source it fails; the function stands behind it, with its parameters."""

BEHIND = re.compile(r"^(?:const )?(?:\[with [^\]]*\] )?")
"""What stands behind the parameters of a function."""

UNKNOWN_OPERATOR = "is not a registered function/op"
"""What onnxruntime says of an operator that it does not have."""

MAXIMUM_SAID = 500

# Seconds of one run of a model with loops, which may have no end.
LONGEST_LOOPS = 5.0

NO_TENSORS: Mapping[str, onnxruntime.OrtValue] = {}

OUT_OF_MEMORY = re.compile("Available memory of .* is smaller than requested bytes|bad_alloc")


Shape = tuple[int | str, ...]
"""As a model states it; a name for a dim that it leaves open."""


class GuardedSession:
    """A session of onnxruntime on the CPU.

    Attributes:
        inputs: Their shapes by name, in order.
        outputs: Their shapes by name, in order.
        properties: What the model's metadata say.
        special: The types of inputs and outputs that numpy lacks, by name.
    """

    def __init__(
        self, model: bytes | LargeModel, what: str, *, limit_bytes: int, threads: int = 0
    ) -> None:
        """Load a model.

        Args:
            model: The serialized ONNX model, or one with its large tensors.
            what: Names it in errors.
            limit_bytes: What the limit on tensors is a share of.
            threads: Those that compute one node; 0 leaves it to onnxruntime.

        Raises:
            EpimcError: onnxruntime refuses it, or must not be asked.
        """
        self.what = what
        refuse_unsafe(model, what)
        self.repeats = repeats(model)
        model = model if isinstance(model, bytes) else without_unread(model)
        # The session has no copies of them.
        self.tensors = {} if isinstance(model, bytes) else values_of(model, what)
        with failures_named(f"onnxruntime refuses {what}."):
            bound_memory(max(int(min(limit_bytes, MOST_BYTES) * TENSOR_SHARE), LEAST_BYTES))
            data = model if isinstance(model, bytes) else serialized(model.proto)
            self.session = load_session(data, threads, self.tensors)
            self.special = {
                entry.name: entry.type
                for entry in (*self.session.get_inputs(), *self.session.get_outputs())
                if is_special(entry.type)
            }
            # Now: it raises where names are no UTF-8.
            self.inputs = shapes_of(self.session.get_inputs())
            self.outputs = shapes_of(self.session.get_outputs())
            self.properties: dict[str, str] = self.session.get_modelmeta().custom_metadata_map
        self.options = onnxruntime.RunOptions()
        # Or the arena, which all sessions share, would keep what the largest run has taken.
        self.options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        self.options.log_severity_level = 4

    def run(self, names: Sequence[str], inputs: Mapping[str, Array]) -> list[Array]:
        """The named outputs.

        Raises:
            EpimcError: onnxruntime fails.
        """
        with failures_named(f"onnxruntime cannot run {self.what}."):
            watch = self.watch()
            try:
                results = self.run_special if self.special else self.run_plain
                return results(list(names), {name: plain(x) for name, x in inputs.items()})
            finally:
                watch.cancel()

    def run_plain(self, names: list[str], inputs: dict[str, Any]) -> list[Any]:
        """The named outputs of a model whose types numpy has."""
        results: list[Any] = self.session.run(names, inputs, self.options)
        return results

    def run_special(self, names: list[str], inputs: dict[str, Any]) -> list[Any]:
        """The named outputs of a model with types that numpy lacks, in wider ones."""
        make = onnxruntime.OrtValue
        feeds, buffers = {}, []
        for name, array in inputs.items():
            if name in self.special:
                buffer, number = packed(self.special[name], array)
                # The value has no copy of the bytes.
                buffers.append(buffer)
                feeds[name] = make.ortvalue_from_numpy_with_onnx_type(buffer, number)
            else:
                feeds[name] = make.ortvalue_from_numpy(array)
        return list(map(taken, self.session.run_with_ort_values(names, feeds, self.options)))

    def watch(self) -> threading.Timer:
        """What ends a run after a time, if the model has loops: nothing else bounds these."""
        self.options.terminate = False
        timer = threading.Timer(LONGEST_LOOPS, setattr, (self.options, "terminate", True))
        timer.daemon = True
        if self.repeats:
            timer.start()
        return timer


def plain(value: Any) -> Any:
    """What onnxruntime takes: arrays, where numpy has scalars of its own."""
    return np.asarray(value) if isinstance(value, np.generic) else value


def taken(value: onnxruntime.OrtValue) -> Any:
    """The array of a tensor of onnxruntime."""
    if not is_special(value.data_type()):
        return value.numpy()
    data = ctypes.string_at(value.data_ptr(), value.tensor_size_in_bytes())
    return unpacked(data, value.element_type(), value.shape())


def shapes_of(entries: Iterable[Any]) -> dict[str, Shape]:
    """Shapes by name."""
    return {entry.name: tuple(entry.shape) for entry in entries}


# Once a process: onnxruntime has one shared arena.
@cache
def bound_memory(limit: int) -> None:
    """Have all sessions share one arena, which takes no more bytes than this.

    The first limit of a process stays.
    """
    if bound_memory.cache_info().currsize:
        return
    info = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    arena = onnxruntime.OrtArenaCfg({"max_mem": limit})
    onnxruntime.create_and_register_allocator(info, arena)


def loads(model: bytes) -> bool:
    """Whether onnxruntime loads a small model of ours, made to ask just that."""
    return not refused_with(model)


def refused_with(model: bytes) -> str:
    """What onnxruntime says against a small model of ours, made to ask just that; else nothing."""
    try:
        load_session(model)
    # Its exceptions have no common base.
    except Exception as problem:
        return str(problem) or type(problem).__name__
    return ""


def output_types(model: bytes) -> list[tuple[str, str, Shape]]:
    """The outputs of a model as onnxruntime infers them; none where it does not load the model.

    Returns:
        Name, type as in `tensor(float)`, and shape of each.
    """
    try:
        refuse_unsafe(model, "the model")
        outputs = load_session(model).get_outputs()
        return [(entry.name, entry.type, tuple(entry.shape)) for entry in outputs]
    # Its exceptions have no common base.
    except Exception:
        return []


def load_session(
    model: bytes, threads: int = 0, tensors: Mapping[str, onnxruntime.OrtValue] = NO_TENSORS
) -> onnxruntime.InferenceSession:
    """A session that runs the graph as it is written.

    Args:
        model: The serialized ONNX model.
        threads: Those that compute one node; 0 leaves it to onnxruntime.
        tensors: Those of its initializers that say that they lie elsewhere.

    onnxruntime would rewrite it first.  That folds constants of whatever size a model says, in
    memory that nobody bounds, and changes what some models compute: a Pad of zeros is taken into
    the MaxPool behind it, whose own padding is less than any number.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads
    # Threads that wait for work would else turn in a loop, and take the time of others.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.use_env_allocators", "1")
    # Weights lie in the file, which is paid for: outside of the arena, freed with the session.
    options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    if tensors:
        options.add_external_initializers([*tensors], [*tensors.values()])
        # Weights in the order in which products read them would be copies.
        options.add_session_config_entry("session.disable_prepacking", "1")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def values_of(model: LargeModel, what: str) -> dict[str, onnxruntime.OrtValue]:
    """The large tensors of a model as onnxruntime takes them, not copied.

    Raises:
        EpimcError: One of them has another size than it says.
    """
    make = onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type
    values = {}
    for tensor in model.proto.graph.initializer:
        if not model.has(tensor):
            continue
        try:
            array = model.array(tensor)
        except ValueError:
            raise error(
                f"{what[0].upper()}{what[1:]} has the tensor '{tensor.name}', whose data do not "
                f"fit its shape {list(tensor.dims)} and type."
            ) from None
        values[tensor.name] = make(array.view(f"V{array.itemsize}"), tensor.data_type)
    return values


# --- small models -------------------------------------------------------------------------------

# Of a few kilobytes each.
MOST_LOADED = 64


def run_model(
    model: bytes, inputs: Mapping[str, Array], *, limit_bytes: int = DEFAULT_BYTES
) -> list[Array]:
    """All outputs of a model, in order.

    Args:
        model: Serialized.
        inputs: By name.
        limit_bytes: Bounds what its tensors may take.

    Raises:
        EpimcError: onnxruntime refuses it, or fails.
    """
    session = loaded(model, limit_bytes)
    return session.run(list(session.outputs), inputs)


@lru_cache(maxsize=MOST_LOADED)
def loaded(model: bytes, limit_bytes: int) -> GuardedSession:
    """The session of a model."""
    return GuardedSession(model, "a function of the model", limit_bytes=limit_bytes)


# --- failures -----------------------------------------------------------------------------------


@contextmanager
def failures_named(message: str) -> Iterator[None]:
    """Make an EpimcError of whatever onnxruntime raises.

    Its exceptions have no common base, and it lets C++'s and Python's through: those of memory, and
    of names that are no UTF-8.
    """
    try:
        yield
    except EpimcError:
        raise
    except Exception as problem:
        raise refusal(message, problem) from None


def refusal(message: str, problem: Exception) -> EpimcError:
    """The error for what onnxruntime does not load or run.

    Args:
        message: What it does not.
        problem: What it raised.
    """
    said = first_line(problem)
    matches = (pattern.search(str(problem)) for pattern in NAMED_NODES)
    node = next((match for match in matches if match), None)
    where = place_of(((node["kind"], node["name"]),)) if node else ""
    hint = ""
    if isinstance(problem, MemoryError) or OUT_OF_MEMORY.search(str(problem)):
        hint = "It needs too much memory: raise the limit (--limit-bytes), or check the shapes."
    if "terminate flag" in str(problem):
        said = f"Its loops have not come to an end within {LONGEST_LOOPS:g} seconds."
        hint = "Have its loops take fewer steps."
    return error(message, where=where, notes=[said], hint=hint)


def first_line(problem: Exception) -> str:
    """What an exception says first, without what is for developers of onnxruntime alone.

    It is shortened: it may list what a model has.
    """
    said = next(iter(str(problem).splitlines()), type(problem).__name__)
    said = without_place(CODE.sub("", said, count=1)) or said
    return said if len(said) <= MAXIMUM_SAID else said[: MAXIMUM_SAID - 1] + "…"


def without_place(said: str) -> str:
    """A message without the line and the function of onnxruntime that it comes from."""
    match = SOURCE.search(said)
    if match is None:
        return said
    before, signature = said[: match.start()], said[match.end() :]
    depth, opened = 0, False
    for place, character in enumerate(signature):
        depth += {"(": 1, ")": -1}.get(character, 0)
        opened = opened or depth > 0
        # The function's parameters end.
        if opened and depth == 0:
            return before + BEHIND.sub("", signature[place + 1 :].lstrip(), count=1)
    return said
