"""One capability against all others: the weights that tell its phrases from theirs (a support vector machine)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from lmos_grpc.routing.text_features import Floats

_MOST_ROUNDS = 12


def support(kernel: Floats, sides: Floats, costs: Floats, first: npt.NDArray[np.bool_]) -> Floats:
    """The share of each phrase in the weights of the machine, with squared hinge loss; no chance is involved.

    Args:
        kernel: the products of the phrases with each other (n by n).
        sides: 1 for a phrase of the capability, -1 for one of another.
        costs: what an error at a phrase costs.
        first: the phrases to begin with; those that lie within the margin are found in rounds (Keerthi and DeCoste,
            JMLR 2005, call it a finite Newton method).
    """
    shares = np.zeros_like(sides)
    active = first
    for _ in range(_MOST_ROUNDS):
        at = np.flatnonzero(active)
        within = kernel[np.ix_(at, at)]
        within[np.diag_indices(len(at))] += 0.5 / costs[at]
        shares[:] = 0
        shares[at] = np.linalg.solve(within, sides[at])
        inside = sides * (kernel[:, at] @ shares[at]) < 1
        if np.array_equal(inside, active):
            break
        active = inside
    return shares
