"""Numbers of every width, of every kind, on every mapping: each pair of them is exact somewhere.

Each case compiles one small network, which has what numbers can meet, and holds it to onnxruntime.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

import epimc
from epimc.backends.crossbar.summary import program_summary
from epimc.backends.crossbar.target.schema import load_target
from epimc.ir.semantics.cells import MAPPINGS, has_weights
from epimc.support.diagnostics import EpimcError
from tests.crossbars import counts_of, program_in

Array = NDArray[Any]
Row = Mapping[str, Any]

FACTORS: Mapping[str, Sequence[Any]] = {
    "activation_bits": range(2, 17),
    "weight_bits": (*range(1, 10), 16),
    "mapping": MAPPINGS,
    "run": (("ssa", "fused"), ("ssa", "bit-serial"), ("bytes", "fused"), ("bytes", "bit-serial")),
    "cell_bits": (1, 2, 4),
    "weight_granularity": ("column", "tensor"),
    "activations": ("affine", "signed"),
    "effort": ("fast", "good"),
}

Pair = tuple[tuple[str, Any], tuple[str, Any]]


def is_allowed(row: Row) -> bool:
    """Whether a chip has such weights."""
    return has_weights(row.get("mapping", "offset"), row.get("weight_bits", 2))


def pairs_in(row: Row) -> set[Pair]:
    """The pairs of values that a row has, factors in their order."""
    return set(combinations([(name, row[name]) for name in FACTORS if name in row], 2))


def all_pairs() -> Iterator[Row]:
    """Rows that together have every pair of values which may stand together."""
    values = [(name, value) for name, of_name in FACTORS.items() for value in of_name]
    open_pairs = {
        (one, other)
        for one, other in combinations(values, 2)
        if one[0] != other[0] and is_allowed(dict((one, other)))
    }
    # Those of the factors with most values first: they need the most rows.
    for first, second in combinations(FACTORS, 2):
        for pair in product(FACTORS[first], FACTORS[second]):
            start = dict(zip((first, second), pair, strict=True))
            if pairs_in(start) & open_pairs:
                row = completed(start, open_pairs)
                open_pairs -= pairs_in(row)
                yield row
    assert not open_pairs


def completed(start: Row, open_pairs: set[Pair]) -> dict[str, Any]:
    """A row with values for all factors, each of which adds most of the pairs that are open."""
    row = dict(start)
    for name, values in FACTORS.items():
        if name not in row:
            choices = [row | {name: value} for value in values]
            row = max(
                filter(is_allowed, choices), key=lambda each: len(pairs_in(each) & open_pairs)
            )
    return row


ROWS = list(all_pairs())


@cache
def model() -> onnx.ModelProto:
    """Dense, in groups and depthwise; a residual, a gate, a concatenation, pools, a function."""
    random = np.random.default_rng(3)
    shapes = {"w1": (4, 3, 3, 3), "w2": (4, 2, 3, 3), "w3": (4, 1, 3, 3), "w4": (4, 4, 1, 1),
              "w5": (8, 5)}  # fmt: skip
    constants = {name: 0.4 * random.standard_normal(shape) for name, shape in shapes.items()}
    constants |= {"b1": random.standard_normal(4), "b5": random.standard_normal(5)}
    make = helper.make_node
    nodes = [
        make("Conv", ["x", "w1", "b1"], ["a"], "a", pads=[1, 1, 1, 1]),
        make("Relu", ["a"], ["r"], "r"),
        make("Conv", ["r", "w2"], ["g"], "g", pads=[1, 1, 1, 1], group=2),
        make("Add", ["g", "r"], ["s"], "s"),
        make("MaxPool", ["s"], ["m"], "m", kernel_shape=[2, 2], strides=[2, 2], pads=[1, 0, 0, 1]),
        make("Conv", ["m", "w3"], ["d"], "d", group=4, pads=[1, 1, 1, 1]),
        make("Conv", ["d", "w4"], ["e"], "e"),
        make("Sigmoid", ["e"], ["f"], "f"),
        make("Mul", ["f", "m"], ["p"], "p"),
        make("Concat", ["p", "d"], ["c"], "c", axis=1),
        make("GlobalAveragePool", ["c"], ["v"], "v"),
        make("Flatten", ["v"], ["l"], "l"),
        make("Gemm", ["l", "w5", "b5"], ["y"], "y"),
    ]
    x, y = (
        helper.make_tensor_value_info(name, 1, ["N", *shape])
        for name, shape in (("x", (3, 6, 5)), ("y", (5,)))
    )
    stored = [numpy_helper.from_array(v.astype(np.float32), k) for k, v in constants.items()]
    graph = helper.make_graph(nodes, "widths", [x], [y], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def target(folder: Path, row: Row) -> Path:
    """The file of a chip of small arrays, with ADCs that lose nothing."""
    described = load_target("tiny").to_dict()
    described["crossbar"] |= {"mapping": row["mapping"], "cell_bits": row["cell_bits"]}
    described["converters"] |= {"adc_bits": 12}
    described["tile"] |= {"buffer_bytes": 2**16, "crossbars": 16}
    described["memory"] |= {"off_chip_bytes": 2**20}
    path = folder / "target.toml"
    path.write_text(type(load_target("tiny")).from_dict(described).to_toml())
    return path


def samples(count: int, seed: int) -> Array:
    """Of the input."""
    return np.random.default_rng(seed).standard_normal((count, 3, 6, 5)).astype(np.float32)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: "-".join(map(str, row.values())))
def test_every_pair_is_exact(row: Row, tmp_path: Path) -> None:
    options = {name: row[name] for name in FACTORS if name not in ("mapping", "run", "cell_bits")}
    session = epimc.compile(
        model(),
        tmp_path / "out",
        target=target(tmp_path, row),
        calibration=samples(8, 1),
        **options,
    )
    engine, path = row["run"]
    # Beyond the calibrated range, so that something is clipped everywhere.
    result = epimc.verify(session, 1.5 * samples(2, 2), engine=engine, path=path)
    assert result.exact
    program = program_in(session.bundle)
    kept = [each for each in program.maps if each.is_activation]
    assert {each.bits for each in kept} == {row["activation_bits"]}
    if row["activations"] == "signed":
        assert {each.zero_point for each in kept} == {0, 2 ** (row["activation_bits"] - 1)}


def test_layers_of_one_bit_take_what_the_plan_says(tmp_path: Path) -> None:
    """Those in groups need a 0, and have 2 bits: the manifest and the summary say so."""
    described = target(tmp_path, {"mapping": "offset", "cell_bits": 1})
    session = epimc.compile(model(), tmp_path / "out", target=described, weight_bits=1)
    options = session.bundle.manifest.options
    assert list(options.layer_bits.values()) == [1, 2, 2, 1, 1]
    assert (options.layer_bits["g.acc"], options.layer_bits["d.acc"]) == (2, 2)
    assert options.widths == (1, 2)
    assert "weights of 1 to 2 bits (see --quantization)" in str(epimc.inspect(tmp_path / "out"))
    layers = program_summary(program_in(session.bundle)).layers
    assert [layer.weight_bits for layer in layers] == [1, 2, 2, 1, 1]
    planned = counts_of(epimc.plan(model(), target=described, weight_bits=1))
    taken = [layer.crossbars for layer in layers]
    assert [layer.mapped_crossbars for layer in planned.layers] == taken == [1, 2, 2, 1, 1]


def test_twos_complement_has_no_weights_of_one_bit(tmp_path: Path) -> None:
    message = (
        "error: Mapping 'twos_complement' has no weights of 1 bit: a sign alone is -1 or 0.\n"
        "  --> node 'a' (Conv)\n"
        "  hint: Take 2 bits, or a target whose crossbar.mapping is offset or differential."
    )
    with pytest.raises(EpimcError) as caught:
        epimc.compile(model(), tmp_path / "out", weight_bits=1)
    assert str(caught.value) == message
    with pytest.raises(EpimcError) as caught:
        epimc.plan(model(), weight_bits=1)
    assert str(caught.value) == message
