"""One capability against all others: the weights that tell its phrases from theirs (a support vector machine)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from lmos_grpc.routing.text_features import Floats

_MOST_ROUNDS = 24
_SMALL = 250  # so many phrases are solved for directly in no time
_FEW = 0.03
_MOST_STEPS = 60
_MOST_OTHERS = 300
_TOLERANCE = 1e-3


class Support(NamedTuple):
    """The share of each phrase in the weights of a machine, and what the machine would say had it never seen it."""

    shares: Floats
    unseen: Floats


def support(kernel: Floats, sides: Floats, costs: Floats) -> Support:
    """Trains a machine with squared hinge loss; no chance is involved.

    The phrases within the margin are found in rounds (Keerthi and DeCoste, JMLR 2005, call it a finite Newton method).
    Early rounds hold many phrases and are nearly solved, which is much faster; the last one is solved exactly. What a
    machine says of a phrase that was left out follows from it without training again (Cawley and Talbot, JMLR 2007).

    Args:
        kernel: the products of the phrases with each other (n by n).
        sides: 1 for a phrase of the capability, -1 for one of another.
        costs: what an error at a phrase costs.
    """
    shares = np.zeros_like(sides)
    active, exact = _likely(kernel, sides), False
    for _ in range(_MOST_ROUNDS):
        at = np.flatnonzero(active)
        within = kernel.take(at, axis=0).take(at, axis=1)
        within[np.diag_indices(len(at))] += 0.5 / costs[at]
        exact = exact or len(at) <= _SMALL
        found = np.linalg.solve(within, sides[at]) if exact else _nearly(within, sides[at], shares[at])
        shares[:] = 0
        shares[at] = found
        inside = sides * (kernel @ shares) < 1
        moved = np.count_nonzero(inside != active)
        if exact and not moved:
            break
        exact = exact or bool(moved <= _FEW * len(at))
        active = inside
    unseen = kernel @ shares
    unseen[at] = sides[at] - found / np.linalg.inv(within).diagonal()
    return Support(shares, unseen)


def _likely(kernel: Floats, sides: Floats) -> npt.NDArray[np.bool_]:
    """Where to begin: its own phrases and those most like them. The end is the same from anywhere."""
    own = sides > 0
    others = np.flatnonzero(~own)
    likeness = kernel[own].mean(axis=0)[others]
    active = own.copy()
    active[others[np.argsort(-likeness, kind="stable")[:_MOST_OTHERS]]] = True
    return active


def _nearly(matrix: Floats, target: Floats, start: Floats) -> Floats:
    """The solution of a system to three digits, by conjugate gradients from where the last round ended."""
    found = start.copy()
    rest = target - matrix @ found
    step, size = rest.copy(), float(rest @ rest)
    for _ in range(_MOST_STEPS):
        if size <= _TOLERANCE**2 * len(target):
            break
        ahead = matrix @ step
        far = size / float(step @ ahead)
        found += far * step
        rest -= far * ahead
        size, before = float(rest @ rest), size
        step = rest + (size / before) * step
    return found
