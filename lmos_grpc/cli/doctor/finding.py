"""What a check found, and how to mend it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    """Whether a mesh can run with it."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: what was looked at, what was found, and what to do about it (empty where all is well)."""

    check: str
    verdict: Verdict
    found: str
    remedy: str = ""


def ok(check: str, found: str) -> Finding:
    """All is well."""
    return Finding(check, Verdict.OK, found)


def warning(check: str, found: str, remedy: str) -> Finding:
    """It runs, and is worth a look."""
    return Finding(check, Verdict.WARNING, found, remedy)


def fault(check: str, found: str, remedy: str) -> Finding:
    """It does not run."""
    return Finding(check, Verdict.FAULT, found, remedy)
