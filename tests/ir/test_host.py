"""What the host gives, at every level: several results, values of any type, and what is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from epimc.ir.core.module import Module
from epimc.ir.core.types import HOST_RESULTS, IrError, TensorType, expect_port_type, host_value
from epimc.ir.interpreter import interpret
from epimc.ir.pipeline import Runner, parse_pipeline
from epimc.ir.text.parser import parse_module
from epimc.ir.text.printer import print_module
from epimc.support.diagnostics import EpimcError
from tests.crossbars import PASSES

TEXT = """\
epimc.module 2 "host" level calibrated {
  attribute target = {schema = 1, name = "t", description = "t", crossbar = {rows = 32, \
columns = 32, cell_bits = 2, mapping = "offset"}, converters = {dac_bits = 2, adc_bits = 9}, \
tile = {crossbars = 64, buffer_bytes = 16384}, memory = {off_chip_bytes = 16777216}, \
chip = {tiles = "auto"}}
  tensor @f : tensor<4xu8> = [1, 2, 3, 4]
  input "x" %x : tensor<2x3xf32> range [-1.0, 1.55]
  input "words" %words : host<"tensor(string)[N]">
  input "table" %table : host<"tensor(int64)[2, 2]">
  %h = host.call(%x, %words, %table) {fragment = @f} : host<"results"> loc(Split "h")
  %most = host.result(%h) {index = 0} : host<"tensor(float)[N, 3]"> loc(Split "h")
  %said = host.result(%h) {index = 1} : host<"seq(tensor(string))"> loc(Split "h")
  %many = host.result(%h) {index = 2} : host<"tensor(int64)[N, ?]"> loc(Split "h")
  %r = host.real(%most) {shape = [3]} : tensor<3xf32> range [-2.0, 3.1] loc(Split "h")
  %y = nn.relu(%r) : tensor<3xf32> range [0.0, 2.55] loc(Relu "y")
  %g = host.call(%most, %said) {fragment = @f} : host<"results"> loc(Join "g")
  %last = host.result(%g) {index = 0} : host<"tensor(int64)[2]"> loc(Join "g")
  output "y" = %y
  output "said" = %said
  output "many" = %many
  output "last" = %last
  output "table" = %table
}
"""
BEHIND = ("quantize", "map,place,schedule,allocate")


class Fake:
    """A host that counts and repeats; `calls` are those that it was asked for."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int]] = []

    def __call__(self, name: str, operands: list[Any], samples: int) -> list[list[Any]]:
        """For `h` three results, for `g` one."""
        self.calls.append((name, samples))
        assert all(len(operand) == samples for operand in operands)
        if name == "g":
            most, said = operands
            pairs = zip(most, said, strict=True)
            return [[np.array([reals.size, len(words)]) for reals, words in pairs]]
        x, words, table = operands
        assert all(np.shape(each) == (2, 2) for each in table)
        best = [np.asarray(sample).max(axis=0).astype(np.float32)[None] for sample in x]
        letters = [list(word[0]) for word in words]
        counts = [np.arange(len(each))[None] for each in letters]
        return [best, letters, counts]


def inputs(count: int = 3) -> dict[str, Any]:
    """Samples whose elements are steps of the quantized input, but for the others."""
    random = np.random.default_rng(0)
    return {
        "x": (random.integers(-100, 156, (count, 2, 3)) / 100).astype(np.float32),
        "words": np.array([["abcd"[: k + 1]] for k in range(count)], object)[:, 0],
        "table": np.arange(4 * count).reshape(count, 2, 2),
    }


def behind(module: Module, passes: str) -> Module:
    """The module behind passes."""
    return Runner(PASSES).run(module, parse_pipeline(passes, PASSES))


def expected(x: NDArray[np.float32]) -> dict[str, Any]:
    """What the outputs must be."""
    return {
        "y": np.maximum(x.max(axis=1), 0),
        "said": [["a"], ["a", "b"], ["a", "b", "c"]],
        "many": [[[0]], [[0, 1]], [[0, 1, 2]]],
        "last": [[3, 1], [3, 2], [3, 3]],
    }


def test_several_results_of_any_type() -> None:
    module, host, stated = parse_module(TEXT), Fake(), inputs()
    assert print_module(parse_module(print_module(module))) == print_module(module)
    results, right = interpret(module, stated, host=host), expected(stated["x"])
    assert host.calls == [("h", 3), ("g", 3)]
    np.testing.assert_allclose(results["y"], right["y"], atol=1e-6)
    assert results["said"] == right["said"]
    # Their shapes differ from sample to sample.
    assert [each.tolist() for each in results["many"]] == right["many"]
    # Neither a type with samples first, nor one without them, but each as it says.
    np.testing.assert_array_equal(results["last"], right["last"])
    np.testing.assert_array_equal(results["table"], stated["table"])


