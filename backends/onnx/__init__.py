"""The ONNX exporter: integer semantics restated in onnxruntime's operators."""
