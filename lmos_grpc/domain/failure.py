"""What a failure says of itself, in band and out of band."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta


class Code(IntEnum):
    """Canonical gRPC codes (google/rpc/code.proto)."""

    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class Reason(Enum):
    """Why something failed: the names of `lmos.error.v1.ErrorReason` without their prefix."""

    UNSPECIFIED = 0
    INTERNAL = 1
    INVALID_REQUEST = 2
    EMPTY_MESSAGE = 3
    MESSAGE_TOO_LARGE = 4
    UNKNOWN_AGENT = 5
    UNKNOWN_CAPABILITY = 6
    AGENT_NOT_ALLOWED = 7
    NO_HEALTHY_INSTANCE = 8
    MESH_STARTING = 9
    SHUTTING_DOWN = 10
    INVALID_CARD = 11
    INVALID_VERSION = 12
    AGENT_UNREACHABLE = 13
    CARD_MISMATCH = 14
    DUPLICATE_INSTANCE = 15
    LEASE_NOT_FOUND = 16
    STALE_EPOCH = 17
    WATCH_TOO_SLOW = 18
    INVALID_PAGE_TOKEN = 19
    TURN_CONFLICT = 20
    TURN_NOT_FOUND = 21
    CONVERSATION_NOT_FOUND = 22
    DEADLINE_EXCEEDED = 23
    CANCELLED = 24
    AGENT_FAILED = 25
    AGENT_PROTOCOL_VIOLATION = 26
    AGENT_STREAM_BROKEN = 27
    HANDOVER_LIMIT = 28
    HANDOVER_LOOP = 29
    QUOTA_EXCEEDED = 30
    MODEL_UNAVAILABLE = 31
    MODEL_NOT_CONFIGURED = 32
    UNAUTHENTICATED = 33
    DISCOVERY_UNAVAILABLE = 34
    STORE_UNAVAILABLE = 35
    SESSION_PROTOCOL = 36
    UNSUPPORTED_INPUT = 37
    INVALID_CONFIGURATION = 38
    ENVIRONMENT = 39
    UNREACHABLE = 40
    UNKNOWN_OPTION = 41
    NO_BRANCH_ANSWERED = 42
    TENANT_NOT_ALLOWED = 43
    CHANNEL_NOT_ALLOWED = 44
    CHANNEL_UNRESOLVED = 45
    SESSION_GONE = 46


@dataclass(frozen=True, slots=True)
class FailureDetail:
    """A failure as it travels: `retry_after` None means that the caller should not retry on its own."""

    code: Code
    reason: Reason
    message: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    retry_after: timedelta | None = None
