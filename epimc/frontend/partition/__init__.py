"""The split of a graph into what the chip computes and what the host does; knows nothing of ONNX."""

from epimc.frontend.partition.graph import Graph, Node, Partition, Tensor

__all__ = ["Graph", "Node", "Partition", "Tensor", "partition"]


def partition(graph: Graph) -> Partition:
    chip = {k for k, n in enumerate(graph.nodes) if n.on_chip}
    preds = {k: set() for k in range(len(graph.nodes))}
    for a, b in graph.edges():
        preds[b].add(a)
    changed = True
    while changed:
        changed = False
        for t in graph.tensors:
            if t.producer is not None and t.producer not in chip and not t.enters:
                for r in t.readers:
                    if r in chip:
                        chip.discard(r)
                        changed = True
    level = {}
    for k in range(len(graph.nodes)):
        host = k not in chip
        level[k] = max((level[p] + (1 if (p in chip) and host else 0) for p in preds[k]), default=0)
    # host nodes of level L form a part; chip nodes at level L come after part L
    top = max(level.values(), default=0)
    order = []
    parts = []
    for l in range(top + 1):
        part = tuple(k for k in range(len(graph.nodes)) if k not in chip and level[k] == l)
        if part:
            parts.append(part)
        order += part
        order += [k for k in range(len(graph.nodes)) if k in chip and level[k] == l]
    return Partition(frozenset(chip), tuple(parts), tuple(order), 0, 0)
