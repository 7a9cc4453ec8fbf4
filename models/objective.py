"""Which projections of a clip a training contrasts.

A clip has two crops, a and b. The paper contrasts crop a in the format of branch A with crop b in the format of branch
B. The objective `"all"` projects both crops in both formats, and contrasts every two projections of different crops:

    cross     A(a) with B(b)
    all       A(a) with B(b),  A(b) with B(a),  A(a) with A(b),  B(a) with B(b)

The loss is the mean of the NT-Xents of these pairs. A term within a format beside the one across formats is that of
SLIP (Mu et al. 2021). It is not in the paper.

This module does not import Keras, so that a command can check a config without the seconds that Keras takes to load.
"""

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True, kw_only=True)
class Objective:
    """What is projected and contrasted.

    Attributes:
        orders: The orders in which a step gives the crops to the branches: `(0, 1)` gives crop a to branch A and crop b
            to branch B, `(1, 0)` the other way round. Each order gives two projections: of branch A, then of branch B.
        pairs: The projections that are contrasted, by their numbers.
    """

    orders: tuple[tuple[int, int], ...]
    pairs: tuple[tuple[int, int], ...]

    @property
    def projections(self) -> int:
        """The number of projections of a clip."""
        return 2 * len(self.orders)


OBJECTIVES: Mapping[str, Objective] = {
    "cross": Objective(orders=((0, 1),), pairs=((0, 1),)),
    # The projections are A(a), B(b), A(b), B(a).
    "all": Objective(orders=((0, 1), (1, 0)), pairs=((0, 1), (2, 3), (0, 2), (3, 1))),
}
"""By the name that `trainer.objective` takes."""
