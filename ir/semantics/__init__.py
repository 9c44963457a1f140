"""What numbers mean: integers, functions, and what moves where.  It imports nothing of the IR.

The integer semantics is one definition of every number after `quantize`: `quantization`,
`requantization`, `convolution`, `windows`, `elementwise`, `joins`, `cells`.  The IR interpreter,
the simulator and the checks of the program all call these functions, and the ONNX export restates
them in onnxruntime's operators; tests hold the two against each other bit for bit.

Conventions: activations are unsigned integers q of `bits` bits with a zero point z, the real
value being (q - z) * scale.  Weights are signed and symmetric.  Accumulators are int64 and exact.
Arrays carry the samples of a batch on axis 0.  numpy only.
"""
