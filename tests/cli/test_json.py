"""What `--json` prints is what the classes of results declare, and `docs/json.md` says."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import get_args, get_origin

import pytest
import typer

from epimc.backends.base import CompiledProgram
from epimc.backends.crossbar.target.schema import load_target
from epimc.backends.registry import load_backend
from epimc.bundle.bundle import read_bundle
from epimc.cli.main import app
from epimc.pages import RESULTS
from epimc.results.schema import Key, is_record, keys_of, parts_of
from epimc.support.results import FORMAT, Keyed, Result
from tests.cli.conftest import Run

FILES = ("--input", "samples.npz", "--output", "y.npz")
COMMANDS: Mapping[str, tuple[str, ...]] = {
    "compile": ("compile", "model.onnx", "-o", "out", "--calibration", "samples.npz"),
    "plan": ("plan", "model.onnx"),
    "run": ("run", "bundle", *FILES),
    "run with its costs": ("run", "bundle", *FILES, "--stats"),
    "verify": ("verify", "bundle"),
    "verify with its layers": ("verify", "bundle", "--layers"),
    "evaluate": ("evaluate", "bundle", "--data", "samples.npz"),
    "model": ("inspect", "model.onnx"),
    "bundle": ("inspect", "bundle"),
    "stage": ("inspect", "bundle", "--stage", "asm"),
    "quantization": ("inspect", "bundle", "--quantization"),
    "quantized-layer": ("inspect", "bundle", "--quantization", "--layer", "conv"),
    "check": ("check", "bundle"),
    "targets": ("targets",),
    "target": ("targets", "tiny"),
    "operators": ("ops",),
    "operator": ("ops", "Conv"),
}


def wrong(value: object, kind: object, place: str) -> Iterator[str]:
    """Where a value of a document is not of the type that is declared."""
    if get_origin(kind) is tuple:
        yield from wrong_items(value, list, get_args(kind)[0], place)
    elif get_origin(kind) is Mapping:
        yield from wrong_items(value, dict, get_args(kind)[1], place)
    elif parts := parts_of(kind):
        complaints = [list(wrong(value, part, place)) for part in parts]
        yield from [] if [] in complaints else complaints[0]
    elif is_record(kind) or is_result(kind):
        yield from wrong_object(value, kind, place)
    elif not is_plain(value, kind):
        yield f"{place} is no {kind}"


def wrong_items(value: object, shape: type, kind: object, place: str) -> Iterator[str]:
    """The same of a list or of an object that may have any keys."""
    if not isinstance(value, shape):
        yield f"{place} is no {shape}"
        return
    items = value.items() if isinstance(value, dict) else enumerate(value)  # type: ignore[arg-type]
    for name, item in items:
        yield from wrong(item, kind, f"{place}[{name}]")


def is_plain(value: object, kind: object) -> bool:
    """Whether a value is a string, number, boolean, null or an object declared elsewhere."""
    assert isinstance(kind, type)
    if isinstance(value, bool):
        return kind is bool
    if kind is float:
        return isinstance(value, int | float)
    return isinstance(value, dict if issubclass(kind, Keyed) else kind)


def is_result(kind: object) -> bool:
    """Whether it is a class of results, of which a backend has one of its own."""
    return isinstance(kind, type) and issubclass(kind, Result)


def wrong_object(value: object, record: object, place: str) -> Iterator[str]:
    """The same of an object: it has the declared keys in their order, and no others."""
    if not isinstance(value, dict):
        yield f"{place} is no object"
        return
    assert isinstance(record, type)
    keys = list(declared(record if is_record(record) else of_crossbars(record)))
    if list(value) != [key.name for key in keys]:
        yield f"{place} has {list(value)}, declared are {[key.name for key in keys]}"
    for key in keys:
        if key.name in value:
            yield from wrong(value[key.name], key.type, f"{place}.{key.name}")


def declared(record: type) -> Iterator[Key]:
    """The keys of a record, with those of the backend and of targets' files where they stand."""
    for key in keys_of(record):
        if not key.inlined:
            yield key
        elif issubclass(key.type, Result):
            yield from declared(of_crossbars(key.type))
        else:
            for name, value in load_target("tiny").to_dict().items():
                yield Key(name, type(value) if isinstance(value, int | str) else Keyed, "", False)


def of_crossbars(kind: type) -> type[Result]:
    """The crossbar backend's class for one that every backend has."""
    (own,) = (each for each in load_backend("crossbar").results if issubclass(each, kind))
    return own


def kind_of(name: str) -> type[Result]:
    """The class of a kind of document."""
    (kind,) = (each for each in RESULTS if name == each.KIND)
    return kind


@pytest.mark.parametrize("name", COMMANDS)
def test_documents_are_as_declared(run: Run, name: str) -> None:
    result = run(*COMMANDS[name], "--json")
    assert result.code == 0
    document = json.loads(result.out, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    head = {"format": document.pop("format"), "kind": document.pop("kind")}
    assert head == {"format": FORMAT, "kind": name.split()[0]}
    assert list(wrong(document, kind_of(name.split()[0]), "it")) == []


def test_a_document_that_is_not_as_declared_is_noticed(run: Run) -> None:
    document = json.loads(run("verify", "bundle", "--layers", "--json").out)
    del document["format"], document["kind"], document["accuracy"]
    document["layers"][0]["elements"] = 1.5
    document["layer_errors"][0]["nodes"] = "conv"
    places = [line.split()[0] for line in wrong(document, kind_of("verify"), "it")]
    assert places == ["it", "it.layers[0].elements", "it.layer_errors[0].nodes"]


def test_a_path_that_is_no_text_stays_a_document(run: Run, here: Path) -> None:
    name = os.fsdecode(b"\xff.npz")
    written = run("run", "bundle", "--input", "samples.npz", "--output", name, "--json")
    assert json.loads(written.out)["file"] == name
    assert (here / name).is_file()


def test_every_command_with_json_is_tried() -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    having = {
        name
        for name, command in group.commands.items()
        if any("--json" in parameter.opts for parameter in command.params)
    }
    assert having == {command[0] for command in COMMANDS.values()}
    assert {name.split()[0] for name in COMMANDS} == {each.KIND for each in RESULTS}


def test_kinds_are_told_apart() -> None:
    kinds = [each.KIND for each in (*RESULTS, *load_backend("crossbar").results)]
    assert len(set(kinds)) == len(kinds)


def test_every_key_is_explained() -> None:
    for kind in (*RESULTS, *load_backend("crossbar").results):
        assert all(key.meaning for key in keys_of(kind)), kind


def test_a_program_shows_itself_in_a_notebook(here: Path) -> None:
    program: CompiledProgram = read_bundle(here / "bundle").program
    html = program.describe()._repr_html_()
    assert html.startswith("<table>\n<thead><tr><th>layer</th>")
    assert "<td>conv</td>" in html
