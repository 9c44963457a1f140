"""The metric in which rounding loses, and what it is a product of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular

Doubles = NDArray[np.float64]
Places = NDArray[np.intp]


@dataclass(frozen=True)
class Metric:
    """H of each group of a layer's inputs, symmetric and positive definite.

    Attributes:
        matrix: H, [groups, K, K].
        order: In which inputs are rounded, [groups, K]: those first that vary most, as the others
            can make up for them.
        upper: The upper triangle R of H = R R^T, of inputs in their order, [groups, K, K].
    """

    matrix: Doubles
    order: Places
    upper: Doubles

    @staticmethod
    def of(matrix: Doubles) -> Metric:
        """That of a matrix [groups, K, K].

        Raises:
            numpy.linalg.LinAlgError: The matrix is not positive definite.
        """
        orders = np.argsort(-np.diagonal(matrix, axis1=1, axis2=2), axis=1, kind="stable")
        turned = np.empty_like(matrix)
        for own, order, result in zip(matrix, orders, turned, strict=True):
            # The usual factor, which is a lower triangle, of the matrix from its end on.
            back = order[::-1]
            # As columns, which LAPACK works on; of a symmetric matrix they are its rows.
            columns = own[np.ix_(back, back)].T
            lower = cholesky(columns, lower=True, overwrite_a=True, check_finite=False)
            result[...] = lower.T[::-1, ::-1]
        return Metric(matrix, orders, turned.transpose(0, 2, 1))

    def solve(self, right: Doubles) -> Doubles:
        """X of X H = right, [groups, outputs, K]."""
        result = np.empty_like(right)
        for group, (order, upper) in enumerate(zip(self.order, self.upper, strict=True)):
            ordered = right[group][:, order].T
            half = solve_triangular(upper, ordered, overwrite_b=True, check_finite=False)
            whole = solve_triangular(upper, half, trans="T", overwrite_b=True, check_finite=False)
            result[group][:, order] = whole.T
        return result
