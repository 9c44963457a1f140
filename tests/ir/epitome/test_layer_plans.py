"""Plans layer by layer: what is chosen, and every mistake in one message."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epimc.backends.crossbar.target.schema import load_target
from epimc.ir.core.module import Module
from epimc.ir.dialects import epi
from epimc.ir.epitome.layer_plans import LayerPlan, Plans, load
from epimc.ir.epitome.plan import Patch, identity
from epimc.ir.epitome.policies import Layer
from epimc.ir.pipeline import Runner, parse_pipeline
from epimc.ir.text.parser import parse_module
from epimc.ir.text.printer import print_module
from epimc.support.diagnostics import EpimcError
from tests.crossbars import PASSES
from tests.helpers.hand_plans import hand_plans

pytestmark = pytest.mark.smoke

LAYERS = [
    Layer((8, 4, 3, 3), 256, names=("first", "norm", "a")),
    Layer((8, 8, 3, 3), 256, names=("second", "b")),
    Layer((10, 8, 1, 1), 256, is_classifier=True, names=("shared", "c")),
    Layer((10, 8, 1, 1), 256, is_classifier=True, names=("shared", "d")),
]
WRAPPED = (Patch(0, 4, 0, 4, 0, 0, 0, 0), Patch(4, 4, 0, 4, 0, 0, 0, 0))
HALF = {"epitome": [4, 4, 3, 3], "patches": [list(patch) for patch in WRAPPED]}


def test_layers_are_found_by_any_of_their_names() -> None:
    plans, actual = load(
        {
            "default": "uniform:72x4",
            "layer": [{"name": "norm", **HALF}, {"name": "b", "policy": "none"}],
        }
    )
    assert actual == []
    assert plans == Plans(
        "uniform:72x4", (LayerPlan("norm", "", (4, 4, 3, 3), WRAPPED), LayerPlan("b", "none"))
    )
    first, second, third, _ = plans.choose(LAYERS)
    assert first == ((4, 4, 3, 3), WRAPPED)
    assert second == ((8, 8, 3, 3), identity((8, 8, 3, 3)))
    assert third[0] == (4, 8, 1, 1)


def test_nothing_given_is_the_identity() -> None:
    plans, actual = load({})
    assert (plans, actual) == (Plans(), [])
    assert not plans.needs_target
    assert all(epitome == layer.weights for (epitome, _), layer in zip(
        plans.choose(LAYERS), LAYERS, strict=True))  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_plans_come_back_from_plain_data(data: st.DataObject) -> None:
    epitome, patches = data.draw(hand_plans((6, 5, 2, 3)))
    bits = data.draw(st.tuples(*[st.sampled_from([0, 2, 5, 8])] * 3))
    layers = (
        LayerPlan("a", "", epitome, patches, weight_bits=bits[0]),
        LayerPlan("b", "none", weight_bits=bits[1]),
        LayerPlan("c", weight_bits=3),
    )
    plans = Plans("uniform:8x8", layers, default_weight_bits=bits[2])
    assert load(plans.dump()) == (plans, [])


def test_bits_stand_beside_an_epitome_or_alone() -> None:
    entries = [
        {"name": "first", **HALF, "weight_bits": 3},
        {"name": "second", "weight_bits": 5},
        {"name": "c", "policy": "none"},
    ]
    plans, mistakes = load({"default": "uniform:72x4", "default_weight_bits": 7, "layer": entries})
    assert mistakes == []
    assert plans.weight_bits(LAYERS) == [3, 5, 7, 7]
    shapes = [epitome for epitome, _ in plans.choose(LAYERS)]
    assert shapes == [(4, 4, 3, 3), (4, 8, 3, 3), (10, 8, 1, 1), (4, 8, 1, 1)]


def test_bits_of_layers_that_do_not_exist_are_mistakes() -> None:
    plans = Plans("none", (LayerPlan("frist", weight_bits=4),))
    assert plans.mistakes(LAYERS) == ["There is no layer 'frist'. Did you mean 'first'?"]


NAMED = "that of one of the layer's nodes, or of its value"
CHOOSES = 'must be "none" or "uniform:RxC" (what chooses the layer\'s epitome)'
SHAPE = "(the epitome's shape [Eo, Ei, Eh, Ew])"
PATCHES = "([o0, on, i0, in, eo, ei, dy, dx] each)"
EITHER = (
    "expected either 'policy', or 'epitome' and 'patches'; or 'weight_bits', beside them or alone"
)
WIDTH = "between 1 and 16 (of the layer's weights)"
GOOD = {"name": "y", "policy": "none"}


@pytest.mark.parametrize(
    ("entry", "problems"),
    [
        (3, ["Layer number 2 = 3: must be a table, [[layer]]."]),
        (
            {"policy": "none"},
            [f"Layer number 2: name is missing: must be a name in quotes ({NAMED})."],
        ),
        (
            {"name": 3, "policy": "none"},
            [f"Layer number 2: name = 3: must be a name in quotes ({NAMED})."],
        ),
        (
            {"name": "", "polcy": "none"},
            [
                f'Layer number 2: name = "": must be a name in quotes ({NAMED}).',
                "Layer number 2: polcy is unknown. Did you mean 'policy'?",
            ],
        ),
        ({"name": "x", "policy": "best"}, [f"Layer 'x': policy = \"best\": {CHOOSES}."]),
        ({"name": "x", "policy": 3}, [f"Layer 'x': policy = 3: {CHOOSES}."]),
        ({"name": "x"}, [f"Layer 'x': {EITHER}."]),
        ({"name": "x", "policy": "none", **HALF}, [f"Layer 'x': {EITHER}."]),
        ({"name": "x", "epitome": [4, 4, 3, 3]}, [f"Layer 'x': {EITHER}."]),
        ({"name": "x", "patches": [], "weight_bits": 4}, [f"Layer 'x': {EITHER}."]),
        ({"name": "x", "weight_bits": 0}, [f"Layer 'x': weight_bits = 0: must be {WIDTH}."]),
        (
            {"name": "x", "weight_bits": "4"},
            [f"Layer 'x': weight_bits = \"4\": must be an integer {WIDTH}."],
        ),
        (
            {"name": "x", "epitome": [4, 4, 3], "patches": 3},
            [
                f"Layer 'x': epitome = [4, 4, 3]: must be a list of 4 integers, each at least 1 "
                f"{SHAPE}.",
                f"Layer 'x': patches = 3: must be a list of patches {PATCHES}.",
            ],
        ),
        (
            {"name": "x", "epitome": [4, 4, 3, True, 5], "patches": []},
            [
                "Layer 'x': epitome = [4, 4, 3, true, 5]: must be a list of 4 integers, each at "
                f"least 1 {SHAPE}.",
            ],
        ),
        (
            {"name": "x", "epitome": [4, 0, 3, True], "patches": []},
            [
                f"Layer 'x': epitome[1] = 0: must be an integer from 1 to 2147483647 {SHAPE}.",
                f"Layer 'x': epitome[3] = true: must be an integer from 1 to 2147483647 {SHAPE}.",
            ],
        ),
        (
            {
                "name": "x",
                "epitome": [4, 4, 3, 3],
                "patches": [
                    [0, 4, 0, 4, 0, 0, 0, 0],
                    [0, 4, 0, 4, 0, 0],
                    [0, -4, 0, 4, 0, 0, 0, 0],
                ],
            },
            [
                "Layer 'x': patches[1] = [0, 4, 0, 4, 0, 0]: must be a list of 8 integers, each at "
                f"least 0 {PATCHES}.",
                "Layer 'x': patches[2][1] = -4: must be an integer from 0 to 2147483647 "
                f"{PATCHES}.",
            ],
        ),
    ],
)
def test_wrong_entries(entry: Any, problems: list[str]) -> None:
    plans, mistakes = load({"layer": [GOOD, entry]})
    assert mistakes == problems
    assert plans == Plans("none", (LayerPlan("y", "none"),))


ELSE = 'must be "none" or "uniform:RxC" (for all layers that are not named)'


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"defualt": "none"}, "defualt is unknown. Did you mean 'default'?"),
        ({"default": 3}, f"default = 3: {ELSE}."),
        ({"default": "best"}, f'default = "best": {ELSE}.'),
        (
            {"default_weight_bits": 17},
            "default_weight_bits = 17: must be between 1 and 16 (for all layers that state none).",
        ),
        ({"layer": {"name": "x"}}, 'layer = {"name": "x"}: must be a list of tables, [[layer]].'),
    ],
)
def test_wrong_files(data: dict[str, Any], problem: str) -> None:
    assert load(data) == (Plans(), [problem])


BIG = LayerPlan("first", "", (8, 4, 4, 4), identity((8, 4, 3, 3)))
TALL = LayerPlan("first", "", (9, 1, 3, 3), identity((8, 4, 3, 3)))
OUTSIDE = LayerPlan("first", "", (4, 4, 3, 3), identity((8, 4, 3, 3)))
PARTIAL = LayerPlan("first", "", (4, 4, 3, 3), WRAPPED[:1])


@pytest.mark.parametrize(
    ("layers", "problems"),
    [
        ([LayerPlan("frist", "none")], ["There is no layer 'frist'. Did you mean 'first'?"]),
        (
            [LayerPlan("xyz", "none")],
            ["There is no layer 'xyz'. Known: first, second, shared."],
        ),
        (
            [LayerPlan("shared", "none")],
            ["'shared' is a name of 2 layers: take that of a value."],
        ),
        (
            [LayerPlan("a", "none"), LayerPlan("a", "none")],
            ["Layer 'a' is given 2 times."],
        ),
        (
            [LayerPlan("a", "none"), LayerPlan("norm", "none")],
            ["'a' and 'norm' are names of one layer."],
        ),
        (
            [BIG],
            [
                "Layer 'first': an epitome [8, 4, 4, 4] is larger than weights [8, 4, 3, 3]: "
                "it would save nothing."
            ],
        ),
        (
            [TALL],
            ["Layer 'first': an epitome [9, 1, 3, 3] cannot stand for weights [8, 4, 3, 3]."],
        ),
        (
            [OUTSIDE],
            ["Layer 'first': patch [0, 8, 0, 4, 0, 0, 0, 0] lies outside epitome [4, 4, 3, 3]."],
        ),
        (
            [PARTIAL],
            ["Layer 'first': 0 patches give the weights of output 4, input 0: not one."],
        ),
    ],
)
def test_plans_that_are_none_for_the_model(layers: list[LayerPlan], problems: list[str]) -> None:
    plans = Plans("none", tuple(layers))
    assert plans.mistakes(LAYERS) == problems
    with pytest.raises(EpimcError) as caught:
        plans.choose(LAYERS)
    count = f"{len(problems)} mistake{'s' if len(problems) > 1 else ''}"
    assert caught.value.diagnostic.message == f"The plans of the layers have {count}."
    assert list(caught.value.diagnostic.notes) == problems


NET = """
epimc.module 2 "net" level nn {
  tensor @w : tensor<4x3x3x3xf32> = normal(seed = 1, scale = 1.0)
  tensor @s : tensor<4xf32> = normal(seed = 2, scale = 1.0)
  tensor @v : tensor<4x4x1x1xf32> = normal(seed = 3, scale = 1.0)
  input "x" %x : tensor<3x6x6xf32>
  %a = nn.conv(%x) {weight = @w} : tensor<4x4x4xf32> loc(Conv "conv1")
  %b = nn.affine(%a) {scale = @s} : tensor<4x4x4xf32> loc(Mul "scale1")
  %c = nn.conv(%b) {weight = @v} : tensor<4x4x4xf32> loc(Conv "conv2")
  output "y" = %c
}
"""


def net(plans: Plans | None) -> Module:
    """The network, with plans and a target."""
    module = parse_module(NET)
    module.attributes["target"] = load_target("tiny").to_dict()
    module.attributes["array_rows"] = load_target("tiny").crossbar.rows
    if plans:
        module.attributes["plans"] = plans.dump()
    return module


SPATIAL = Plans(
    "uniform:2x2",
    (
        LayerPlan(
            "scale1",
            "",
            (2, 2, 4, 3),
            (
                Patch(0, 2, 0, 2, 0, 0, 1, 0),
                Patch(2, 2, 0, 2, 0, 0, 0, 0),
                Patch(0, 4 // 2, 2, 1, 0, 1, 0, 0),
                Patch(2, 2, 2, 1, 0, 0, 1, 0),
            ),
        ),
    ),
)


@pytest.mark.parametrize("name", ["conv1", "scale1", "a", "b"])
def test_the_pass_finds_layers_by_what_was_folded_into_them(name: str) -> None:
    (given,) = SPATIAL.layers
    plans = Plans("uniform:2x2", (LayerPlan(name, "", given.epitome, given.patches),))
    passes = parse_pipeline("fold,epitomize{policy=plans}", PASSES)
    if name == "a":
        # The value of the convolution itself is gone: it was folded.
        with pytest.raises(EpimcError, match="There is no layer 'a'"):
            Runner(PASSES).run(net(plans), passes)
        return
    folded = Runner(PASSES).run(net(plans), passes)
    first, second = (op for op in folded.ops if isinstance(op, epi.Conv))
    assert first.plan == given.patches
    assert folded.tensors[first.epitome.name].type.shape == (2, 2, 4, 3)
    assert folded.tensors[second.epitome.name].type.shape == (2, 2, 1, 1)
    assert "plans" not in folded.attributes


def test_the_pass_states_the_bits_of_weights() -> None:
    plans = Plans("none", (LayerPlan("scale1", weight_bits=3),), default_weight_bits=6)
    text = print_module(net(plans))
    passes = parse_pipeline("fold,epitomize{policy=plans}", PASSES)
    module = Runner(PASSES).run(parse_module(text), passes)
    assert [op.weight_bits for op in module.ops if isinstance(op, epi.Conv)] == [3, 6]


def test_a_value_is_meant_before_a_node_of_the_same_name() -> None:
    layers = [Layer((4, 4, 1, 1), 32, names=("a", "b")), Layer((4, 4, 1, 1), 32, names=("b", "a"))]
    small = LayerPlan("a", "uniform:2x4")
    shapes = [epitome for epitome, _ in Plans("none", (small,)).choose(layers)]
    assert shapes == [(4, 4, 1, 1), (4, 2, 1, 1)]


def test_plans_stand_in_the_text_of_a_module() -> None:
    module = net(SPATIAL)
    text = print_module(module)
    assert parse_module(text).attributes["plans"] == module.attributes["plans"]


def test_the_pass_needs_plans() -> None:
    passes = parse_pipeline("fold,epitomize{policy=plans}", PASSES)
    with pytest.raises(EpimcError) as caught:
        Runner(PASSES).run(net(None), passes)
    assert str(caught.value) == (
        "error: Module 'net' has no plans for its layers.\n"
        "  note: in pass 'epitomize'\n"
        '  hint: Declare them: attribute plans = {default = "none", layer = [{name = …, …}]}.'
    )


def test_the_pass_refuses_wrong_plans() -> None:
    module = net(None)
    module.attributes["plans"] = {"layers": ()}
    passes = parse_pipeline("fold,epitomize{policy=plans}", PASSES)
    with pytest.raises(EpimcError) as caught:
        Runner(PASSES).run(module, passes)
    assert str(caught.value) == (
        "error: The plans of the layers have 1 mistake.\n"
        "  note: layers is unknown. Did you mean 'layer'?\n"
        "  note: in pass 'epitomize'"
    )


def test_a_policy_that_suits_no_layer_names_the_layer() -> None:
    with pytest.raises(EpimcError) as caught:
        Plans("uniform:1x1").choose([Layer((1024, 1024, 1, 1), 256, names=("node", "v"))])
    assert str(caught.value) == (
        "error: Layer 'v': the policy cuts weights [1024, 1024, 1, 1] into 1048576 patches, "
        "more than 262144."
    )


def test_of_many_unknown_layers_the_first_tell_what_may_be_meant() -> None:
    plans = Plans("none", tuple(LayerPlan(f"nod{k}", "none") for k in range(50)))
    mistakes = plans.mistakes([Layer((4, 4, 1, 1), 256, names=("node", "v"))])
    assert mistakes[19] == "There is no layer 'nod19'. Did you mean 'node'?"
    assert mistakes[20] == "There is no layer 'nod20'."
    assert len(mistakes) == 50


def test_numbers_of_plans_are_bounded() -> None:
    layer = {"name": "a", "epitome": [2**31, 1, 1, 1], "patches": [[0, 1, 0, 1, 0, 0, 0, 2**31]]}
    assert load({"layer": [layer]})[1] == [
        f"Layer 'a': epitome[0] = 2147483648: must be an integer from 1 to 2147483647 {SHAPE}.",
        "Layer 'a': patches[0][7] = 2147483648: must be an integer from 0 to 2147483647 "
        f"{PATCHES}.",
    ]
