"""Every failure of the mesh, once: one class per reason, each with its canonical code.

    LmosError
    ├── InternalError                INTERNAL
    ├── InvalidRequestError          INVALID_ARGUMENT
    ├── EmptyMessageError            INVALID_ARGUMENT
    ├── MessageTooLargeError         RESOURCE_EXHAUSTED
    ├── UnknownAgentError            NOT_FOUND
    ├── UnknownCapabilityError       NOT_FOUND
    ├── AgentNotAllowedError         PERMISSION_DENIED
    ├── NoHealthyInstanceError       UNAVAILABLE
    ├── MeshStartingError            UNAVAILABLE
    ├── ShuttingDownError            UNAVAILABLE
    ├── InvalidCardError             INVALID_ARGUMENT
    ├── InvalidVersionError          INVALID_ARGUMENT
    ├── AgentUnreachableError        FAILED_PRECONDITION
    ├── CardMismatchError            FAILED_PRECONDITION
    ├── DuplicateInstanceError       ALREADY_EXISTS
    ├── LeaseNotFoundError           NOT_FOUND
    ├── StaleEpochError              FAILED_PRECONDITION
    ├── WatchTooSlowError            RESOURCE_EXHAUSTED
    ├── InvalidPageTokenError        INVALID_ARGUMENT
    ├── TurnConflictError            ABORTED
    ├── TurnNotFoundError            NOT_FOUND
    ├── ConversationNotFoundError    NOT_FOUND
    ├── DeadlineExceededError        DEADLINE_EXCEEDED
    ├── CallCancelledError           CANCELLED
    ├── AgentFailedError             INTERNAL
    ├── AgentProtocolViolationError  INTERNAL
    ├── AgentStreamBrokenError       UNAVAILABLE
    ├── HandoverLimitError           FAILED_PRECONDITION
    ├── HandoverLoopError            FAILED_PRECONDITION
    ├── QuotaExceededError           RESOURCE_EXHAUSTED
    ├── ModelUnavailableError        UNAVAILABLE
    ├── ModelNotConfiguredError      FAILED_PRECONDITION
    ├── UnauthenticatedError         UNAUTHENTICATED
    ├── DiscoveryUnavailableError    UNAVAILABLE
    ├── StoreUnavailableError        UNAVAILABLE
    ├── SessionProtocolError         FAILED_PRECONDITION
    ├── UnsupportedInputError        UNIMPLEMENTED
    ├── InvalidConfigurationError    FAILED_PRECONDITION
    ├── EnvironmentFaultError        FAILED_PRECONDITION
    ├── UnreachableError             UNAVAILABLE
    ├── UnknownOptionError           INVALID_ARGUMENT
    ├── NoBranchAnsweredError        UNAVAILABLE
    ├── TenantNotAllowedError        PERMISSION_DENIED
    ├── ChannelNotAllowedError       PERMISSION_DENIED
    ├── ChannelUnresolvedError       FAILED_PRECONDITION
    └── SessionGoneError             NOT_FOUND

The server interceptor in `lmos_grpc.rpc` turns them into `google.rpc.Status`;
clients turn the status back into the class.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

from lmos_grpc.domain.failure import Code, FailureDetail, Reason

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta


class LmosError(Exception):
    """A failure with its code, reason and metadata. `retry_after` None means: do not retry on your own."""

    code: ClassVar[Code] = Code.UNKNOWN
    reason: ClassVar[Reason] = Reason.UNSPECIFIED

    def __init__(self, message: str, *, retry_after: timedelta | None = None, **metadata: str) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after
        self.metadata = metadata

    @property
    def detail(self) -> FailureDetail:
        """The failure as it travels."""
        return FailureDetail(self.code, self.reason, self.message, self.metadata, self.retry_after)


class InternalError(LmosError):
    """A defect on our side."""

    code = Code.INTERNAL
    reason = Reason.INTERNAL


class InvalidRequestError(LmosError):
    """A field of the request is missing, malformed or out of its limits."""

    code = Code.INVALID_ARGUMENT
    reason = Reason.INVALID_REQUEST


class EmptyMessageError(LmosError):
    """The message says nothing."""

    code = Code.INVALID_ARGUMENT
    reason = Reason.EMPTY_MESSAGE


class MessageTooLargeError(LmosError):
    """A message is larger than the server accepts."""

    code = Code.RESOURCE_EXHAUSTED
    reason = Reason.MESSAGE_TOO_LARGE


class UnknownAgentError(LmosError):
    """No agent of that name is known."""

    code = Code.NOT_FOUND
    reason = Reason.UNKNOWN_AGENT


class UnknownCapabilityError(LmosError):
    """No agent offers that capability in that version range."""

    code = Code.NOT_FOUND
    reason = Reason.UNKNOWN_CAPABILITY


class AgentNotAllowedError(LmosError):
    """The agent does not serve this tenant, channel or subset."""

    code = Code.PERMISSION_DENIED
    reason = Reason.AGENT_NOT_ALLOWED


class NoHealthyInstanceError(LmosError):
    """The agent is known, and no instance of it can take the call now."""

    code = Code.UNAVAILABLE
    reason = Reason.NO_HEALTHY_INSTANCE


class MeshStartingError(LmosError):
    """The mesh has not finished starting."""

    code = Code.UNAVAILABLE
    reason = Reason.MESH_STARTING


class ShuttingDownError(LmosError):
    """The server is draining and takes no new calls."""

    code = Code.UNAVAILABLE
    reason = Reason.SHUTTING_DOWN


class InvalidCardError(LmosError):
    """An agent card breaks a rule of the contract."""

    code = Code.INVALID_ARGUMENT
    reason = Reason.INVALID_CARD


class InvalidVersionError(LmosError):
    """Not a semantic version, or not an npm-style range."""

    code = Code.INVALID_ARGUMENT
    reason = Reason.INVALID_VERSION


class AgentUnreachableError(LmosError):
    """At registration the address did not answer."""

    code = Code.FAILED_PRECONDITION
    reason = Reason.AGENT_UNREACHABLE


class CardMismatchError(LmosError):
    """At registration the address answered with another name or version."""

    code = Code.FAILED_PRECONDITION
    reason = Reason.CARD_MISMATCH


class DuplicateInstanceError(LmosError):
    """The instance id is held by a live lease at another address."""

    code = Code.ALREADY_EXISTS
    reason = Reason.DUPLICATE_INSTANCE


class LeaseNotFoundError(LmosError):
    """No live lease of that instance: register again."""

    code = Code.NOT_FOUND
    reason = Reason.LEASE_NOT_FOUND


class StaleEpochError(LmosError):
    """A newer registration of the instance took over."""

    code = Code.FAILED_PRECONDITION
    reason = Reason.STALE_EPOCH


class WatchTooSlowError(LmosError):
    """The watcher read too slowly; watch again with the resume token."""

    code = Code.RESOURCE_EXHAUSTED
    reason = Reason.WATCH_TOO_SLOW


class InvalidPageTokenError(LmosError):
    """A page token that this server did not make."""

    code = Code.INVALID_ARGUMENT
    reason = Reason.INVALID_PAGE_TOKEN


class TurnConflictError(LmosError):
    """The turn id was used before with another message."""

    code = Code.ABORTED
    reason = Reason.TURN_CONFLICT


class TurnNotFoundError(LmosError):
    """No turn of that id in that conversation."""

    code = Code.NOT_FOUND
    reason = Reason.TURN_NOT_FOUND


class ConversationNotFoundError(LmosError):
    """No conversation of that id for this tenant."""

    code = Code.NOT_FOUND
    reason = Reason.CONVERSATION_NOT_FOUND


class DeadlineExceededError(LmosError):
    """The deadline passed before the turn was done."""

    code = Code.DEADLINE_EXCEEDED
    reason = Reason.DEADLINE_EXCEEDED


class CallCancelledError(LmosError):
    """The caller cancelled."""

    code = Code.CANCELLED
    reason = Reason.CANCELLED


class AgentFailedError(LmosError):
    """The agent failed by its own account."""

    code = Code.INTERNAL
    reason = Reason.AGENT_FAILED


class AgentProtocolViolationError(LmosError):
    """The agent sent what the contract does not allow."""

    code = Code.INTERNAL
    reason = Reason.AGENT_PROTOCOL_VIOLATION


class AgentStreamBrokenError(LmosError):
    """The stream of an agent broke after its first event."""

    code = Code.UNAVAILABLE
    reason = Reason.AGENT_STREAM_BROKEN


class HandoverLimitError(LmosError):
    """The turn was handed over more often than the mesh allows."""

    code = Code.FAILED_PRECONDITION
    reason = Reason.HANDOVER_LIMIT


class HandoverLoopError(LmosError):
    """The turn was handed over to an agent that had it before."""

    code = Code.FAILED_PRECONDITION
    reason = Reason.HANDOVER_LOOP


class QuotaExceededError(LmosError):
    """A quota or rate limit of the tenant is used up."""

    code = Code.RESOURCE_EXHAUSTED
    reason = Reason.QUOTA_EXCEEDED


class ModelUnavailableError(LmosError):
    """The language model did not answer."""

    code = Code.UNAVAILABLE
    reason = Reason.MODEL_UNAVAILABLE


class ModelNotConfiguredError(LmosError):
    """No language model is configured."""

    code = Code.FAILED_PRECONDITION
    reason = Reason.MODEL_NOT_CONFIGURED


class UnauthenticatedError(LmosError):
    """The caller is not known."""

    code = Code.UNAUTHENTICATED
    reason = Reason.UNAUTHENTICATED


class DiscoveryUnavailableError(LmosError):
    """The discovery service cannot be reached."""

    code = Code.UNAVAILABLE
    reason = Reason.DISCOVERY_UNAVAILABLE


class StoreUnavailableError(LmosError):
    """A store that the call needs cannot be reached."""

    code = Code.UNAVAILABLE
    reason = Reason.STORE_UNAVAILABLE


class SessionProtocolError(LmosError):
    """A live session got an input before `start`, or a second `start`."""

    code = Code.FAILED_PRECONDITION
    reason = Reason.SESSION_PROTOCOL


class UnsupportedInputError(LmosError):
    """The agent cannot take this kind of input."""

    code = Code.UNIMPLEMENTED
    reason = Reason.UNSUPPORTED_INPUT


class InvalidConfigurationError(LmosError):
    """A configuration file or option is wrong."""

    code = Code.FAILED_PRECONDITION
    reason = Reason.INVALID_CONFIGURATION


class EnvironmentFaultError(LmosError):
    """Something the process needs on this machine is missing or taken."""

    code = Code.FAILED_PRECONDITION
    reason = Reason.ENVIRONMENT


class UnreachableError(LmosError):
    """The service cannot be reached."""

    code = Code.UNAVAILABLE
    reason = Reason.UNREACHABLE


class UnknownOptionError(LmosError):
    """The clarification is not open, or has no such option."""

    code = Code.INVALID_ARGUMENT
    reason = Reason.UNKNOWN_OPTION


class NoBranchAnsweredError(LmosError):
    """No branch of a fan-out gave an answer."""

    code = Code.UNAVAILABLE
    reason = Reason.NO_BRANCH_ANSWERED


class TenantNotAllowedError(LmosError):
    """The tenants of the mesh are declared, and this one is none of them."""

    code = Code.PERMISSION_DENIED
    reason = Reason.TENANT_NOT_ALLOWED


class ChannelNotAllowedError(LmosError):
    """The channels of the mesh are declared, and the tenant has no such one."""

    code = Code.PERMISSION_DENIED
    reason = Reason.CHANNEL_NOT_ALLOWED


class ChannelUnresolvedError(LmosError):
    """The channel is strict, and something that it requires is not there."""

    code = Code.FAILED_PRECONDITION
    reason = Reason.CHANNEL_UNRESOLVED


class SessionGoneError(LmosError):
    """No live session of that resume token is here any more, and no conversation was named to begin anew."""

    code = Code.NOT_FOUND
    reason = Reason.SESSION_GONE


class RemoteError(LmosError):
    """A failure that another party reported with a code or reason of its own."""

    def __init__(self, detail: FailureDetail) -> None:
        super().__init__(detail.message, retry_after=detail.retry_after, **dict(detail.metadata))
        self._detail = detail

    @property
    def detail(self) -> FailureDetail:
        """The failure as it travelled."""
        return self._detail


_BY_REASON: dict[Reason, type[LmosError]] = {each.reason: each for each in LmosError.__subclasses__()}


def error_from(detail: FailureDetail) -> LmosError:
    """The error of the class that goes with the reason; `RemoteError` where code or reason are not ours."""
    known = _BY_REASON.get(detail.reason)
    if known is None or known is RemoteError or known.code is not detail.code:
        return RemoteError(detail)
    return known(detail.message, retry_after=detail.retry_after, **dict(detail.metadata))


@contextmanager
def ungrouped() -> Iterator[None]:
    """Takes a failure out of the groups that task groups put around it, where it is the only one or all are ours."""
    try:
        yield
    except BaseExceptionGroup as group:
        leaves = list(_leaves(group))
        if len(leaves) > 1 and not all(isinstance(each, LmosError) for each in leaves):
            raise
        raise leaves[0] from group


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for each in group.exceptions:
        if isinstance(each, BaseExceptionGroup):
            yield from _leaves(each)
        else:
            yield each
