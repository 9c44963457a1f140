"""The split of a graph into what chip and host compute; knows nothing of ONNX."""

from epimc.frontend.partition.graph import Graph, Node, Partition, Tensor
from epimc.frontend.partition.parts import partition

__all__ = ["Graph", "Node", "Partition", "Tensor", "partition"]
