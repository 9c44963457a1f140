"""The forms that computations have in the integer reference: constants and nodes, as data.

A form is used twice.  The exporter writes it with the numbers of an op of the IR; the proof claims
it with the numbers of a table of the program.  So the reference equals the program's claims, to
the last node and number, exactly where the numbers of both are equal.  That a form computes what
it should is seen elsewhere: onnxruntime runs it beside the interpreter and the simulator.

Every operator is one that onnxruntime's CPU kernels compute without saturation or rounding of
their own: ConvInteger (u8 x s8 and u8 x u8, padding with the zero point), int64 arithmetic, MaxPool
on u8 and on float32.  A matmul is a 1x1 ConvInteger, since MatMulInteger saturates for u8 x s8.
Every value is a map [N, C, H, W], whatever dims the user's tensor has: only at the borders it is
cut as the user has it.  Activations of up to 8 bits are uint8, wider ones uint16, for which few
operators have kernels: they are computed byte by byte, or in a type that holds them.
"""

from epimc.backends.forms.borders import (
    HOST,
    HostValue,
    activation,
    copied,
    dequantized_output,
    entering,
    host_output,
    leaving,
    quantized_input,
    shaped_operand,
)
from epimc.backends.forms.claims import (
    PORT,
    Activation,
    Claim,
    Constant,
    Node,
    Tensor,
    Term,
    constant,
    element_of,
    scale_of,
    window_attributes,
    zero_point_of,
)
from epimc.backends.forms.moves import (
    concatenation,
    fixed,
    look_up,
    maximum,
    padding,
    rearrangement,
    selection,
)
from epimc.backends.forms.rounding import Rescaling, requantization
from epimc.backends.forms.sums import convolution, is_one_sum, product, sums

__all__ = [
    "HOST",
    "PORT",
    "Activation",
    "Claim",
    "Constant",
    "HostValue",
    "Node",
    "Rescaling",
    "Tensor",
    "Term",
    "activation",
    "concatenation",
    "constant",
    "convolution",
    "copied",
    "dequantized_output",
    "element_of",
    "entering",
    "fixed",
    "host_output",
    "is_one_sum",
    "leaving",
    "look_up",
    "maximum",
    "padding",
    "product",
    "quantized_input",
    "rearrangement",
    "requantization",
    "scale_of",
    "selection",
    "shaped_operand",
    "sums",
    "window_attributes",
    "zero_point_of",
]
