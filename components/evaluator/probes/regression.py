"""Logistic regressions on the same features, trained together: with several strengths, or on several sets of rows."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy import linalg

from components.evaluator.probes import lbfgs

TOLERANCE = 1e-4
MAX_ITERATIONS = 500
# Up to this size, factors are inverted: products with them take the place of thousands of small systems, in which the
# threads of SciPy's library wait for those of NumPy's. A large system takes half the arithmetic of a product.
_MOST_INVERTED = 1024
_RIDGE = 1e-5  # Share of the mean of a matrix' diagonal that is added to it, so that float32 can factor it.
_CELLS = 2**20  # Logits that are held at a time: 4 MB stay in the caches.
_LARGEST_LOGIT = 60.0  # exp(-60) is far below float32's rounding; exp(-90) is subnormal, with which products take ages.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Regressions:
    """Trained regressions.

    Attributes:
        weights: float32 (problems, classes, dim), for features as they are, not standardized.
        biases: float32 (problems, classes).
        iterations: int (problems,), iterations of the training.
        converged: bool (problems,).
    """

    weights: np.ndarray
    biases: np.ndarray
    iterations: np.ndarray
    converged: np.ndarray

    def logits(self, x: np.ndarray, *, problem: int) -> np.ndarray:
        """Returns the logits of features (rows, dim), float32 (rows, classes)."""
        return x @ self.weights[problem].T + self.biases[problem]


def fit(
    x: np.ndarray,
    targets: np.ndarray,
    *,
    in_training: np.ndarray,
    strengths: Sequence[float],
    kind: Literal["softmax", "sigmoid"],
    standardize: bool = True,
    tolerance: float = TOLERANCE,
    max_iterations: int = MAX_ITERATIONS,
) -> Regressions:
    """Trains regressions with an L2 penalty on the weights and none on the biases.

    Each minimizes what scikit-learn's LogisticRegression does: the mean loss of its rows, plus
    |weights|^2 / (2 C rows). The loss is the cross-entropy of the softmax, or the sum over the classes of that of the
    sigmoids. All are evaluated by one matrix product.

    Embeddings are so correlated that a search takes thousands of iterations. In coordinates in which the features are
    not, see `_factor`, it takes tens.

    Args:
        x: float32 (rows, dim).
        targets: bool (rows, classes); exactly one True in each row for the softmax.
        in_training: bool (problems, rows), the rows that each problem trains on.
        strengths: The inverse strength C of each problem's penalty.
        kind: The loss.
        standardize: Whether to scale the features to unit variance in the rows of each problem. A feature that is
            constant in them is not used then, whatever it is in other rows.
        tolerance: The search ends when the objective is within about half of this of its minimum.
        max_iterations: Iterations after which to give up.
    """
    center = x.mean(axis=0, dtype=np.float64).astype(np.float32)  # Only for precision: the biases have no penalty.
    augmented = np.empty((len(x), x.shape[1] + 1), np.float32)
    np.subtract(x, center, out=augmented[:, :-1])
    augmented[:, -1] = 1.0
    counts = in_training.sum(axis=1)
    penalties = 1.0 / (np.asarray(strengths, np.float64) * counts)
    means, scales, factors = _condition(augmented, targets, in_training, penalties, standardize=standardize)
    objective = _Objective(
        x=augmented,
        targets=targets,
        shares=(in_training / counts[:, None]).astype(np.float32),
        means=means,
        scales=scales,
        factors=factors,
        penalties=penalties,
        is_softmax=kind == "softmax",
    )
    start = np.zeros((len(counts), targets.shape[1] * augmented.shape[1]), np.float32)
    found = lbfgs.minimize(objective, start, tolerance=tolerance, max_iterations=max_iterations)
    numbers = np.arange(len(counts))
    weights = objective.for_features(objective.weights(found.points, numbers), numbers)
    return Regressions(
        weights=weights[..., :-1],
        biases=weights[..., -1] - weights[..., :-1] @ center,
        iterations=found.iterations,
        converged=found.converged,
    )


def _condition(
    x: np.ndarray, targets: np.ndarray, in_training: np.ndarray, penalties: np.ndarray, *, standardize: bool
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Returns what brings the features of each problem into its coordinates.

    Returns:
        The means of its rows and the scales, float32 (problems, dim + 1), and its factor, see `_factor`. The last mean
        is 0, and the last scale 1: they are those of the bias.
    """
    means = np.zeros((len(in_training), x.shape[1]), np.float32)
    scales = np.ones_like(means)
    factors: list[np.ndarray] = []
    different, which = np.unique(in_training, axis=0, return_inverse=True)
    of_groups: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    for problem, group in enumerate(which.ravel().tolist()):
        if group not in of_groups:
            of_groups[group] = _moments(x[different[group]])
        means[problem], moment = of_groups[group]
        if standardize:
            variance = moment.diagonal()[:-1]
            scales[problem, :-1] = 0.0
            np.divide(1.0, np.sqrt(variance), out=scales[problem, :-1], where=variance > 0)
        shares = targets[in_training[problem]].mean(axis=0)
        curvature = float(np.mean(shares * (1.0 - shares)))  # That of the loss at the start, by the logits.
        factors.append(_factor(moment * np.outer(scales[problem], scales[problem]), curvature, penalties[problem]))
    return means, scales, factors


