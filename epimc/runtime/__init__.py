"""What runs models and programs: onnxruntime, the host, sessions."""
