"""Functions by class of op: how a pass, an export or an interpreter is told of each op."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Concatenate, Generic, ParamSpec, TypeVar

from epimc.ir.core.op import Op
from epimc.support.diagnostics import error

P = ParamSpec("P")
R = TypeVar("R")
O = TypeVar("O", bound=Op)  # noqa: E741


class OpTable(Generic[P, R]):
    """A function for each class of op.

        float_form: OpTable[[Graph], None] = OpTable("float form in ONNX")

        @float_form(nn.Relu)
        def relu(op: nn.Relu, graph: Graph) -> None: ...

        float_form.apply(op, graph)

    A function may be registered for a trait, or for `Op` itself: it serves the ops whose class has
    none of its own, nearer bases before others.
    """

    def __init__(self, what: str) -> None:
        """Start an empty table.

        Args:
            what: What each op has there, in errors: `integer form`.
        """
        self.what = what
        self._functions: dict[type[Op], Callable[..., R]] = {}

    def __call__(
        self, kind: type[O]
    ) -> Callable[[Callable[Concatenate[O, P], R]], Callable[Concatenate[O, P], R]]:
        """Decorate the function of a class of ops, or of a trait.

        Raises:
            ValueError: It has one already.
        """

        def register(function: Callable[Concatenate[O, P], R]) -> Callable[Concatenate[O, P], R]:
            if kind in self._functions:
                raise ValueError(f"{kind.__name__} has a second {self.what}")
            self._functions[kind] = function
            return function

        return register

    def forget(self, kind: type[Op]) -> None:
        """Take the function of a class away, as if it had never been registered."""
        del self._functions[kind]

    def covers(self, kind: type[Op]) -> bool:
        """Whether there is a function for ops of this class."""
        return next(self._fitting(kind), None) is not None

    def apply(self, op: Op, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the op's function.

        Raises:
            EpimcError: There is none; it names the op.
        """
        function = next(self._fitting(type(op)), None)
        if function is None:
            raise error(
                f"Op {op.name} has no {self.what}.",
                where=op.span or str(op.location),
                hint=f"Register one for the class {type(op).__name__}.",
            )
        return function(op, *args, **kwargs)

    def _fitting(self, kind: type[Op]) -> Iterator[Callable[..., R]]:
        """The functions of the class and of its bases, nearest first."""
        return (self._functions[base] for base in kind.__mro__ if base in self._functions)
