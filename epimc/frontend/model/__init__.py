"""The model as a file and as ONNX: read, checked against the standard, nothing of it imported."""