def test_they_are_the_same_at_every_level() -> None:
    module, stated = parse_module(TEXT), inputs()
    right = expected(stated["x"])
    quantized = behind(module, BEHIND[0])
    results = interpret(quantized, stated, host=Fake())
    np.testing.assert_allclose(results["y"], right["y"], atol=0.0101)
    assert (results["said"], len(results["many"])) == (right["said"], 3)
    np.testing.assert_array_equal(results["last"], right["last"])
    allocated = behind(quantized, BEHIND[1])
    known: dict[str, Any] = {}
    interpret(quantized, stated, lambda v, a: known.update({v.name: a}), host=Fake())
    taken = {name: known[v.name] if v.type.is_activation else stated[name]
             for name, v in allocated.inputs}  # fmt: skip
    host = Fake()
    results = interpret(allocated, taken, host=host)
    assert host.calls == [("h", 3), ("g", 3)]
    np.testing.assert_array_equal(results["y"], known["y"])
    # Behind the common levels an output of the host is all results of its call.
    assert results["said"][1] == right["said"]
    np.testing.assert_array_equal(np.stack(results["last"][0]), right["last"])


@pytest.mark.parametrize("passes", ["", *BEHIND[:1], ",".join(BEHIND)])
def test_what_the_host_gives_must_be_what_the_chip_takes(passes: str) -> None:
    module = behind(parse_module(TEXT), passes)
    stated, crossbars = inputs(), passes.endswith("allocate")
    if crossbars:
        stated["x"] = np.zeros((3, 2, 3), np.uint8)

    def few(name: str, operands: list[Any], samples: int) -> list[list[Any]]:
        return Fake()(name, operands, samples)[:1] if name == "h" else []

    def others(name: str, operands: list[Any], samples: int) -> list[list[Any]]:
        _, *rest = Fake()(name, operands, samples) if name == "h" else [[], []]
        return [[np.zeros(4)] * samples, *rest]

    def words(name: str, operands: list[Any], samples: int) -> list[list[Any]]:
        _, *rest = Fake()(name, operands, samples) if name == "h" else [[], []]
        return [[np.array(["a", "b", "c"])] * samples, *rest]

    kinds = ("xbar.enter", "xbar.host") if crossbars else ("host.real", "host.result")
    for host, said in (
        (few, f"{kinds[1]} cannot be evaluated: the host gives 1 result, and no 1."),
        (others, f"{kinds[0]} cannot be evaluated: the host gives no reals of shape [3]."),
        (words, f"{kinds[0]} cannot be evaluated: the host gives no reals of shape [3]."),
    ):
        with pytest.raises(EpimcError) as caught:
            interpret(module, stated, host=host)
        assert caught.value.diagnostic.message == said


def test_without_a_host_there_is_no_result() -> None:
    with pytest.raises(EpimcError) as caught:
        interpret(parse_module(TEXT), inputs())
    assert caught.value.diagnostic.message == "Only a host can run this call."


def test_what_is_no_number_is_0_on_the_chip_and_stays_with_the_host() -> None:
    odd = np.array([np.nan, np.inf, -np.inf], np.float32)

    def host(name: str, operands: list[Any], samples: int) -> list[list[Any]]:
        if name == "g":
            return [[sample.ravel() for sample in operands[0]]]
        best, *rest = Fake()(name, operands, samples)
        return [[odd[None]] * len(best), *rest]

    module = parse_module(TEXT.replace('"tensor(int64)[2]"', '"tensor(float)[3]"'))
    for passes in ("", "quantize"):
        results = interpret(behind(module, passes), inputs(), host=host)
        most = 2.55 if passes else np.inf
        np.testing.assert_allclose(results["y"], [[0, most, 0]] * 3, atol=1e-5)
        # A call that reads it from another one gets it as it is.
        np.testing.assert_array_equal(results["last"], [odd] * 3)


def test_types_of_the_host() -> None:
    assert str(host_value("tensor(int64)[N, 3]")) == 'host<"tensor(int64)[N, 3]">'
    expect_port_type(host_value("optional(tensor(float))"))
    for words in ("results", "tensor", "tensor(float)[N, x]", ""):
        with pytest.raises(IrError, match="is no "):
            expect_port_type(host_value(words))
    with pytest.raises(IrError, match="neither a shape nor a scale"):
        TensorType((1,), "host", host="tensor(float)")
    assert HOST_RESULTS.is_host
    assert HOST_RESULTS.shape == ()
