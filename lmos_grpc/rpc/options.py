"""Options of our channels and servers, in one place, because both ends have to agree on keepalive."""

from __future__ import annotations

from datetime import timedelta

# A client pings when nothing was heard for so long; a server allows pings half as far apart (or it says GOAWAY).
KEEPALIVE_TIME = timedelta(seconds=10)
KEEPALIVE_TIMEOUT = timedelta(seconds=3)
# The default back-off waits seconds for a peer that came back at once.
FIRST_RECONNECT = timedelta(milliseconds=100)
LONGEST_RECONNECT = timedelta(seconds=2)
# One megabyte above the message limit of the contract, for what surrounds the message.
MAX_MESSAGE_BYTES = 5 * 1024 * 1024

Options = list[tuple[str, int | str]]


def channel_options() -> Options:
    """Options of every channel that we open."""
    return [
        ("grpc.keepalive_time_ms", _milliseconds(KEEPALIVE_TIME)),
        ("grpc.keepalive_timeout_ms", _milliseconds(KEEPALIVE_TIMEOUT)),
        # Without it a peer that hangs with an open socket is never noticed, whatever the two above say.
        ("grpc.http2.ping_timeout_ms", _milliseconds(KEEPALIVE_TIMEOUT)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.initial_reconnect_backoff_ms", _milliseconds(FIRST_RECONNECT)),
        ("grpc.min_reconnect_backoff_ms", _milliseconds(FIRST_RECONNECT)),
        ("grpc.max_reconnect_backoff_ms", _milliseconds(LONGEST_RECONNECT)),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        # Retries belong to Envoy and to the caller's own policy, not to two layers at once.
        ("grpc.enable_retries", 0),
    ]


def server_options() -> Options:
    """Options of every server that we start."""
    return [
        ("grpc.keepalive_time_ms", _milliseconds(KEEPALIVE_TIME)),
        ("grpc.keepalive_timeout_ms", _milliseconds(KEEPALIVE_TIMEOUT)),
        ("grpc.http2.ping_timeout_ms", _milliseconds(KEEPALIVE_TIMEOUT)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.http2.min_ping_interval_without_data_ms", _milliseconds(KEEPALIVE_TIME) // 2),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        # Two servers on one port would share its calls in silence.
        ("grpc.so_reuseport", 0),
    ]


def _milliseconds(span: timedelta) -> int:
    return int(span.total_seconds() * 1_000)
