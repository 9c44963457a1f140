"""What no fragment may be."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from epimc.backends.forms import HostValue
from epimc.backends.onnx.fragments import inlined, read_fragment
from epimc.support.diagnostics import EpimcError


def fragment() -> onnx.ModelProto:
    """It adds a constant to x."""
    x, y = (helper.make_tensor_value_info(name, 1, [2]) for name in "xy")
    constant = numpy_helper.from_array(np.ones(2, np.float32), "c")
    graph = helper.make_graph([helper.make_node("Add", ["x", "c"], ["y"])], "g", [x], [y])
    graph.initializer.append(constant)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])


def refusal(data: bytes) -> str:
    """What is said of one."""
    with pytest.raises(EpimcError) as caught:
        read_fragment(data, "host1")
    return str(caught.value)


def test_a_fragment_is_a_plain_model() -> None:
    assert read_fragment(fragment().SerializeToString(), "host1") == fragment()
    assert refusal(b"no model") == "error: The fragment for 'host1' is no ONNX model."


def test_it_has_neither_functions_nor_sparse_tensors() -> None:
    expected = "error: The fragment for 'host1' has functions or sparse tensors."
    model = fragment()
    add = helper.make_node("Add", ["a", "a"], ["b"])
    opsets = [helper.make_opsetid("", 20)]
    model.functions.append(helper.make_function("own", "Twice", ["a"], ["b"], [add], opsets))
    assert refusal(model.SerializeToString()) == expected
    model = fragment()
    model.graph.sparse_initializer.add()
    assert refusal(model.SerializeToString()) == expected


def test_its_tensors_have_names_of_their_own() -> None:
    model = fragment()
    model.graph.initializer.append(model.graph.initializer[0])
    said = refusal(model.SerializeToString())
    assert said == "error: The fragment for 'host1' has two tensors of one name."


def test_it_takes_what_its_call_gives_it() -> None:
    data = fragment().SerializeToString()
    assert len(inlined(data, "host1", [HostValue("z")], "%").nodes) == 1
    with pytest.raises(EpimcError) as caught:
        inlined(data, "host1", [], "%")
    assert str(caught.value) == "error: The fragment for 'host1' has other inputs than its call."
