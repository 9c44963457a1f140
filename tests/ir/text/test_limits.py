"""Texts that ask for too much: refused at their place, before anything is made for them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epimc.backends.registry import load_backends
from epimc.cli.main import main
from epimc.ir.core.tensors import Normal, TensorStore
from epimc.ir.text.parser import parse_module
from epimc.ir.text.printer import print_module
from epimc.support.diagnostics import EpimcError

GOLDEN = Path(__file__).parents[2] / "golden"
HEAD = 'epimc.module 2 "m" level nn {\n'
RAISE = "  hint: Raise the limit (--limit-bytes), or check the shapes."


def refusal(text: str, limit_bytes: int = 2**32) -> str:
    """The error of a text, rendered."""
    with pytest.raises(EpimcError) as caught:
        parse_module(text, "f.epi", TensorStore(Path("nowhere")), limit_bytes)
    assert caught.value.exit_code == 2
    return str(caught.value)


def drawn(*shapes: str) -> str:
    """A text with random tensors of these shapes."""
    tensors = [
        f"  tensor @t{k} : tensor<{shape}xf32> = normal(seed = 1, scale = 1.0)\n"
        for k, shape in enumerate(shapes)
    ]
    return HEAD + "".join(tensors) + "}\n"


def test_random_tensors_are_paid_for_before_any_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    def draw(*_: object) -> None:
        pytest.fail("a tensor was drawn")

    monkeypatch.setattr(Normal, "draw", draw)
    message = refusal(drawn("64", "4096x4096", "8000x8000"))
    left = re.search(r"work on it; (\d+) are left", message)
    assert left is not None
    # The first two, and some for the tree of the text.
    assert 0 < 2**32 - 16 * (256 + 4 * 4096**2) - int(left[1]) < 2**20
    assert message == (
        "error: IR text 'f.epi' needs more memory than the limit of 4294967296 bytes.\n"
        "  --> f.epi:4:3\n"
        "4 |   tensor @t2 : tensor<8000x8000xf32> = normal(seed = 1, scale = 1.0)\n"
        "  |   ^\n"
        f"  note: Tensor @t2 takes 256000000 bytes, and 4096000000 with the work on it; {left[1]} "
        f"are left.\n{RAISE}"
    )


def test_stored_tensors_are_paid_for_before_a_file_is_opened() -> None:
    digest = "0" * 64
    text = HEAD + f'  tensor @t : tensor<50000x50000xi64> = sha256("{digest}")\n}}\n'
    assert refusal(text).startswith(
        "error: IR text 'f.epi' needs more memory than the limit of 4294967296 bytes.\n"
        "  --> f.epi:2:3\n"
    )
    assert "Tensor @t takes 20000000000 bytes; " in refusal(text)
    # What stands in a file counts once: here it is only missing.
    small = text.replace("50000x50000", "100")
    assert refusal(small, 2**20) == (
        f"error: Tensor file 'nowhere/{digest}.safetensors' does not exist.\n"
        "  hint: Keep the folder 'tensors' beside the .epi file."
    )


def test_maps_that_are_alive_at_once() -> None:
    kind = "tensor<1x8192x8192xf32>"
    text = (
        HEAD + f'  input "x" %x : tensor<1x1x1xf32>\n'
        f"  %p = nn.pad(%x) {{pads = [0, 0, 8191, 8191]}} : {kind}\n"
        f"  %y = nn.relu(%p) : {kind}\n"
        '  output "y" = %y\n}\n'
    )
    assert refusal(text, 2**33).startswith(
        "error: IR text 'f.epi' needs more memory than the limit of 8589934592 bytes.\n"
        "  --> f.epi:4:3\n"
        f"4 |   %y = nn.relu(%p) : {kind}\n"
        "  |   ^\n"
        "  note: What is alive at once of one sample takes 536870912 bytes, and 8589934592 with"
    )
    assert parse_module(text, limit_bytes=2**34).ops[1].output.name == "y"


def test_the_pieces_of_a_text_are_counted_before_it_is_parsed() -> None:
    text = HEAD + "  attribute a = [" + "[], " * 600_000 + "[]]\n}\n"
    assert refusal(text).startswith(
        "error: IR text 'f.epi' needs more memory than the limit of 4294967296 bytes.\n"
        "  note: The tree of the text takes 8388608 bytes, and 134217728 with the work on it;"
    )
    items = HEAD + "  attribute a = [" + "1, " * 40_000 + "1]\n}\n"
    assert len(parse_module(items).attributes["a"]) == 40_001
    assert "The tree of the text takes" in refusal(items, 2**24)


@pytest.mark.parametrize("word", ["%" + "x" * 65536, "@" + "x" * 65536, "1" * 65536 + ".0"])
def test_a_long_word(word: str) -> None:
    assert refusal(f"{HEAD}  attribute a = {word}\n}}\n").startswith(
        "error: A name or a number has more than 65536 characters.\n  --> f.epi:2:17\n"
    )


def test_a_string_may_be_long() -> None:
    text = "x" * 3_000_000
    assert parse_module(f'{HEAD}  attribute a = "{text}"\n}}\n').attributes["a"] == text


def test_of_a_long_line_a_part_is_shown() -> None:
    message = refusal(f'{HEAD}  attribute a = ["{"x" * 5000}", ?, "{"y" * 5000}"]\n}}\n')
    assert message == (
        "error: Unexpected text: expected '[' or 'false' or 'true' or '{' or a number or a string"
        " or a tensor such as @weights or an integer.\n"
        "  --> f.epi:2:5022\n"
        f'2 | ...{"x" * 97}", ?, "{"y" * 96}...\n'
        f"  | {' ' * 103}^"
    )


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        ("1x" * 17, "Invalid type: a shape has at most 16 dims, not 17."),
        (f"{2**31}x", "Invalid type: shape [2147483648] has a size above 2147483647."),
        ("0x", "Invalid type: shape [0] has a size below 1."),
    ],
)
def test_sizes_of_types(kind: str, problem: str) -> None:
    message = refusal(f'{HEAD}  input "x" %x : tensor<{kind}f32>\n}}\n')
    assert message.startswith(f"error: {problem}\n  --> f.epi:2:18\n")


@pytest.mark.parametrize(
    ("scale", "problem"),
    [
        ("1.0e-300", "The scale 1e-300 is 0 or infinite in float32."),
        ("1.0e39", "The scale 1e+39 is 0 or infinite in float32."),
        ("1.0e999", "The number is too large."),
        ("0.0", "Invalid type: a scale must be positive and finite, on a type uN or sN."),
        ("-1.0", "Invalid type: a scale must be positive and finite, on a type uN or sN."),
    ],
)
def test_scales(scale: str, problem: str) -> None:
    text = f'{HEAD}  input "x" %x : tensor<2xu8, scale = {scale}>\n}}\n'
    assert refusal(text).startswith(f"error: {problem}\n  --> f.epi:2:")


def test_an_integer_attribute_that_is_too_large() -> None:
    text = (
        HEAD + '  input "x" %x : tensor<1x4x4xf32>\n'
        "  %y = nn.max_pool(%x) {kernel = [1, 2147483648]} : tensor<1x4x4xf32>\n}\n"
    )
    assert refusal(text) == (
        "error: Invalid nn.max_pool: attribute 'kernel': "
        "expected integers from -2147483647 to 2147483647.\n"
        "  --> f.epi:3:8\n"
        "3 |   %y = nn.max_pool(%x) {kernel = [1, 2147483648]} : tensor<1x4x4xf32>\n"
        "  |        ^"
    )


def test_opt_takes_the_limit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "f.epi"
    file.write_text(drawn("100"))
    assert main(["opt", str(file), "--limit-bytes", "5000"]) == 2
    assert capsys.readouterr().err.startswith(
        f"error: IR text '{file}' needs more memory than the limit of 5000 bytes.\n"
    )
    assert main(["opt", str(file), "--limit-bytes", "1000000"]) == 0


NUMBER = re.compile(r"(?<![\w.@%])-?\d+(?![\w.])|(?<=[<x])\d+(?=x)")
TEXTS = [path for path in sorted(GOLDEN.glob("*.epi")) if "error" not in path.name]


@given(
    st.sampled_from(TEXTS),
    st.data(),
    st.integers(-(2**63), 2**63 - 1) | st.sampled_from([0, 1, 2**31 - 1, 2**31, 2**62]),
)
@settings(max_examples=150)
def test_any_number_in_any_place_gives_a_module_or_one_error(
    path: Path, data: st.DataObject, number: int
) -> None:
    load_backends()
    text = path.read_text()
    place = data.draw(st.sampled_from(list(NUMBER.finditer(text))))
    text = f"{text[: place.start()]}{number}{text[place.end() :]}"
    try:
        module = parse_module(text, "f.epi", TensorStore(GOLDEN / "tensors"))
    except EpimcError:
        return
    again = parse_module(print_module(module), "g.epi", TensorStore(GOLDEN / "tensors"))
    assert print_module(again) == print_module(module)
    assert all(np.isfinite(t.array).all() for t in again.tensors.values())
