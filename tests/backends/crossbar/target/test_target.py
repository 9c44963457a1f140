"""Targets: the built-in ones, files of one's own, and every message about a wrong one."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epimc.backends.crossbar.target.page import target_page
from epimc.backends.crossbar.target.schema import (
    Target,
    builtin_targets,
    load_target,
    parse_target,
)
from epimc.ir.semantics.cells import lossless_adc_bits
from epimc.support.diagnostics import EpimcError

pytestmark = pytest.mark.smoke

ROOT = Path(__file__).parents[4]

TINY = load_target("tiny").to_toml()


def message(text: str) -> str:
    """What is said about a target file of this text."""
    with pytest.raises(EpimcError) as caught:
        parse_target(text, "x.toml")
    assert caught.value.exit_code == 2
    return str(caught.value)


def notes(text: str) -> tuple[str, ...]:
    """The mistakes that are found in a target file of this text."""
    with pytest.raises(EpimcError) as caught:
        parse_target(text, "x.toml")
    return caught.value.diagnostic.notes


def test_the_built_in_targets_are_the_paper_s_and_one_for_tests() -> None:
    assert builtin_targets() == ["epim-256", "tiny"]
    assert load_target("epim-256").to_dict() == {
        "schema": 1,
        "name": "epim-256",
        "description": "256 x 256 arrays of one-bit cells, as in the EPIM paper",
        "crossbar": {"rows": 256, "columns": 256, "cell_bits": 1, "mapping": "twos_complement"},
        "converters": {"dac_bits": 1, "adc_bits": 9},
        "tile": {"crossbars": 96, "buffer_bytes": 524288},
        "memory": {"off_chip_bytes": 2**32},
        "chip": {"tiles": "auto"},
    }


@pytest.mark.parametrize("name", ["epim-256", "tiny"])
def test_a_built_in_target_has_the_smallest_lossless_adc(name: str) -> None:
    target = load_target(name)
    assert target.name == name
    least = lossless_adc_bits(
        target.crossbar.rows, target.converters.dac_bits, target.crossbar.cell_bits
    )
    assert target.converters.adc_bits == least


@pytest.mark.parametrize("name", ["epim-256", "tiny"])
def test_every_number_of_a_built_in_target_has_a_reason(name: str) -> None:
    path = ROOT / "backends" / "crossbar" / "target" / "builtin" / f"{name}.toml"
    text = path.read_text(encoding="utf-8")
    if "Every number is chosen here." in text:
        return
    numbers = [line for line in text.splitlines() if re.match(r"\w+ = ", line)][3:]
    assert len(numbers) == 10
    assert [line for line in numbers if "#" not in line] == []


def test_text_and_dict_give_the_target_back() -> None:
    for name in builtin_targets():
        target = load_target(name)
        assert parse_target(target.to_toml(), "x.toml") == target
        assert Target.from_dict(target.to_dict()) == target
        assert hash(Target.from_dict(target.to_dict())) == hash(target)
        assert tomllib.loads(target.to_toml()) == target.to_dict()


@given(
    st.text(max_size=50).filter(str.isprintable),
    st.integers(1, 4096),
    st.integers(8, 2**40),
    st.one_of(st.just("auto"), st.integers(1, 65536)),
)
def test_any_target_survives_its_text(
    description: str, rows: int, off_chip: int, tiles: str | int
) -> None:
    data = load_target("tiny").to_dict() | {"description": description}
    data["crossbar"]["rows"] = rows
    data["memory"]["off_chip_bytes"] = off_chip
    data["chip"]["tiles"] = tiles
    target = Target.from_dict(data)
    assert parse_target(target.to_toml(), "x.toml") == target


def test_description_and_chip_may_be_left_out() -> None:
    text = TINY.replace('[chip]\ntiles = "auto"\n', "")
    text = re.sub("description = .*\n", "", text)
    target = parse_target(text, "x.toml")
    assert (target.description, target.chip.tiles) == ("", "auto")


def test_a_number_of_tiles_may_be_given() -> None:
    assert parse_target(TINY.replace('"auto"', "3"), "x.toml").chip.tiles == 3


def test_what_a_program_needs_to_know() -> None:
    chip = load_target("tiny").sized(5)
    assert (chip.tiles, chip.crossbars_per_tile) == (5, 32)
    assert (chip.crossbar_rows, chip.crossbar_columns, chip.cell_bits) == (32, 32, 2)
    assert (chip.dac_bits, chip.adc_bits) == (2, 9)
    assert (chip.buffer_bytes, chip.off_chip_bytes) == (16384, 2**24)


def converters(text: str) -> Target:
    """The target `tiny` with further keys of its converters."""
    return parse_target(TINY.replace("adc_bits = 9\n", f"adc_bits = 9\n{text}\n"), "x.toml")


def test_the_range_of_the_adc() -> None:
    assert converters("").highest_sum is None
    assert converters('adc_range = "unit"') == converters("")
    assert converters('adc_range = "weights"').highest_sum is None
    assert converters('adc_range = "worst"').highest_sum == 32 * 3 * 3
    assert converters('adc_range = "worst"\nrows_per_read = 8').highest_sum == 8 * 3 * 3
    assert converters('adc_range = "worst"\nrows_per_read = 99').highest_sum == 32 * 3 * 3
    assert converters("adc_range = 100").highest_sum == 100
    assert converters("rows_per_read = 8").sized(2).rows_per_read == 8


def test_defaults_of_converters_are_not_stated() -> None:
    lossy = converters('adc_range = "weights"\nrows_per_read = 8')
    assert parse_target(lossy.to_toml(), "x.toml") == lossy
    assert 'adc_range = "weights"\nrows_per_read = 8\n' in lossy.to_toml()
    assert set(converters("rows_per_read = 0").to_dict()["converters"]) == {"dac_bits", "adc_bits"}


@pytest.mark.parametrize(
    ("text", "note"),
    [
        (
            "adc_range = 0",
            'converters.adc_range = 0: must be "unit", "worst", "weights", "calibrated" or an '
            "integer between 1 and 15667200 (what sets the step of the ADC: unit: the step is 1; "
            "else it is the smallest with which the highest sum fits: of the geometry (worst), of "
            "a layer's weights, of a layer's sums on calibration samples, or this one).",
        ),
        (
            "rows_per_read = -1",
            "converters.rows_per_read = -1: must be between 0 and 4096 (word lines that an array "
            "drives at a time; 0: all).",
        ),
    ],
)
def test_wrong_converters(text: str, note: str) -> None:
    assert notes(TINY.replace("adc_bits = 9\n", f"adc_bits = 9\n{text}\n")) == (note,)


def test_an_adc_without_bits() -> None:
    assert notes(TINY.replace("adc_bits = 9", "adc_bits = 0")) == (
        "converters.adc_bits = 0: must be between 1 and 16 (bits that are read from a bit line, "
        "from 0).",
    )


def test_all_mistakes_are_in_one_message() -> None:
    text = TINY.replace("rows = 32", "rows = 0").replace("mapping", "maping")
    assert message(text.replace("dac_bits = 2", 'dac_bits = "2"')) == (
        "error: Target file 'x.toml' has 4 mistakes.\n"
        "  note: crossbar.rows = 0: must be between 1 and 4096 (word lines of an array).\n"
        '  note: crossbar.mapping is missing: must be "twos_complement", "offset" or '
        '"differential" (how a signed weight becomes cells).\n'
        "  note: crossbar.maping is unknown. Did you mean 'mapping'?\n"
        '  note: converters.dac_bits = "2": must be an integer between 1 and 8 (input bits that '
        "drive a word line at a time).\n"
        "  hint: The page 'Targets' of the documentation lists every key."
    )


@pytest.mark.parametrize(
    ("old", "new", "note"),
    [
        ("schema = 1", "schema = true", "schema = true: must be 1 (version of this format)."),
        ("schema = 1", "schema = -1", "schema = -1: must be 1 (version of this format)."),
        (
            'name = "tiny"',
            'name = "a b"',
            "name = \"a b\": must be 1 to 64 letters, digits, '.', '_' or '-', a letter or digit "
            "first (what reports call the target).",
        ),
        (
            "rows = 32",
            "rows = 32.0",
            "crossbar.rows = 32.0: must be an integer between 1 and 4096 (word lines of an array).",
        ),
        (
            "rows = 32",
            f"rows = 0x{'f' * 5000}",
            "crossbar.rows = a number of 20000 bits: must be between 1 and 4096 (word lines of "
            "an array).",
        ),
        (
            "cell_bits = 2",
            "cell_bits = true",
            "crossbar.cell_bits = true: must be an integer between 1 and 4 (bits that one cell "
            "holds).",
        ),
        (
            '"offset"',
            '"signed"',
            'crossbar.mapping = "signed": must be "twos_complement", "offset" or "differential" '
            "(how a signed weight becomes cells).",
        ),
        (
            '"auto"',
            "0",
            'chip.tiles = 0: must be "auto" or an integer between 1 and 65536 (tiles of the chip; '
            "auto: as many as the model needs).",
        ),
        (
            "off_chip_bytes = 16777216",
            "",
            "memory.off_chip_bytes is missing: must be between 8 and 1099511627776 (memory that "
            "all tiles share).",
        ),
        (
            "[memory]\noff_chip_bytes = 16777216\n",
            "",
            "[memory] is missing: it holds off_chip_bytes.",
        ),
        (
            "[memory]\noff_chip_bytes = 16777216\n",
            "[[memory]]\noff_chip_bytes = 16777216\n",
            'memory = [{"off_chip_bytes": 16777216}]: must be a table, [memory].',
        ),
        (
            "schema = 1",
            "schema = 1\nzzz = 5",
            "zzz is unknown. Known: chip, converters, crossbar, description, memory, name, "
            "schema, tile.",
        ),
        (
            "[tile]",
            '[tile]\n"a\\nb" = 5',
            'tile."a\\nb" is unknown. Known: buffer_bytes, crossbars.',
        ),
        (
            '"32 x 32 arrays of two-bit cells, for tests"',
            f'"{"x" * 60}\\u0007"',
            f'description = "{"x" * 38}…: must be one line of at most 1000 printable characters '
            "(the target in one sentence).",
        ),
    ],
)
def test_one_mistake(old: str, new: str, note: str) -> None:
    assert old in TINY
    assert notes(TINY.replace(old, new)) == (note,)


def test_another_version_is_no_mistake() -> None:
    text = TINY.replace("schema = 1", "schema = 2").replace("rows = 32", "wires = 32")
    assert message(text) == (
        "error: Target file 'x.toml' has the format 2; this version of epimc reads the format 1.\n"
        "  hint: The page 'Targets' of the documentation lists every key."
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "schema = 1\nname = \n",
            "error: Target file 'x.toml' is not TOML: invalid value.\n"
            "  --> x.toml:2:8\n2 | name = \n  |        ^",
        ),
        (
            "a = [1,\n2",
            "error: Target file 'x.toml' is not TOML: unclosed array.\n"
            "  --> x.toml:2:2\n2 | 2\n  |  ^",
        ),
        (
            f"a = {'[' * 100_000}",
            "error: Target file 'x.toml' nests its values deeper than 64.\n"
            f"  --> x.toml:1:69\n1 | a = {'[' * 196}...\n  | {' ' * 68}^",
        ),
    ],
)
def test_a_text_that_is_not_toml(text: str, expected: str) -> None:
    assert message(text) == expected


def test_a_number_that_python_cannot_read_is_reported() -> None:
    text = message(f"schema = {'9' * 5000}")
    assert text == (
        "error: Target file 'x.toml' is not TOML: an integer has too many digits.\n  --> x.toml"
    )


def load_message(name: str) -> str:
    """What is said about a target of this name."""
    with pytest.raises(EpimcError) as caught:
        load_target(name)
    return str(caught.value)


def test_a_file_is_loaded_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(
        b"\xef\xbb\xbf" + TINY.replace("tiny", "mine").encode().replace(b"\n", b"\r\n")
    )
    assert load_target(str(path)).name == "mine"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "epim-265",
            "error: There is no target 'epim-265'.\n  hint: Did you mean 'epim-256'? "
            "A target is a built-in name or the path of a TOML file.",
        ),
        (
            "zzz",
            "error: There is no target 'zzz'.\n  hint: Known: epim-256, tiny. "
            "A target is a built-in name or the path of a TOML file.",
        ),
        (
            "my.toml",
            "error: Target file 'my.toml' does not exist.\n"
            "  hint: A target is a built-in name or the path of a TOML file.",
        ),
        (
            "folder/x",
            "error: Target file 'folder/x' does not exist.\n"
            "  hint: A target is a built-in name or the path of a TOML file.",
        ),
    ],
)
def test_a_name_that_is_no_target(name: str, expected: str) -> None:
    assert load_message(name) == expected


@pytest.mark.parametrize("name", ["", "a\0b", "n" * 5000])
def test_a_name_that_no_file_can_have(name: str) -> None:
    assert "There is no target" in load_message(name)


def test_a_path_that_is_no_text_file(tmp_path: Path) -> None:
    hint = "\n  hint: A target is a built-in name or the path of a TOML file."
    assert (
        load_message(str(tmp_path)) == f"error: '{tmp_path}' is a folder, not a target file.{hint}"
    )
    assert load_message("/dev/null") == f"error: '/dev/null' is a device, not a target file.{hint}"
    path = tmp_path / "x.toml"
    path.write_bytes(b"#" * 1_000_001)
    assert load_message(str(path)) == f"error: Target file '{path}' is larger than 1000000 bytes."
    path.write_bytes(b"name = \xff")
    assert load_message(str(path)) == (
        f"error: Target file '{path}' is not UTF-8 text.\n"
        "  note: The byte at offset 7 cannot be decoded.\n"
        "  hint: Save the file in UTF-8."
    )


def test_a_wrong_dict_is_reported_alike() -> None:
    with pytest.raises(EpimcError, match=r"The target has 1 mistake\.\n  note: tile = 5: must be"):
        Target.from_dict(load_target("tiny").to_dict() | {"tile": 5})


def test_the_page_about_targets_is_up_to_date() -> None:
    assert (ROOT / "docs" / "targets.md").read_text(encoding="utf-8") == target_page()


def test_the_example_on_the_page_is_a_target() -> None:
    page = target_page()
    lines = [line.removeprefix(" " * 8) for line in page.splitlines()]
    first = next(number for number, line in enumerate(lines) if line == "schema = 1")
    last = next(number for number, line in enumerate(lines) if line.startswith("2. Give"))
    assert parse_target("\n".join(lines[first:last]), "x.toml") == load_target("tiny")
