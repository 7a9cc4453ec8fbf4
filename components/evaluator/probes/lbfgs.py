"""L-BFGS for many convex problems of one shape at a time (Nocedal and Wright 2006, algorithm 7.5).

A single problem is too small to keep all cores busy; evaluated together, many are one large matrix product.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

Function = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""(points float32 (n, size), numbers of the problems int (n,)) -> values float64 (n,), gradients float32 (n, size)."""

_PAIRS = 8  # Of steps and gradient changes that approximate the curvature.
_SUFFICIENT_DECREASE = 1e-4  # Armijo's constant.
_ROUNDING = 1e-6  # Share of a value that float32 cannot tell from a decrease.
_MAX_HALVINGS = 12


@dataclasses.dataclass(frozen=True, kw_only=True)
class Minimum:
    """Where the search has ended.

    Attributes:
        points: float32 (problems, size).
        iterations: int (problems,).
        converged: bool (problems,), whether the gradient is as short as asked for.
    """

    points: np.ndarray
    iterations: np.ndarray
    converged: np.ndarray


def minimize(function: Function, start: np.ndarray, *, tolerance: float, max_iterations: int) -> Minimum:
    """Minimizes each of the problems. One that has converged is not evaluated any more.

    Args:
        function: Evaluates some of the problems, each at a point of its own.
        start: float32 (problems, size).
        tolerance: A problem has converged when the square of its gradient's length is no larger. If the points are such
            that the curvature is about 1 in every direction, this is twice the decrease that is left.
        max_iterations: Iterations after which to give up.
    """
    points = start.copy()
    iterations = np.zeros(len(points), int)
    numbers = np.arange(len(points))  # Of the problems that have not ended.
    values, gradients = function(points, numbers)
    converged = _dots(gradients, gradients) <= tolerance
    numbers, values, gradients = numbers[~converged], values[~converged], gradients[~converged]
    history = _History(len(numbers))
    for _ in range(max_iterations):
        if not len(numbers):
            break
        directions = history.directions(gradients)
        here = points[numbers]
        reached, new_values, new_gradients, moved = _search(function, numbers, here, values, gradients, directions)
        history.add(reached - here, new_gradients - gradients)
        points[numbers] = reached
        iterations[numbers] += 1
        values, gradients = new_values, new_gradients
        is_small = _dots(gradients, gradients) <= tolerance
        converged[numbers] = is_small
        going_on = moved & ~is_small
        if not going_on.all():
            numbers, values, gradients = numbers[going_on], values[going_on], gradients[going_on]
            history.keep(going_on)
    return Minimum(points=points, iterations=iterations, converged=converged)


def _search(
    function: Function,
    numbers: np.ndarray,
    here: np.ndarray,
    values: np.ndarray,
    gradients: np.ndarray,
    directions: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Halves the step of each problem until its value decreases enough.

    Returns:
        The points reached, their values and gradients, and which problems have moved. One that cannot decrease any more
        stays where it is.
    """
    slopes = _dots(gradients, directions)
    reached, new_values, new_gradients = here.copy(), values.copy(), gradients.copy()
    waiting, step = np.arange(len(numbers)), 1.0
    for _ in range(_MAX_HALVINGS):
        tried = here[waiting] + np.float32(step) * directions[waiting]
        found, found_gradients = function(tried, numbers[waiting])
        least = values[waiting] + _SUFFICIENT_DECREASE * step * slopes[waiting] + _ROUNDING * np.abs(values[waiting])
        accepted = found <= least
        done = waiting[accepted]
        reached[done], new_values[done], new_gradients[done] = (
            tried[accepted],
            found[accepted],
            found_gradients[accepted],
        )
        waiting, step = waiting[~accepted], step / 2
        if not len(waiting):
            break
    moved = np.ones(len(numbers), bool)
    moved[waiting] = False
    return reached, new_values, new_gradients, moved


class _History:
    """The latest steps and gradient changes of each problem."""

    def __init__(self, problems: int):
        self._steps: list[np.ndarray] = []
        self._changes: list[np.ndarray] = []
        self._inverse_curvatures: list[np.ndarray] = []  # 1 / (step . change); 0 for a pair that is not used.
        self._scales = np.zeros(problems)

    def add(self, steps: np.ndarray, changes: np.ndarray) -> None:
        curvatures, squares = _dots(steps, changes), _dots(changes, changes)
        is_convex = curvatures > 1e-10 * squares
        self._steps.append(steps)
        self._changes.append(changes)
        self._inverse_curvatures.append(np.divide(1.0, curvatures, out=np.zeros_like(curvatures), where=is_convex))
        np.divide(curvatures, squares, out=self._scales, where=is_convex)
        if len(self._steps) > _PAIRS:
            for values in (self._steps, self._changes, self._inverse_curvatures):
                del values[0]

    def keep(self, chosen: np.ndarray) -> None:
        """Forgets all problems but the chosen ones."""
        for values in (self._steps, self._changes, self._inverse_curvatures):
            values[:] = [value[chosen] for value in values]
        self._scales = self._scales[chosen]

    def directions(self, gradients: np.ndarray) -> np.ndarray:
        """Returns where to go: the approximate inverse Hessian times the gradients, downwards."""
        if not self._steps:
            return -gradients
        q = gradients.copy()
        weights = []
        for step, change, inverse in reversed(self._pairs()):
            weight = inverse * _dots(step, q)
            q -= weight[:, None].astype(np.float32) * change
            weights.append(weight)
        q *= np.where(self._scales > 0, self._scales, 1.0)[:, None].astype(np.float32)
        for (step, change, inverse), weight in zip(self._pairs(), reversed(weights), strict=True):
            q += (weight - inverse * _dots(change, q))[:, None].astype(np.float32) * step
        return -q

    def _pairs(self) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        return list(zip(self._steps, self._changes, self._inverse_curvatures, strict=True))


def _dots(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Returns the scalar product of each pair of rows, float64 (rows,)."""
    return np.array([np.dot(x, y) for x, y in zip(a, b, strict=True)], np.float64)
