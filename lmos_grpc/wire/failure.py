"""Failures on the wire: in band as `lmos.error.v1.Error`, out of band as `google.rpc.Status`."""

from __future__ import annotations

from contextlib import suppress

from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from lmos.error.v1 import error_pb2 as pb

from lmos_grpc.domain.failure import Code, FailureDetail, Reason
from lmos_grpc.wire.time import duration_of, to_duration

ERROR_DOMAIN = "lmos-grpc"
_PREFIX = "ERROR_REASON_"


def failure_to_wire(detail: FailureDetail) -> pb.Error:
    """The failure as it travels in band."""
    return pb.Error(
        code=int(detail.code),
        reason=pb.ErrorReason.Value(_PREFIX + detail.reason.name),
        message=detail.message,
        metadata=detail.metadata,
        retry_delay=to_duration(detail.retry_after),
    )


def failure_from_wire(message: pb.Error) -> FailureDetail:
    """The failure that came in band. A code or reason that is not known counts as unknown."""
    return FailureDetail(
        code=_code(message.code),
        reason=_reason(message.reason),
        message=message.message,
        metadata=dict(message.metadata),
        retry_after=duration_of(message, "retry_delay"),
    )


def failure_to_status(detail: FailureDetail) -> Status:
    """The failure as it travels out of band (AIP-193)."""
    status = Status(code=int(detail.code), message=detail.message)
    status.details.add().Pack(ErrorInfo(reason=detail.reason.name, domain=ERROR_DOMAIN, metadata=detail.metadata))
    if detail.retry_after is not None:
        status.details.add().Pack(RetryInfo(retry_delay=to_duration(detail.retry_after)))
    return status


def failure_from_status(status: Status) -> FailureDetail:
    """The failure that came out of band; details of other domains are left aside."""
    reason, metadata, retry_after = Reason.UNSPECIFIED, {}, None
    for detail in status.details:
        info, retry = ErrorInfo(), RetryInfo()
        if detail.Unpack(info) and info.domain == ERROR_DOMAIN:
            metadata = dict(info.metadata)
            with suppress(KeyError):
                reason = Reason[info.reason]
        elif detail.Unpack(retry):
            retry_after = duration_of(retry, "retry_delay")
    return FailureDetail(_code(status.code), reason, status.message, metadata, retry_after)


def _code(value: int) -> Code:
    try:
        return Code(value)
    except ValueError:
        return Code.UNKNOWN


def _reason(value: int) -> Reason:
    try:
        return Reason(value)
    except ValueError:
        return Reason.UNSPECIFIED