def _moments(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the means of the features, (dim + 1,), and the covariances, (dim + 1, dim + 1). The rows are overwritten.

    The variance of a feature that has one value in all rows is exactly 0. As the difference of a mean square and a
    squared mean it would be a rounding error, and the scale made of it a very large one.
    """
    means = rows.mean(axis=0, dtype=np.float64).astype(np.float32)
    means[-1] = 0.0
    rows -= means
    return means, rows.T @ rows / np.float32(len(rows))


def _factor(moment: np.ndarray, curvature: float, penalty: float) -> np.ndarray:
    """Returns the lower triangular L of curvature * moment + penalty = L L^T, which is about the Hessian at the start.

    Weights are searched for as L^T weights: in these coordinates the curvature is about 1 in every direction. Of a
    matrix of up to `_MOST_INVERTED` rows, the inverse of L is returned.
    """
    hessian = moment * np.float32(curvature)
    hessian[np.diag_indices_from(hessian)] += np.float32(penalty + _RIDGE * hessian.diagonal().mean())
    factor = linalg.cholesky(hessian, lower=True, overwrite_a=True, check_finite=False)
    return linalg.lapack.strtri(factor, lower=1, overwrite_c=1)[0] if len(factor) <= _MOST_INVERTED else factor


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Objective:
    """What the regressions minimize, see `lbfgs.Function`.

    Attributes:
        x: float32 (rows, dim + 1); the last column is 1.
        targets: bool (rows, classes).
        shares: float32 (problems, rows), the weight of each row's loss; the sum over the rows is 1.
        means: float32 (problems, dim + 1), what is subtracted from the features of each problem; 0 at last.
        scales: float32 (problems, dim + 1), what they are multiplied by then.
        factors: float32 (dim + 1, dim + 1) of each problem, see `_factor`.
        penalties: float64 (problems,), the factor of half the squared weights.
        is_softmax: Whether the classes exclude one another.
    """

    x: np.ndarray
    targets: np.ndarray
    shares: np.ndarray
    means: np.ndarray
    scales: np.ndarray
    factors: Sequence[np.ndarray]
    penalties: np.ndarray
    is_softmax: bool

    def weights(self, points: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """Returns the weights for centered and scaled features, (problems, classes, dim + 1)."""
        return self._solved(points, numbers, transposed=True)

    def for_features(self, weights: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """Returns the weights for the features as they are in `x`, of those for centered and scaled ones."""
        scaled = weights * self.scales[numbers, None]
        scaled[..., -1] -= np.einsum("pcw,pw->pc", scaled, self.means[numbers])
        return scaled

    def __call__(self, points: np.ndarray, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        problems, classes, width = len(numbers), self.targets.shape[1], self.x.shape[1]
        weights = self.weights(points, numbers)
        for_x = self.for_features(weights, numbers).reshape(-1, width)
        losses, gradients = np.zeros(problems), np.zeros_like(for_x)
        step = max(1, _CELLS // len(for_x))
        loss_and_error = _softmax if self.is_softmax else _sigmoid
        for first in range(0, len(self.x), step):
            rows = slice(first, first + step)
            logits = (self.x[rows] @ for_x.T).reshape(-1, problems, classes)
            loss, errors = loss_and_error(logits, self.targets[rows, None], self.shares[numbers, rows].T)
            losses += loss
            gradients += errors.reshape(-1, problems * classes).T @ self.x[rows]
        gradients = gradients.reshape(problems, classes, width)
        gradients -= gradients[..., -1:] * self.means[numbers, None]
        gradients *= self.scales[numbers, None]
        penalized, penalties = weights[..., :-1], self.penalties[numbers]
        gradients[..., :-1] += penalties.astype(np.float32)[:, None, None] * penalized
        losses += penalties / 2 * np.square(penalized).sum(axis=(1, 2), dtype=np.float64)
        return losses, self._solved(gradients, numbers, transposed=False).reshape(problems, -1)

    def _solved(self, values: np.ndarray, numbers: np.ndarray, *, transposed: bool) -> np.ndarray:
        """Multiplies values by the inverse of L, or of its transpose: (problems, classes, dim + 1)."""
        values = values.reshape(len(numbers), self.targets.shape[1], self.x.shape[1])
        solved = np.empty_like(values)
        for place, number in enumerate(numbers):
            factor = self.factors[number]
            if len(factor) <= _MOST_INVERTED:
                np.matmul(values[place], factor if transposed else factor.T, out=solved[place])
            else:
                solved[place] = linalg.solve_triangular(
                    factor, values[place].T, lower=True, trans="T" if transposed else "N", check_finite=False
                ).T
        return solved


def _softmax(logits: np.ndarray, targets: np.ndarray, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the loss of each problem, and the derivatives by the logits.

    Args:
        logits: (rows, problems, classes). They are overwritten.
        targets: (rows, 1, classes).
        shares: (rows, problems), the weights of the rows.
    """
    logits -= logits.max(axis=2, keepdims=True)
    truth = (logits * targets).sum(axis=2)
    np.exp(np.maximum(logits, -_LARGEST_LOGIT, out=logits), out=logits)
    sums = logits.sum(axis=2)
    losses = (shares * (np.log(sums) - truth)).sum(axis=0, dtype=np.float64)
    logits *= (shares / sums)[..., None]
    logits -= shares[..., None] * targets
    return losses, logits


def _sigmoid(logits: np.ndarray, targets: np.ndarray, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the same as `_softmax`, for classes that do not exclude one another."""
    signs = 2 * targets.astype(np.float32) - 1
    signed = logits * signs
    decay = np.exp(-np.minimum(np.abs(signed), _LARGEST_LOGIT))
    total = 1 + decay
    losses = (shares * (np.log(total) - np.minimum(signed, 0)).sum(axis=2)).sum(axis=0, dtype=np.float64)
    wrong = np.where(signed > 0, decay, 1) / total  # 1 - sigmoid(signed)
    return losses, shares[..., None] * signs * -wrong
