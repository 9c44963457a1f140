"""The text form: tensors in files, whole random modules, and what is refused, word for word."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epimc.ir.core.module import Module
from epimc.ir.core.tensors import Normal, Tensor, TensorStore
from epimc.ir.core.types import TensorType
from epimc.ir.interpreter import interpret
from epimc.ir.text.parser import parse_module, read_module
from epimc.ir.text.printer import print_module, write_module
from epimc.support.diagnostics import EpimcError
from tests.golden_files import round_trip
from tests.helpers.modules import LOWERING, Net, lower, networks, quantized, unread

HEAD = 'epimc.module 2 "m" level nn {\n'


def refusal(text: str) -> str:
    """The error of a text, rendered."""
    with pytest.raises(EpimcError) as caught:
        parse_module(text, "f.epi")
    return str(caught.value)


@given(networks(), st.sampled_from(["", "fold", "fold,epitomize,calibrate", "quantize"]))
@settings(max_examples=30)
def test_modules_of_every_level_are_printed_and_parsed(net: Net, until: str) -> None:
    module = net.module(*unread(net.built))
    module = quantized(module) if until == "quantize" else lower(module, until)
    round_trip(module)
    if until == "quantize":
        round_trip(lower(module, LOWERING))


def small() -> tuple[Net, Module]:
    """A quantized network."""
    net = Net(5)
    return net, quantized(net.module(net.relu(net.conv(net.input(2, 5, 5), 3))))


def test_a_module_in_files_means_the_same(tmp_path: Path) -> None:
    net, module = small()
    write_module(module, tmp_path / "m.epi")
    again = read_module(tmp_path / "m.epi")
    assert print_module(again) == print_module(module)
    files = {path.name for path in (tmp_path / "tensors").iterdir()}
    assert files == {f"{t.digest}.safetensors" for t in module.tensors.values()}
    inputs = net.samples(3)
    assert np.array_equal(interpret(again, inputs)["out0"], interpret(module, inputs)["out0"])


def test_what_is_written_twice_is_the_same(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write_module(small()[1], tmp_path / folder / "m.epi")
    first, second = (
        {p.relative_to(tmp_path / f): p.read_bytes() for p in (tmp_path / f).rglob("*.*")}
        for f in ("a", "b")
    )
    assert first == second


def test_a_digest_is_of_type_shape_and_bytes() -> None:
    array = np.arange(6, dtype=np.int8)
    known = {
        Tensor.of(array, "s8").digest,
        Tensor.of(array, "s7").digest,
        Tensor.of(array.reshape(2, 3), "s8").digest,
        Tensor.of(array.reshape(3, 2), "s8").digest,
        Tensor.of(array + 1, "s8").digest,
    }
    assert len(known) == 5
    strided = np.arange(12, dtype=np.int8)[::2]
    assert Tensor.of(strided, "s8").digest == Tensor.of(strided.copy(), "s8").digest


STORED = Tensor.of(np.array([1, -2, 3]), "s4")


def stored(folder: Path) -> Path:
    """The file of a tensor."""
    store = TensorStore(folder / "tensors")
    store.save([STORED])
    return store.path(STORED.digest)


def loading_error(folder: Path, kind: TensorType = STORED.type) -> str:
    """The error of loading it, without the path."""
    with pytest.raises(EpimcError) as caught:
        TensorStore(folder / "tensors").load(STORED.digest, kind)
    path = folder / "tensors" / f"{STORED.digest}.safetensors"
    return str(caught.value).replace(str(path), "FILE")


def test_a_tensor_comes_back(tmp_path: Path) -> None:
    stored(tmp_path)
    loaded = TensorStore(tmp_path / "tensors").load(STORED.digest, STORED.type)
    assert loaded.array.tolist() == [1, -2, 3]
    assert loaded.array.dtype == np.int8


def test_a_tensor_file_that_is_missing(tmp_path: Path) -> None:
    assert loading_error(tmp_path) == (
        "error: Tensor file 'FILE' does not exist.\n"
        "  hint: Keep the folder 'tensors' beside the .epi file."
    )


def test_tensor_files_that_are_wrong(tmp_path: Path) -> None:
    path = stored(tmp_path)
    good = path.read_bytes()
    path.write_bytes(good[:-1] + b"\x05")
    assert loading_error(tmp_path) == "error: Tensor file 'FILE' does not match its digest."
    path.write_bytes(good[:-1] + b"\x64")
    assert loading_error(tmp_path) == (
        "error: Tensor file 'FILE' holds values that do not fit into s4."
    )
    path.write_bytes(good[:-1])
    assert loading_error(tmp_path) == (
        "error: Tensor file 'FILE' is no safetensors file of one tensor."
    )
    path.write_bytes(good + b"\0" * 5000)
    assert loading_error(tmp_path) == (
        "error: Tensor file 'FILE' is larger than its declared type tensor<3xs4>."
    )
    path.write_bytes(good)
    assert loading_error(tmp_path, TensorType((3, 1), "s4")) == (
        "error: Tensor file 'FILE' does not hold its declared type tensor<3x1xs4>."
    )
    assert loading_error(tmp_path, TensorType((3,), "s3")) == (
        "error: Tensor file 'FILE' does not match its digest."
    )


def test_random_tensors_are_the_same_everywhere() -> None:
    drawn = Normal(7, 3.0).draw(TensorType((5,), "s4"))
    again = Normal(7, 3.0).draw(TensorType((5,), "s4"))
    assert drawn.tolist() == again.tolist()
    assert drawn.dtype == np.int8
    huge = Normal(7, 1e300).draw(TensorType((50,), "s3"))
    assert set(huge.tolist()) == {-3, 3}
    assert set(Normal(7, 1e300).draw(TensorType((50,), "u3")).tolist()) == {0, 7}


@pytest.mark.parametrize("body", ['"\\q"', '"a\tb"', '"\\ud800"'])
def test_malformed_strings(body: str) -> None:
    assert refusal(HEAD + f"  attribute a = {body}\n}}") == (
        "error: The string is malformed.\n"
        "  --> f.epi:2:17\n"
        f"2 |   attribute a = {body}\n"
        "  |                 ^\n"
        "  hint: Write it as in JSON."
    )


@pytest.mark.parametrize(
    ("body", "message", "column"),
    [
        ("attribute a = 1e999", "The number is too large.", 17),
        ("attribute a = {b = 1, b = 2}", "Key 'b' is given twice.", 25),
        ("tensor @w : tensor<1xf32> = [1e300]", "A literal value does not fit into f32.", 31),
        ("tensor @w : tensor<1xs4> = [8]", "A literal value does not fit into s4.", 30),
        ("tensor @w : tensor<1xs4> = [-8]", "A literal value does not fit into s4.", 30),
        ("tensor @w : tensor<1xu4> = [16]", "A literal value does not fit into u4.", 30),
        ("tensor @w : tensor<1xs4> = []",
         "Wrong number of literal values: found 0 values for tensor<1xs4> (at most 64).", 30),
        ("tensor @w : tensor<2xf32> = normal(seed = 1, scale = 1e300)",
         "A random value does not fit into f32.", 31),
        ("tensor @w : tensor<2xf32> = normal(seed = -1, scale = 1)",
         "A seed lies in [0, 2^64).", 31),
        ('input "x" %x : tensor<1xf32> range [true, 1]', "A range is [lowest, highest].", 32),
    ],
)  # fmt: skip
def test_values_that_are_refused(body: str, message: str, column: int) -> None:
    assert refusal(HEAD + f"  {body}\n}}") == (
        f"error: {message}\n  --> f.epi:2:{column}\n2 |   {body}\n  | {' ' * (column - 1)}^"
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[]", ()),
        ("[ 1 ,-2,\n\t03 ]", (1, -2, 3)),
        ("[1, // one\n 2]", (1, 2)),
        ("[1, 2.0]", (1, 2.0)),
        ("[[1, 2], [], [[3]], [4, true]]", ((1, 2), (), ((3,),), (4, True))),
    ],
)
def test_lists(text: str, value: object) -> None:
    module = parse_module(
        f'{HEAD}  attribute a = {text}\n  output "y" = %x\n}}'.replace(
            "  attribute", '  input "x" %x : tensor<1xf32>\n  attribute'
        )
    )
    assert module.attributes["a"] == value


def test_numbers_of_too_many_digits() -> None:
    for body in ("attribute a = 1" + "0" * 5000, "tensor @w : tensor<1" + "0" * 5000 + "xf32>"):
        assert refusal(HEAD + f"  {body}\n}}").startswith("error: Unexpected text: expected ")


def test_names_that_are_given_twice() -> None:
    twice = '  input "x" %x : tensor<1xf32>\n  input "x" %y : tensor<1xf32>\n}'
    assert refusal(HEAD + twice) == (
        "error: The name 'x' is given twice.\n"
        "  --> f.epi:3:9\n"
        '3 |   input "x" %y : tensor<1xf32>\n'
        "  |         ^"
    )
    assert refusal(HEAD + "  attribute a = 1\n  attribute a = 2\n}") == (
        "error: Attribute 'a' is given twice.\n"
        "  --> f.epi:3:13\n"
        "3 |   attribute a = 2\n"
        "  |             ^"
    )


def test_nesting_beyond_reason() -> None:
    text = HEAD + "  attribute a = " + "[" * 65 + "]" * 65 + "\n}"
    assert refusal(text) == (
        "error: Lists and dictionaries lie more than 64 deep.\n"
        "  --> f.epi:2:81\n"
        f"2 |   attribute a = {'[' * 65}{']' * 65}\n"
        f"  | {' ' * 80}^"
    )
    deep = HEAD + "  attribute a = " + "[" * 64 + "]" * 64 + "\n}"
    assert print_module(parse_module(deep)) == deep + "\n"


@pytest.mark.parametrize("mark", ["[", "{a = ", "(", "[[1, 2], {b = "])
def test_megabytes_of_brackets_are_refused_at_the_first_that_is_too_deep(mark: str) -> None:
    # Not after the parser has kept them all.
    text = HEAD + "  attribute a = " + mark * 1_000_000
    message = refusal(text)
    assert message.startswith("error: Lists and dictionaries lie more than 64 deep.\n")
    assert len(message) < 1000


def test_an_empty_text() -> None:
    assert refusal("") == (
        "error: The text ends too early: expected 'epimc.module'.\n  --> f.epi:1:1"
    )


def test_lines_are_counted_as_editors_do() -> None:
    text = (HEAD + '  attribute a = "x\u2028y"\n  attribute b = 1 ?\n}').replace("\n", "\r\n")
    assert "  --> f.epi:3:19\n3 |   attribute b = 1 ?\n  |                   ^" in refusal(text)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(EpimcError) as caught:
        read_module(tmp_path)
    assert str(caught.value) == (
        f"error: '{tmp_path}' is not a file.\n  hint: Give the path of an .epi file."
    )
    (tmp_path / "m.epi").write_bytes(b"\xff\xfe")
    with pytest.raises(EpimcError) as caught:
        read_module(tmp_path / "m.epi")
    assert caught.value.diagnostic.message == f"'{tmp_path / 'm.epi'}' is not UTF-8 text."


def test_inputs_have_one_to_three_dims() -> None:
    text = HEAD + '  input "x" %x : tensor<2x2x2x2xf32>\n  output "y" = %x\n}'
    assert refusal(text) == (
        "error: Invalid module 'm': a value of shape [2, 2, 2, 2] has not 1 to 3 dims."
    )
