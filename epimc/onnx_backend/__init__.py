"""epimc as a backend of ONNX: models run through the standard's interface, on the simulator."""

from epimc.onnx_backend.backend import EpimcBackend

__all__ = ["EpimcBackend"]
