"""The curve of a mesh: the shipped one, made stricter where strangers would come too close."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from lmos_grpc.routing.calibration import Calibration
from lmos_grpc.routing.everyday import EVERYDAY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lmos_grpc.routing.rehearsal import Rehearsed

# Three of ten everyday phrases get no more than that (a score of 0.38); the others may be what the mesh is for. Chosen
# on the validation split of CLINC150, as the shipped curve was.
_SHARE = 0.3
_STRANGE = -0.5
_FEW, _MANY = 50, 150  # with so few phrases a mesh keeps the shipped curve, from so many on it has its own
_LOST = 0.05  # no stricter than to decline so many of its own phrases
_ENOUGH = 20


@dataclass(frozen=True, slots=True)
class Curve:
    """What scores are made with.

    Attributes:
        calibration: the curve in force.
        shift: how much stricter than the shipped one it is, in log odds: zero or less.
        left_out: how many example phrases of the mesh were left out, each in its turn.
        found: how many of them went to their agent all the same.
    """

    calibration: Calibration = field(default_factory=Calibration)
    shift: float = 0.0
    left_out: int = 0
    found: int = 0


def own_curve(shipped: Calibration, rehearsed: Sequence[Rehearsed], taught: int) -> Curve:
    """The curve of a mesh that was taught so many phrases, descriptions among them; depends on the cards alone."""
    own = [each for each in rehearsed if each.origin is not None]
    right = [each.logit for each in own if each.right]
    logits = {each.phrase: each.logit for each in rehearsed if each.origin is None}
    strangers = max((_quantile(logits, spoken) for spoken in EVERYDAY.values()), default=_STRANGE)
    shift = min(_STRANGE - strangers, 0.0)
    if len(right) >= _ENOUGH:
        shift = max(shift, min(-float(np.quantile(right, _LOST)), 0.0))
    shift = round(shift * min(max((taught - _FEW) / (_MANY - _FEW), 0.0), 1.0), 2)
    return Curve(replace(shipped, offset=round(shipped.offset + shift, 4)), shift, len(own), len(right))


def _quantile(logits: dict[str, float], phrases: Sequence[str]) -> float:
    known = [logits[each] for each in phrases if each in logits]
    return float(np.quantile(known, _SHARE)) if known else _STRANGE
