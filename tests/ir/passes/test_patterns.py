"""Each rewrite pattern alone: what it makes of a tiny module, and what it leaves as it is."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import numpy as np
import pytest

import epimc.ir.passes
from epimc.ir.core.levels import EPI
from epimc.ir.core.module import Module
from epimc.ir.core.op import Op
from epimc.ir.epitome.plan import identity
from epimc.ir.interpreter import interpret
from epimc.ir.passes import epitomize, fold, layout, rising, sinking
from epimc.ir.rewriting import Pattern, rewritten
from epimc.ir.text.parser import parse_module
from epimc.ir.text.printer import print_module
from epimc.ir.verifier import verify
from epimc.quantization.equalization import equalize, scaling

HEAD = """epimc.module 2 "m" level nn {
  tensor @w : tensor<2x3x3x3xf32> = normal(seed = 1, scale = 1.0)
  tensor @m : tensor<2x4xf32> = normal(seed = 2, scale = 1.0)
  tensor @p : tensor<3x2x1x1xf32> = normal(seed = 3, scale = 1.0)
  tensor @three : tensor<3xf32> = [0.5, 1.0, 2.0]
  tensor @two : tensor<2xf32> = [0.25, -3.0]
"""

SCALED = scaling.Scaled(np.ones((2, 4), np.float32), None, 1)

APPLIES: list[tuple[Pattern[Any], str, str]] = [
    (
        fold.PadIntoConv(),
        """
        input "x" %x : tensor<3x6x5xf32>
        %a = nn.pad(%x) {pads = [1, 0, 2, 1]} : tensor<3x9x6xf32> loc(Pad "p")
        %y = nn.conv(%a) {weight = @w, pads = [0, 1, 0, 0]} : tensor<2x7x5xf32> loc(Conv "c")
        """,
        """
        %a = nn.pad(%x) {pads = [1, 0, 2, 1]} : tensor<3x9x6xf32> loc(Pad "p")
        %y = nn.conv(%x) {weight = @w, pads = [1, 1, 2, 1]} : tensor<2x7x5xf32> \
loc(Pad "p", Conv "c")
        """,
    ),
    (
        fold.PadIntoMaxPool(),
        """
        input "x" %x : tensor<3x6x5xf32>
        %a = nn.relu(%x) : tensor<3x6x5xf32>
        %p = nn.pad(%a) {pads = [1, 0, 2, 1]} : tensor<3x9x6xf32>
        %y = nn.max_pool(%p) {kernel = [3, 2]} : tensor<3x7x5xf32>
        """,
        """
        %a = nn.relu(%x) : tensor<3x6x5xf32>
        %p = nn.pad(%a) {pads = [1, 0, 2, 1]} : tensor<3x9x6xf32>
        %y = nn.max_pool(%a) {kernel = [3, 2], pads = [1, 0, 2, 1]} : tensor<3x7x5xf32>
        """,
    ),
    (
        fold.PadIntoAveragePool(),
        """
        input "x" %x : tensor<3x6x5xf32>
        %a = nn.pad(%x) {pads = [1, 0, 2, 1]} : tensor<3x9x6xf32>
        %y = nn.average_pool(%a) {kernel = [3, 2]} : tensor<3x7x5xf32>
        """,
        """
        %a = nn.pad(%x) {pads = [1, 0, 2, 1]} : tensor<3x9x6xf32>
        %y = nn.average_pool(%x) {kernel = [3, 2], pads = [1, 0, 2, 1]} : tensor<3x7x5xf32>
        """,
    ),
    (
        fold.AffineIntoWeights(),
        """
        input "x" %x : tensor<3x6x5xf32>
        %a = nn.conv(%x) {weight = @w, bias = @two} : tensor<2x4x3xf32> loc(Conv "c")
        %b = nn.affine(%a) {scale = @two} : tensor<2x4x3xf32> loc(Mul "m")
        %y = nn.affine(%b) {offset = @two} : tensor<2x4x3xf32> loc(Add "a")
        """,
        """
        %y = nn.conv(%x) {weight = @w.folded, bias = @w.bias} : tensor<2x4x3xf32> loc(Conv "c", \
Mul "m", Add "a")
        """,
    ),
    (
        rising.RiseToLayers(),
        """
        tensor @ones : tensor<2x4x3xf32> = normal(seed = 3, scale = 1.0)
        input "x" %x : tensor<3x6x5xf32>
        %c.a = nn.conv(%x) {weight = @w} : tensor<2x4x3xf32> loc(Conv "c")
        %c.b = nn.constant() {value = @ones} : tensor<2x4x3xf32> loc(Conv "c")
        %c.ab = nn.concat(%c.a, %c.b) {axis = 2} : tensor<2x4x6xf32> loc(Conv "c")
        %d = nn.rearrange(%c.ab) {perm = [0, 1, 2], shape = [2, 8, 3]} : tensor<2x8x3xf32>
        %e = nn.select(%d) {rows = [[0, 7, 1]]} : tensor<2x7x3xf32>
        %y = nn.affine(%e) {scale = @two} : tensor<2x7x3xf32> loc(Mul "m")
        """,
        """
        %c.a = nn.conv(%x) {weight = @w} : tensor<2x4x3xf32> loc(Conv "c")
        %y.a = nn.affine(%c.a) {scale = @two} : tensor<2x4x3xf32> loc(Mul "m")
        %y.b = nn.constant() {value = @ones.1} : tensor<2x4x3xf32> loc(Conv "c")
        %y.ab = nn.concat(%y.a, %y.b) {axis = 2} : tensor<2x4x6xf32> loc(Conv "c")
        %y.part = nn.rearrange(%y.ab) {perm = [0, 1, 2], shape = [2, 8, 3]} : tensor<2x8x3xf32>
        %y = nn.select(%y.part) {rows = [[0, 7, 1]]} : tensor<2x7x3xf32>
        """,
    ),
    (
        fold.NormIntoAffine(),
        """
        input "x" %x : tensor<3x6x5xf32>
        %y = nn.batch_norm(%x) {scale = @three, offset = @three, mean = @three, variance = @three} \
: tensor<3x6x5xf32>
        """,
        """
        %y = nn.affine(%x) {scale = @y.scale, offset = @y.offset} : tensor<3x6x5xf32>
        """,
    ),
    (
        layout.MergeRearrangements(),
        """
        input "x" %x : tensor<2x3x4xf32>
        %t = nn.rearrange(%x) {perm = [1, 2, 0], shape = [3, 4, 2]} : tensor<3x4x2xf32>
        %y = nn.rearrange(%t) {perm = [1, 0, 2], shape = [24]} : tensor<24xf32>
        """,
        """
        %t = nn.rearrange(%x) {perm = [1, 2, 0], shape = [3, 4, 2]} : tensor<3x4x2xf32>
        %y = nn.rearrange(%x) {perm = [2, 1, 0], shape = [24]} : tensor<24xf32>
        """,
    ),
    (
        layout.SimplifyRearrangement(),
        """
        input "x" %x : tensor<1x3x4xf32>
        %y = nn.rearrange(%x) {perm = [1, 2, 0], shape = [3, 4]} : tensor<3x4xf32>
        """,
        """
        %y = nn.rearrange(%x) {perm = [0, 1, 2], shape = [3, 4]} : tensor<3x4xf32>
        """,
    ),
    (
        layout.DropIdentity(),
        """
        input "x" %x : tensor<2x3x4xf32>
        %t = nn.rearrange(%x) {perm = [0, 1, 2], shape = [2, 3, 4]} : tensor<2x3x4xf32>
        %y = nn.relu(%t) : tensor<2x3x4xf32>
        """,
        """
        %y = nn.relu(%x) : tensor<2x3x4xf32>
        """,
    ),
    (
        layout.PermutationIntoGemm(),
        """
        input "x" %x : tensor<2x1x2xf32>
        %t = nn.rearrange(%x) {perm = [1, 2, 0], shape = [4]} : tensor<4xf32>
        %y = nn.gemm(%t) {weight = @m} : tensor<2xf32>
        """,
        """
        %t = nn.rearrange(%x) {perm = [1, 2, 0], shape = [4]} : tensor<4xf32>
        %t.before = nn.rearrange(%x) {perm = [0, 1, 2], shape = [4]} : tensor<4xf32>
        %y = nn.gemm(%t.before) {weight = @m.permuted} : tensor<2xf32>
        """,
    ),
    (
        sinking.SinkThroughElements(),
        """
        input "x" %x : tensor<2x3x4xf32>
        %t = nn.rearrange(%x) {perm = [0, 2, 1], shape = [2, 4, 3]} : tensor<2x4x3xf32>
        %y = nn.multiply(%t, %t) : tensor<2x4x3xf32>
        """,
        """
        %t = nn.rearrange(%x) {perm = [0, 2, 1], shape = [2, 4, 3]} : tensor<2x4x3xf32>
        %y.before = nn.multiply(%x, %x) : tensor<2x3x4xf32>
        %y = nn.rearrange(%y.before) {perm = [0, 2, 1], shape = [2, 4, 3]} : tensor<2x4x3xf32>
        """,
    ),
    (
        sinking.SinkThroughChannels(),
        """
        input "x" %x : tensor<2x3x4xf32>
        %t = nn.rearrange(%x) {perm = [0, 2, 1], shape = [2, 4, 3]} : tensor<2x4x3xf32>
        %y = nn.affine(%t) {scale = @two} : tensor<2x4x3xf32>
        """,
        """
        %t = nn.rearrange(%x) {perm = [0, 2, 1], shape = [2, 4, 3]} : tensor<2x4x3xf32>
        %y.before = nn.affine(%x) {scale = @two} : tensor<2x3x4xf32>
        %y = nn.rearrange(%y.before) {perm = [0, 2, 1], shape = [2, 4, 3]} : tensor<2x4x3xf32>
        """,
    ),
    (
        sinking.SinkThroughActivation(),
        """
        input "x" %x : tensor<2x3x4xf32>
        %t = nn.rearrange(%x) {perm = [0, 2, 1], shape = [2, 4, 3]} : tensor<2x4x3xf32>
        %y = nn.activation(%t) {function = "leaky_relu", alphas = @two} : tensor<2x4x3xf32>
        """,
        """
        %t = nn.rearrange(%x) {perm = [0, 2, 1], shape = [2, 4, 3]} : tensor<2x4x3xf32>
        %y.before = nn.activation(%x) {function = "leaky_relu", alphas = @two} : tensor<2x3x4xf32>
        %y = nn.rearrange(%y.before) {perm = [0, 2, 1], shape = [2, 4, 3]} : tensor<2x4x3xf32>
        """,
    ),
    (
        sinking.SinkThroughPool(),
        """
        input "x" %x : tensor<2x3x4xf32>
        %t = nn.rearrange(%x) {perm = [0, 2, 1], shape = [2, 4, 3]} : tensor<2x4x3xf32>
        %y = nn.max_pool(%t) {kernel = [2, 1], pads = [1, 0, 0, 0]} : tensor<2x4x3xf32>
        """,
        """
        %t = nn.rearrange(%x) {perm = [0, 2, 1], shape = [2, 4, 3]} : tensor<2x4x3xf32>
        %y.before = nn.max_pool(%x) {kernel = [1, 2], pads = [0, 1, 0, 0]} : tensor<2x3x4xf32>
        %y = nn.rearrange(%y.before) {perm = [0, 2, 1], shape = [2, 4, 3]} : tensor<2x4x3xf32>
        """,
    ),
    (
        sinking.SinkThroughPointwise(),
        """
        input "x" %x : tensor<2x3x4xf32>
        %t = nn.rearrange(%x) {perm = [0, 2, 1], shape = [2, 1, 12]} : tensor<2x1x12xf32>
        %y = nn.conv(%t) {weight = @p, bias = @three} : tensor<3x1x12xf32>
        """,
        """
        %t = nn.rearrange(%x) {perm = [0, 2, 1], shape = [2, 1, 12]} : tensor<2x1x12xf32>
        %y.before = nn.conv(%x) {weight = @p, bias = @three} : tensor<3x3x4xf32>
        %y = nn.rearrange(%y.before) {perm = [0, 2, 1], shape = [3, 1, 12]} : tensor<3x1x12xf32>
        """,
    ),
    (
        sinking.SinkThroughConcat(),
        """
        input "x" %x : tensor<2x3x4xf32>
        %t = nn.rearrange(%x) {perm = [0, 2, 1], shape = [2, 4, 3]} : tensor<2x4x3xf32>
        %y = nn.concat(%t, %t) {axis = 2} : tensor<2x4x6xf32>
        """,
        """
        %t = nn.rearrange(%x) {perm = [0, 2, 1], shape = [2, 4, 3]} : tensor<2x4x3xf32>
        %y.before = nn.concat(%x, %x) {axis = 1} : tensor<2x6x4xf32>
        %y = nn.rearrange(%y.before) {perm = [0, 2, 1], shape = [2, 4, 6]} : tensor<2x4x6xf32>
        """,
    ),
    (
        sinking.SinkThroughSelect(),
        """
        input "x" %x : tensor<2x3x4xf32>
        %t = nn.rearrange(%x) {perm = [0, 2, 1], shape = [2, 4, 3]} : tensor<2x4x3xf32>
        %y = nn.select(%t) {channels = [[1, 2, -1]], columns = [[0, 3, 1]]} : tensor<2x4x3xf32>
        """,
        """
        %t = nn.rearrange(%x) {perm = [0, 2, 1], shape = [2, 4, 3]} : tensor<2x4x3xf32>
        %y.before = nn.select(%x) {channels = [[1, 2, -1]], rows = [[0, 3, 1]]} : tensor<2x3x4xf32>
        %y = nn.rearrange(%y.before) {perm = [0, 2, 1], shape = [2, 4, 3]} : tensor<2x4x3xf32>
        """,
    ),
    (
        sinking.SinkThroughPad(),
        """
        input "x" %x : tensor<2x3x4xf32>
        %t = nn.rearrange(%x) {perm = [0, 2, 1], shape = [2, 4, 3]} : tensor<2x4x3xf32>
        %y = nn.pad(%t) {channels = [1, 0], pads = [1, 0, 0, 2]} : tensor<3x5x5xf32>
        """,
        """
        %t = nn.rearrange(%x) {perm = [0, 2, 1], shape = [2, 4, 3]} : tensor<2x4x3xf32>
        %y.before = nn.pad(%x) {channels = [1, 0], pads = [0, 1, 2, 0]} : tensor<3x5x5xf32>
        %y = nn.rearrange(%y.before) {perm = [0, 2, 1], shape = [3, 5, 5]} : tensor<3x5x5xf32>
        """,
    ),
    (
        epitomize.LayerIntoEpitome({"y": ((2, 3, 3, 3), identity((2, 3, 3, 3)))}),
        """
        input "x" %x : tensor<3x6x5xf32>
        %y = nn.conv(%x) {weight = @w, bias = @two, strides = [2, 1]} : tensor<2x2x3xf32> loc(Conv \
"c")
        """,
        """
        %y = epi.conv(%x) {epitome = @w.epitome, bias = @two, shape = [2, 3, 3, 3], \
plan = [[0, 2, 0, 3, 0, 0, 0, 0]], strides = [2, 1]} : tensor<2x2x3xf32> loc(Conv "c")
        """,
    ),
    (
        equalize.ScaleLayer({"y": SCALED}),
        """
        input "x" %x : tensor<4xf32>
        %y = nn.gemm(%x) {weight = @m} : tensor<2xf32>
        """,
        """
        %y = nn.gemm(%x) {weight = @m.equalized} : tensor<2xf32>
        """,
    ),
]

STAYS: list[tuple[Pattern[Any], str, str]] = [
    (
        fold.PadIntoConv(),
        "channels are padded, too",
        """
        input "x" %x : tensor<3x6x5xf32>
        %a = nn.pad(%x) {channels = [0, 1]} : tensor<4x6x5xf32>
        %b = nn.select(%a) {channels = [[0, 3, 1]]} : tensor<3x6x5xf32>
        %y = nn.conv(%b) {weight = @w} : tensor<2x4x3xf32>
        """,
    ),
    (
        fold.PadIntoMaxPool(),
        "something may be below 0",
        """
        input "x" %x : tensor<3x6x5xf32>
        %a = nn.add(%x, %x) : tensor<3x6x5xf32>
        %p = nn.pad(%a) {pads = [1, 0, 2, 1]} : tensor<3x9x6xf32>
        %y = nn.max_pool(%p) {kernel = [3, 2]} : tensor<3x7x5xf32>
        """,
    ),
    (
        fold.PadIntoMaxPool(),
        "a window of nothing but padding",
        """
        input "x" %x : tensor<3x6x5xf32>
        %a = nn.relu(%x) : tensor<3x6x5xf32>
        %p = nn.pad(%a) {pads = [1, 0, 2, 1]} : tensor<3x9x6xf32>
        %y = nn.max_pool(%p) {kernel = [2, 2]} : tensor<3x8x5xf32>
        """,
    ),
    (
        fold.PadIntoAveragePool(),
        "the pad counts, the pool's padding does not",
        """
        input "x" %x : tensor<3x6x5xf32>
        %a = nn.pad(%x) {pads = [1, 0, 2, 1]} : tensor<3x9x6xf32>
        %y = nn.average_pool(%a) {kernel = [3, 2], counted = [0, 0, 0, 0]} : tensor<3x7x5xf32>
        """,
    ),
    (
        fold.AffineIntoWeights(),
        "somebody else reads what comes between",
        """
        input "x" %x : tensor<3x6x5xf32>
        %a = nn.conv(%x) {weight = @w} : tensor<2x4x3xf32>
        %b = nn.affine(%a) {scale = @two} : tensor<2x4x3xf32>
        %y = nn.add(%a, %b) : tensor<2x4x3xf32>
        """,
    ),
    (
        rising.RiseToLayers(),
        "channels come one behind the other",
        """
        input "x" %x : tensor<3x6x5xf32>
        %a = nn.conv(%x) {weight = @w} : tensor<2x4x3xf32>
        %b = nn.conv(%x) {weight = @w} : tensor<2x4x3xf32>
        %c = nn.concat(%a, %b) : tensor<4x4x3xf32>
        %y = nn.relu(%c) : tensor<4x4x3xf32>
        """,
    ),
    (
        rising.RiseToLayers(),
        "somebody else reads a layer",
        """
        input "x" %x : tensor<3x6x5xf32>
        %a = nn.conv(%x) {weight = @w} : tensor<2x4x3xf32>
        %b = nn.conv(%x) {weight = @w} : tensor<2x4x3xf32>
        %c = nn.concat(%a, %b) {axis = 2} : tensor<2x4x6xf32>
        %d = nn.concat(%c, %a) {axis = 2} : tensor<2x4x9xf32>
        %y = nn.relu(%d) : tensor<2x4x9xf32>
        """,
    ),
    (
        rising.RiseToLayers(),
        "no layer makes a part",
        """
        input "x" %x : tensor<3x6x5xf32>
        %a = nn.conv(%x) {weight = @w} : tensor<2x4x3xf32>
        %b = nn.max_pool(%a) {kernel = [1, 1]} : tensor<2x4x3xf32>
        %c = nn.conv(%x) {weight = @w} : tensor<2x4x3xf32>
        %d = nn.concat(%b, %c) {axis = 1} : tensor<2x8x3xf32>
        %y = nn.relu(%d) : tensor<2x8x3xf32>
        """,
    ),
    (
        rising.RiseToLayers(),
        "nothing is joined",
        """
        input "x" %x : tensor<3x6x5xf32>
        %a = nn.conv(%x) {weight = @w} : tensor<2x4x3xf32>
        %b = nn.select(%a) {rows = [[0, 3, 1]]} : tensor<2x3x3xf32>
        %y = nn.relu(%b) : tensor<2x3x3xf32>
        """,
    ),
    (
        rising.RiseToLayers(),
        "channels move",
        """
        input "x" %x : tensor<3x6x5xf32>
        %a = nn.conv(%x) {weight = @w} : tensor<2x4x3xf32>
        %b = nn.conv(%x) {weight = @w} : tensor<2x4x3xf32>
        %c = nn.concat(%a, %b) {axis = 2} : tensor<2x4x6xf32>
        %d = nn.rearrange(%c) {perm = [1, 0, 2], shape = [4, 2, 6]} : tensor<4x2x6xf32>
        %y = nn.relu(%d) : tensor<4x2x6xf32>
        """,
    ),
    (
        layout.MergeRearrangements(),
        "no permutation and cut does both",
        """
        input "x" %x : tensor<2x3x4xf32>
        %t = nn.rearrange(%x) {perm = [0, 2, 1], shape = [4, 6]} : tensor<4x6xf32>
        %y = nn.rearrange(%t) {perm = [1, 0], shape = [6, 4]} : tensor<6x4xf32>
        """,
    ),
    (
        layout.SimplifyRearrangement(),
        "it is simple",
        """
        input "x" %x : tensor<2x3x4xf32>
        %t = nn.rearrange(%x) {perm = [1, 2, 0], shape = [3, 4, 2]} : tensor<3x4x2xf32>
        %y = nn.relu(%t) : tensor<3x4x2xf32>
        """,
    ),
    (
        layout.DropIdentity(),
        "the output would be an input",
        """
        input "x" %x : tensor<2x3x4xf32>
        %y = nn.rearrange(%x) {perm = [0, 1, 2], shape = [2, 3, 4]} : tensor<2x3x4xf32>
        """,
    ),
    (
        layout.PermutationIntoGemm(),
        "somebody else reads what is permuted",
        """
        input "x" %x : tensor<2x1x2xf32>
        %t = nn.rearrange(%x) {perm = [1, 2, 0], shape = [4]} : tensor<4xf32>
        %y = nn.gemm(%t) {weight = @m} : tensor<2xf32>
        %r = nn.relu(%t) : tensor<4xf32>
        output "r" = %r
        """,
    ),
    (
        sinking.SinkThroughElements(),
        "one operand is not rearranged",
        """
        input "x" %x : tensor<2x3x4xf32>
        input "g" %g : tensor<2x4x3xf32>
        %t = nn.rearrange(%x) {perm = [0, 2, 1], shape = [2, 4, 3]} : tensor<2x4x3xf32>
        %y = nn.add(%t, %g) : tensor<2x4x3xf32>
        """,
    ),
    (
        sinking.SinkThroughChannels(),
        "channels move",
        """
        input "x" %x : tensor<2x3x4xf32>
        %t = nn.rearrange(%x) {perm = [1, 2, 0], shape = [3, 4, 2]} : tensor<3x4x2xf32>
        %y = nn.affine(%t) {scale = @three} : tensor<3x4x2xf32>
        """,
    ),
    (
        sinking.SinkThroughActivation(),
        "channels move, and each has its parameter",
        """
        input "x" %x : tensor<2x3x4xf32>
        %t = nn.rearrange(%x) {perm = [1, 2, 0], shape = [3, 4, 2]} : tensor<3x4x2xf32>
        %y = nn.activation(%t) {function = "leaky_relu", alphas = @three} : tensor<3x4x2xf32>
        """,
    ),
    (
        sinking.SinkThroughPool(),
        "channels move",
        """
        input "x" %x : tensor<2x3x4xf32>
        %t = nn.rearrange(%x) {perm = [1, 2, 0], shape = [3, 4, 2]} : tensor<3x4x2xf32>
        %y = nn.max_pool(%t) {kernel = [2, 2]} : tensor<3x3x1xf32>
        """,
    ),
    (
        sinking.SinkThroughPointwise(),
        "channels move",
        """
        input "x" %x : tensor<3x2x4xf32>
        %t = nn.rearrange(%x) {perm = [1, 0, 2], shape = [2, 3, 4]} : tensor<2x3x4xf32>
        %y = nn.conv(%t) {weight = @p} : tensor<3x3x4xf32>
        """,
    ),
    (
        sinking.SinkThroughPointwise(),
        "a window of several positions",
        """
        input "x" %x : tensor<3x4x5xf32>
        %t = nn.rearrange(%x) {perm = [0, 2, 1], shape = [3, 5, 4]} : tensor<3x5x4xf32>
        %y = nn.conv(%t) {weight = @w, pads = [1, 1, 1, 1]} : tensor<2x5x4xf32>
        """,
    ),
    (
        sinking.SinkThroughPointwise(),
        "some positions only",
        """
        input "x" %x : tensor<2x3x4xf32>
        %t = nn.rearrange(%x) {perm = [0, 2, 1], shape = [2, 4, 3]} : tensor<2x4x3xf32>
        %y = nn.conv(%t) {weight = @p, strides = [2, 1]} : tensor<3x2x3xf32>
        """,
    ),
    (
        sinking.SinkThroughPointwise(),
        "a matrix is no map",
        """
        input "x" %x : tensor<2x12xf32>
        %t = nn.rearrange(%x) {perm = [0, 1], shape = [2, 3, 4]} : tensor<2x3x4xf32>
        %y = nn.conv(%t) {weight = @p} : tensor<3x3x4xf32>
        """,
    ),
    (
        sinking.SinkThroughConcat(),
        "the operands are permuted in different ways",
        """
        input "x" %x : tensor<2x3x4xf32>
        %t = nn.rearrange(%x) {perm = [1, 2, 0], shape = [3, 4, 2]} : tensor<3x4x2xf32>
        %s = nn.rearrange(%x) {perm = [1, 0, 2], shape = [3, 2, 4]} : tensor<3x2x4xf32>
        %y = nn.rearrange(%s) {perm = [0, 2, 1], shape = [3, 4, 2]} : tensor<3x4x2xf32>
        %z = nn.concat(%t, %y) : tensor<6x4x2xf32>
        output "z" = %z
        """,
    ),
    (
        sinking.SinkThroughSelect(),
        "it is cut anew",
        """
        input "x" %x : tensor<2x3x4xf32>
        %t = nn.rearrange(%x) {perm = [0, 1, 2], shape = [6, 4]} : tensor<6x4xf32>
        %y = nn.select(%t) {channels = [[0, 2, 1]]} : tensor<2x4xf32>
        """,
    ),
    (
        sinking.SinkThroughPad(),
        "it is cut anew",
        """
        input "x" %x : tensor<2x3x4xf32>
        %t = nn.rearrange(%x) {perm = [0, 1, 2], shape = [4, 3, 2]} : tensor<4x3x2xf32>
        %y = nn.pad(%t) {pads = [1, 0, 0, 0]} : tensor<4x4x2xf32>
        """,
    ),
    (
        equalize.ScaleLayer({"z": SCALED}),
        "another layer is scaled",
        """
        input "x" %x : tensor<4xf32>
        %y = nn.gemm(%x) {weight = @m} : tensor<2xf32>
        """,
    ),
]


# As in the passes that have these patterns.
SETTINGS: dict[type[Pattern[Any]], dict[str, Any]] = {
    rising.RiseToLayers: {"disposable": rising.MOVED},
    epitomize.LayerIntoEpitome: {"level": EPI},
    # A layer stays a layer, however it is scaled.
    equalize.ScaleLayer: {"once": True},
}


def parsed(body: str) -> Module:
    """The module with one more output, %y."""
    return parse_module(f'{HEAD}{body}\noutput "y" = %y\n}}\n')


def lines(module: Module) -> list[str]:
    """The ops of a module as text."""
    every = (line.strip() for line in print_module(module).splitlines())
    return [line for line in every if line.startswith("%")]


def after(pattern: Pattern[Any], module: Module) -> tuple[Module, list[str]]:
    """A module after one pattern, and the results of the ops that it replaced."""
    replaced: list[str] = []

    def observe(applied: Pattern[Any], op: Op) -> None:
        assert applied is pattern
        replaced.append(op.output.name)

    result = rewritten(module, [pattern], observer=observe, **SETTINGS.get(type(pattern), {}))
    verify(result)
    return result, replaced


def patterns() -> Iterator[type[Pattern[Any]]]:
    """The patterns of all passes."""
    names = [info.name for info in iter_modules(epimc.ir.passes.__path__, "epimc.ir.passes.")]
    for name in [*names, equalize.__name__]:
        for kind in vars(import_module(name)).values():
            concrete = isinstance(kind, type) and not inspect.isabstract(kind)
            if concrete and issubclass(kind, Pattern) and kind.__module__ == name:
                yield kind


@pytest.mark.parametrize(
    ("pattern", "before", "expected"), APPLIES, ids=[pattern.name for pattern, *_ in APPLIES]
)
def test_it_applies(pattern: Pattern[Any], before: str, expected: str) -> None:
    module = parsed(before)
    result, replaced = after(pattern, module)
    assert lines(result) == [line.strip() for line in expected.strip().splitlines()]
    assert len(replaced) == 1
    if not isinstance(pattern, equalize.ScaleLayer):
        assert_same(module, result)


def assert_same(module: Module, result: Module) -> None:
    """Both compute the same from the same samples."""
    random = np.random.default_rng(0)
    x = {name: random.standard_normal((2, *value.type.shape)) for name, value in module.inputs}
    expected, computed = (interpret(each, x) for each in (module, result))
    assert expected.keys() == computed.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(computed[name], array, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("pattern", "body"),
    [(pattern, body) for pattern, _, body in STAYS],
    ids=[f"{pattern.name}: {why}" for pattern, why, _ in STAYS],
)
def test_it_stays(pattern: Pattern[Any], body: str) -> None:
    module = parsed(body)
    result, replaced = after(pattern, module)
    assert lines(result) == lines(module)
    assert replaced == []


def test_every_pattern_is_tested_alone() -> None:
    kinds = list(patterns())
    assert len(kinds) >= 19
    assert {pattern.__class__ for pattern, *_ in APPLIES} == set(kinds)
    assert len({kind.name for kind in kinds}) == len(kinds)


def test_tensors_that_are_scaled() -> None:
    module = parsed(
        'input "x" %x : tensor<4xf32>\n%y = nn.gemm(%x) {weight = @m} : tensor<2xf32>\n'
    )
    result, _ = after(equalize.ScaleLayer({"y": SCALED}), module)
    assert (result.tensors["m.equalized"].array == 1).all()
