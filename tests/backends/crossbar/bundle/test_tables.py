"""The tables of a program as files, there and back, and every wrong file refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from epimc.backends.crossbar.bundle.tables import Contents, read_tables, write_tables
from epimc.backends.crossbar.core.program import FeatureMap, Port, Program
from epimc.backends.crossbar.instructions.mvm import Mvm
from epimc.backends.crossbar.instructions.table import Table
from epimc.support.diagnostics import EpimcError
from tests.backends.crossbar.programs import PROGRAMS, conv_program, spill_program, split_program

pytestmark = pytest.mark.smoke

Files = dict[str, bytes]


def same(a: object, b: object) -> bool:
    """Whether two values are equal, through dataclasses and arrays."""
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if is_dataclass(a):
        return all(same(getattr(a, item.name), getattr(b, item.name)) for item in fields(a))
    return a == b


def refusal(files: Files) -> str:
    """What is said about the files."""
    with pytest.raises(EpimcError) as caught:
        read_tables(files, "out")
    assert caught.value.exit_code == 2
    return str(caught.value)


def with_document(change: Callable[[dict[str, Any]], object]) -> Files:
    """The files of a program, with a change of the document."""
    files = write_tables(conv_program())
    document = json.loads(files["tables.json"])
    change(document)
    return files | {"tables.json": json.dumps(document).encode()}


def with_arrays(name: str, change: Callable[[dict[str, Any]], object]) -> Files:
    """The files of a program, with a change of the arrays of one of them."""
    files = write_tables(conv_program())
    arrays = load(files[name])
    change(arrays)
    return files | {name: save(arrays)}


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_kind_of_table_comes_back(name: str) -> None:
    program = PROGRAMS[name]()
    contents = read_tables(write_tables(program), "out")
    tables = tuple(program.tables_of(Table))
    assert len(tables) == len(program.tables)
    expected = Contents(program.inputs, program.outputs, program.maps, tables)
    assert same(contents, expected)


@pytest.mark.parametrize("name", PROGRAMS)
def test_equal_programs_give_equal_bytes(name: str) -> None:
    assert write_tables(PROGRAMS[name]()) == write_tables(PROGRAMS[name]())


def test_the_document_has_a_line_for_every_map_and_round() -> None:
    program = conv_program()
    lines = write_tables(program)["tables.json"].decode().splitlines()
    assert (
        '    {"name": "acc", "shape": [4, 5, 6], "element": "i64", "bits": 0, '
        '"zero_point": 0, "address": -1, "nodes": [["Conv", "conv"]], "scale": 0.0},'
    ) in lines
    assert max(map(len, lines)) <= 210
    arrays = [line for line in lines if '"crossbar": 0' in line]
    assert len(arrays) == 1


def test_a_matrix_is_stored_once_in_eight_bits() -> None:
    program = split_program()
    weights = load(write_tables(program)["weights.safetensors"])
    first, second = (table for table in program.tables if isinstance(table, Mvm))
    assert list(weights) == ["w"]
    assert weights["w"].dtype == np.int8
    assert np.array_equal(weights["w"], first.weights)
    parts = [
        table for table in read_tables(write_tables(program), "out").tables
        if isinstance(table, Mvm)
    ]  # fmt: skip
    assert parts[0].weights is parts[1].weights
    assert parts[0].weights.dtype == np.int8
    assert np.array_equal(second.weights, parts[1].weights)


def test_wider_weights_take_wider_integers() -> None:
    program = conv_program()
    table = program.tables[0]
    assert isinstance(table, Mvm)
    wide = replace(table, weights=table.weights * np.int16(1000), weight_bits=14)
    program = replace(program, tables=(wide, *program.tables[1:]))
    files = write_tables(program)
    assert load(files["weights.safetensors"])["w"].dtype == np.int16
    assert same(read_tables(files, "out").tables[0], wide)


def test_any_scale_comes_back_exactly() -> None:
    scale = float.fromhex("0x1.921fb54442d19p-7")
    program = conv_program()
    port = replace(program.chip_inputs[0], scale=scale)
    files = write_tables(replace(program, inputs=(port,)))
    assert read_tables(files, "out").inputs == (port,)


def test_names_of_any_script_come_back() -> None:
    program = conv_program()
    named = replace(program.maps[0], name="Eingang/ü:0", nodes=(("Conv", 'ü"\n(, )'),))
    files = write_tables(replace(program, maps=(named, *program.maps[1:])))
    assert read_tables(files, "out").maps[0] == named


def changed_table(program: Program, index: int, **changes: Any) -> Program:
    """A program with a changed mvm table."""
    table = program.tables[index]
    assert isinstance(table, Mvm)
    tables = list(program.tables)
    tables[index] = replace(table, **changes)
    return replace(program, tables=tuple(tables))


def test_a_defect_of_the_compiler_is_no_user_error() -> None:
    program = split_program()
    first = program.tables[0]
    assert isinstance(first, Mvm)
    with pytest.raises(ValueError, match="two tables have different weights of the name 'w'"):
        write_tables(changed_table(program, 0, weights=first.weights + 1))
    with pytest.raises(ValueError, match="a number of 'w' does not fit int16"):
        write_tables(changed_table(program, 0, weights=first.weights + np.int32(40000)))
    with pytest.raises(ValueError, match=r"a number of '0\.corrections' does not fit int32"):
        write_tables(changed_table(program, 0, corrections=first.corrections + 2**40))


@pytest.mark.parametrize(
    ("path", "value", "note"),
    [
        (("maps", 0, "shape", 0), 0, "should be greater than or equal to 1"),
        (("maps", 0, "shape", 0), 2**31, "should be less than 2147483648"),
        (("maps", 0, "shape", 2), 1.0, "should be a valid integer"),
        (("maps", 0, "element"), "u32", "should be 'u8', 'u16', 'i64' or 'token'"),
        (("maps", 0, "bits"), True, "should be a valid integer"),
        (("maps", 0, "address"), -2, "should be greater than or equal to -1"),
        (("maps", 0, "name"), "", "should have at least 1 character"),
        (("tables", 0, "tile"), 65536, "should be less than 65536"),
        (("tables", 0, "mapping"), "x", "should be 'twos_complement', 'offset' or 'differential'"),
        (("tables", 0, "rounds", 0, "ifat", 0, 1), 0, "should be greater than or equal to 1"),
        (("tables", 0, "rounds", 0, "ofat", 0, "accumulate"), 0, "should be a valid boolean"),
        (("tables", 0, "arrays", 0, "rows"), 5000, "should be less than or equal to 4096"),
        (("tables", 0, "weights", "shape", 0), 2**40, "should be less than 1099511627776"),
        (("inputs", 0, "scale"), 0.0, "should be greater than 0"),
        (("inputs", 0, "shape", 0), 0, "should be greater than or equal to 1"),
    ],
)
def test_a_wrong_value_is_named(path: tuple[str | int, ...], value: object, note: str) -> None:
    def change(document: dict[str, Any]) -> None:
        place: Any = document
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    where = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)[1:]
    noun = "string" if path[-1] == "name" else "input"
    assert refusal(with_document(change)) == (
        "error: File 'tables.json' of bundle 'out' has 1 mistake.\n"
        f"  note: {where} = {json.dumps(value)}: {noun} {note}."
    )


@pytest.mark.parametrize(
    ("key", "index", "value", "range"),
    [
        ("kernel", 1, 4097, "[1, 4096]"),
        ("strides", 0, 0, "[1, 4096]"),
        ("pads", 3, -1, "[0, 4096]"),
    ],
)
def test_a_wrong_size_of_a_window_is_named(key: str, index: int, value: int, range: str) -> None:
    def change(document: dict[str, Any]) -> None:
        document["tables"][0]["window"][key][index] = value

    assert f": its {key}[{index}] = {value} lies outside {range}." in refusal(with_document(change))


def test_missing_and_unknown_keys_are_named() -> None:
    def change(document: dict[str, Any]) -> None:
        del document["outputs"]
        document["tables"][0]["color"] = 1
        document["tables"][1]["type"] = "nonsense"

    text = refusal(with_document(change))
    assert text.splitlines()[:3] == [
        "error: File 'tables.json' of bundle 'out' has 3 mistakes.",
        "  note: outputs is missing.",
        "  note: tables[0].color is unknown.",
    ]
    assert "note: tables[1] = {" in text
    assert "'nonsense'" in text


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (
            lambda d: d["tables"][0]["rounds"][0].update(ifat=[["x", 1]] * 1000),
            'tables[0].rounds[0].ifat[0][0] = "x": input should be a valid integer.',
        ),
        (
            lambda d: d["tables"][0].update(rounds=[{"ifat": [], "ifrt": []}] * 1000),
            "tables[0].rounds[0].ofat is missing.",
        ),
        (
            lambda d: d["maps"][0].update(nodes=[["Conv", 7]] * 1000),
            "maps[0].nodes[0][1] = 7: input should be a valid string.",
        ),
    ],
)
def test_the_first_mistake_of_a_long_list_is_named(
    change: Callable[[dict[str, Any]], object], note: str
) -> None:
    assert refusal(with_document(change)) == (
        f"error: File 'tables.json' of bundle 'out' has 1 mistake.\n  note: {note}"
    )


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (
            lambda d: d["tables"][1].update(destination=3),
            "tables[1] names map 3, but there are 3.",
        ),
        (lambda d: d["inputs"][0].update(map=9), "inputs[0] names map 9, but there are 3."),
        (
            lambda d: d["outputs"][0].update(shape=[2**20, 2**20]),
            "outputs[0].shape has more than 2147483648 elements.",
        ),
        (
            lambda d: d["maps"][1].update(shape=[4, 2**19, 2**10]),
            "maps[1] has more than 2147483648 bytes.",
        ),
        (
            lambda d: d["maps"][1].update(shape=[4, 5, 2**22]),
            "maps[1] has rows of more than 67108864 bytes.",
        ),
        (
            lambda d: d["maps"][1].update(shape=[1, 2**20, 1]),
            "maps have more than 1048576 rows in all.",
        ),
        (
            lambda d: d["maps"][0].update(shape=[2**25, 5, 2]),
            "tables need more than 536870912 numbers beside those in files, most for 'w'.",
        ),
        (
            lambda d: d["tables"][0]["rounds"][1].update(ifat=[[2, 3]]),
            "tables[0].rounds[1].ifat names more than there are, 4.",
        ),
        (
            lambda d: d["tables"][0]["rounds"][2].update(ifrt=[[0, 32], [0, 32]]),
            "tables[0].rounds[2].ifrt names more than there are, 32.",
        ),
    ],
)
def test_contradictions_are_named(change: Callable[[dict[str, Any]], object], note: str) -> None:
    assert refusal(with_document(change)) == (
        f"error: File 'tables.json' of bundle 'out' contradicts itself.\n  note: {note}"
    )


@pytest.mark.parametrize(
    ("name", "change", "expected"),
    [
        (
            "weights.safetensors",
            lambda arrays: arrays.pop("w"),
            "lacks the array 'w'.",
        ),
        (
            "weights.safetensors",
            lambda arrays: arrays.update(w=arrays["w"].astype(np.int16)),
            "has a wrong array 'w'.\n  note: Expected int8 [32, 2], found int16 [32, 2].",
        ),
        (
            "tables.safetensors",
            lambda arrays: arrays.update({"0.bias": np.zeros(5, np.int64)}),
            "has a wrong array '0.bias'.\n  note: Expected int64 [4], found int64 [5].",
        ),
        (
            "tables.safetensors",
            lambda arrays: arrays.update({"0.corrections": np.zeros((2, 5), np.int32)}),
            "has a wrong array '0.corrections'.\n"
            "  note: Expected int32 [3, 5], found int32 [2, 5].",
        ),
        (
            "tables.safetensors",
            lambda arrays: arrays.update(more=np.zeros(5, np.int64)),
            "has an array 'more' that no table uses.",
        ),
    ],
)
def test_wrong_arrays_are_named(
    name: str, change: Callable[[dict[str, Any]], object], expected: str
) -> None:
    assert refusal(with_arrays(name, change)) == f"error: File '{name}' of bundle 'out' {expected}"


@pytest.mark.parametrize("shape", [(), (32,), (32, 2, 1)])
def test_weights_that_are_no_matrix_are_refused(shape: tuple[int, ...]) -> None:
    stated = {"type": "int8", "shape": list(shape)}
    files = with_document(lambda d: d["tables"][0].update(weights=stated))
    files["weights.safetensors"] = save({"w": np.zeros(shape, np.int8)})
    assert refusal(files) == (
        "error: File 'tables.json' of bundle 'out' contradicts itself.\n"
        f"  note: tables[0].weights must be [rows, columns], not {list(shape)}."
    )


@pytest.mark.parametrize("data", [b"", b"\xff" * 8, b"\xff" * 100, b'\x02\0\0\0\0\0\0\0{"'])
def test_broken_arrays_are_refused(data: bytes) -> None:
    files = write_tables(conv_program()) | {"weights.safetensors": data}
    expected = "error: File 'weights.safetensors' of bundle 'out' is not a safetensors file."
    assert refusal(files).startswith(expected)


def test_types_that_numpy_lacks_are_refused() -> None:
    header = b'{"w":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}}'
    data = len(header).to_bytes(8, "little") + header + b"\0"
    files = write_tables(conv_program()) | {"weights.safetensors": data}
    assert "'weights.safetensors' of bundle 'out'" in refusal(files)


def test_a_truncated_file_is_refused() -> None:
    files = write_tables(spill_program())
    for name, data in files.items():
        assert f"File '{name}'" in refusal(files | {name: data[:-1]} if name != "tables.json"
                                           else files | {name: data[:-2]})  # fmt: skip


def test_a_map_without_padding_may_reach_the_limit() -> None:
    program = conv_program()
    large = FeatureMap("large", (2**16, 2**15, 1), "u8")
    port = Port("large", (2**16, 2**15), 3, 1.0)
    files = write_tables(replace(program, maps=(*program.maps, large), inputs=(port,)))
    assert read_tables(files, "out").maps[3] == large


def test_arrays_take_no_more_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted as they are handed out, most of them as int64."""
    files = write_tables(conv_program())
    tables = read_tables(files, "out").tables
    arrays = {
        id(value): value.nbytes
        for table in tables
        for value in vars(table).values()
        if isinstance(value, np.ndarray)
    }
    limit = sum(arrays.values())
    monkeypatch.setattr("epimc.backends.crossbar.bundle.tables.DEFAULT_BYTES", limit)
    assert len(read_tables(files, "out").tables) == len(tables)
    monkeypatch.setattr("epimc.backends.crossbar.bundle.tables.DEFAULT_BYTES", limit - 1)
    needs = f"error: Bundle 'out' needs more memory than the limit of {limit - 1} bytes."
    assert refusal(files).startswith(f"{needs}\n  note: Array '")
