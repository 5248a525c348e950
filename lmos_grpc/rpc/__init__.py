"""How our servers and channels are made: options, interceptors, deadlines, error mapping, health, call metadata."""

from lmos_grpc.rpc.channel import open_channel
from lmos_grpc.rpc.deadline import child_timeout, time_left
from lmos_grpc.rpc.error_mapping import ErrorMappingInterceptor, calling, error_from_call
from lmos_grpc.rpc.listen import require_safe_address
from lmos_grpc.rpc.metadata import (
    CHANNEL_HEADER,
    CONVERSATION_HEADER,
    ROUTE_HEADER,
    SUBSET_HEADER,
    TENANT_HEADER,
    VISITED_HEADER,
    context_from_metadata,
    context_to_metadata,
)
from lmos_grpc.rpc.push import Inflow, Outlet, outlet, receive
from lmos_grpc.rpc.server import RunningServer, serve
from lmos_grpc.rpc.transport import Transport, choose_transport, chosen_transport, transport_named

__all__ = [
    "CHANNEL_HEADER",
    "CONVERSATION_HEADER",
    "ROUTE_HEADER",
    "SUBSET_HEADER",
    "TENANT_HEADER",
    "VISITED_HEADER",
    "ErrorMappingInterceptor",
    "Inflow",
    "Outlet",
    "RunningServer",
    "Transport",
    "calling",
    "child_timeout",
    "choose_transport",
    "chosen_transport",
    "context_from_metadata",
    "context_to_metadata",
    "error_from_call",
    "open_channel",
    "outlet",
    "receive",
    "require_safe_address",
    "serve",
    "time_left",
    "transport_named",
]
