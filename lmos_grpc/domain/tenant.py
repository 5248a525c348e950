"""A tenant as its operator declares it: what those who call in its name may do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """One tenant; empty `channels` means all. `where` is the place of its declaration, such as `tenants.yaml:3`.

    Attributes:
        default_locale: the language of users whose calls name none (BCP 47); empty: nothing is assumed.
        subset_override: whether a caller may choose the subset with `x-lmos-subset`.
        max_branches: over how many agents a turn may be spread at the most; 0: no limit of the tenant's own.
        turn_budget: the time that an agent may take for a turn; None: no limit of the tenant's own.
    """

    name: str
    channels: frozenset[str] = frozenset()
    default_locale: str = ""
    subset_override: bool = False
    max_branches: int = 0
    turn_budget: timedelta | None = None
    where: str = ""
