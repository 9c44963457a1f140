"""Nodes of one name, which onnxruntime refuses, get names of their own."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import parser
from typer.testing import CliRunner

import epimc
from epimc.cli.main import app
from epimc.frontend import import_proto
from epimc.frontend.model.node_names import distinct, remarks_on, shared_names
from epimc.support.diagnostics import EpimcError
from epimc.support.limits import DEFAULT_BYTES, Budget

TEXT = """
<ir_version: 8, opset_import: ["": 17]>
g (float[N, 3] x) => (float[N, 3] y)
{ [same] a = Relu (x)  [same__1] b = Neg (a)  [same] c = Relu (b)  [same] y = Neg (c) }
"""
BRANCHES = """
<ir_version: 8, opset_import: ["": 17]>
g (float[N, 3] x, bool c) => (float[N, 3] y)
{
  [n] z = Relu (x)
  [i] y = If (c) <
    then_branch = a () => (float[N, 3] r) { [n] q = Neg (z) [n] r = Neg (q) },
    else_branch = b () => (float[N, 3] r) { [n] r = Relu (z) }>
}
"""
REMARK = "nodes share 1 name, as 3 have 'same': each but the first gets a number behind it"


def test_all_but_the_first_get_a_number() -> None:
    model = parser.parse_model(TEXT)
    before = model.SerializeToString(deterministic=True)
    renamed = distinct(model, Budget(DEFAULT_BYTES, "M"))
    names = [node.name for node in renamed.graph.node]
    assert names == ["same", "same__1", "same__2", "same__3"]
    assert model.SerializeToString(deterministic=True) == before
    assert distinct(renamed, Budget(DEFAULT_BYTES, "M")) is renamed


def test_nodes_of_other_graphs_may_have_the_name() -> None:
    model = parser.parse_model(BRANCHES)
    assert shared_names(model.graph) == {"n": 2}
    graph = distinct(model, Budget(DEFAULT_BYTES, "M")).graph
    branches = {item.name: item.g for item in graph.node[1].attribute}
    assert graph.node[0].name == "n"
    assert [node.name for node in branches["then_branch"].node] == ["n", "n__1"]
    assert [node.name for node in branches["else_branch"].node] == ["n"]


def test_the_copy_is_paid_for() -> None:
    model = parser.parse_model(TEXT)
    with pytest.raises(EpimcError, match="The model with other names takes"):
        distinct(model, Budget(model.ByteSize() - 1, "M"))


def test_a_model_without_shared_names_says_nothing() -> None:
    model = parser.parse_model(TEXT.replace("[same]", ""))
    assert remarks_on(model) == ()
    assert import_proto(model, "m").remarks == ()


@pytest.mark.parametrize("text", [TEXT, BRANCHES], ids=["plain", "branches"])
def test_it_compiles(text: str, tmp_path: Path) -> None:
    bundle = epimc.compile(parser.parse_model(text), tmp_path / "out")
    assert epimc.verify(bundle).exact


def test_compile_says_so(tmp_path: Path) -> None:
    onnx.save(parser.parse_model(TEXT), tmp_path / "m.onnx")
    arguments = ["compile", str(tmp_path / "m.onnx"), "-o", str(tmp_path / "out")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert f"warning: {REMARK}" in result.stderr.splitlines()
