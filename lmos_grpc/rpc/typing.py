"""Names for grpc.aio's types where its stubs are generic and its classes are not; for annotations only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import grpc
    import grpc.aio

    # Any: one interceptor and one set of rules serve every request and response type.
    Context = grpc.aio.ServicerContext[Any, Any]
    Handler = grpc.RpcMethodHandler[Any, Any]
