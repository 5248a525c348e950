"""The service of gRPC's interoperability tests, on whatever server it is added to.

https://github.com/grpc/grpc/blob/master/doc/interop-test-descriptions.md
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    Context = grpc.aio.ServicerContext[Any, Any]

SERVICE = "grpc.testing.TestService"
INITIAL = "x-grpc-test-echo-initial"
TRAILING = "x-grpc-test-echo-trailing-bin"
_FIELD = FieldDescriptorProto
# The fields that the cases use, of src/proto/grpc/testing/messages.proto.
_MESSAGES: dict[str, dict[str, tuple[int, Any]]] = {
    "Empty": {},
    "Payload": {"body": (2, _FIELD.TYPE_BYTES)},
    "EchoStatus": {"code": (1, _FIELD.TYPE_INT32), "message": (2, _FIELD.TYPE_STRING)},
    "SimpleRequest": {
        "response_size": (2, _FIELD.TYPE_INT32),
        "payload": (3, "Payload"),
        "response_status": (7, "EchoStatus"),
    },
    "SimpleResponse": {"payload": (1, "Payload")},
    "StreamingInputCallRequest": {"payload": (1, "Payload")},
    "StreamingInputCallResponse": {"aggregated_payload_size": (1, _FIELD.TYPE_INT32)},
    "ResponseParameters": {"size": (1, _FIELD.TYPE_INT32), "interval_us": (2, _FIELD.TYPE_INT32)},
    "StreamingOutputCallRequest": {
        "response_parameters": (2, ["ResponseParameters"]),
        "payload": (3, "Payload"),
        "response_status": (7, "EchoStatus"),
    },
    "StreamingOutputCallResponse": {"payload": (1, "Payload")},
}


def _classes() -> dict[str, Any]:
    file = FileDescriptorProto(name="interop.proto", package="grpc.testing", syntax="proto3")
    for name, fields in _MESSAGES.items():
        file.message_type.append(DescriptorProto(name=name, field=[_field(*each) for each in fields.items()]))
    pool = DescriptorPool()
    pool.Add(file)
    return {name: GetMessageClass(pool.FindMessageTypeByName(f"grpc.testing.{name}")) for name in _MESSAGES}


def _field(name: str, said: tuple[int, Any]) -> FieldDescriptorProto:
    number, kind = said
    repeated = isinstance(kind, list)
    field = FieldDescriptorProto(
        name=name, number=number, label=_FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL
    )
    of = kind[0] if repeated else kind
    if isinstance(of, str):
        field.type = _FIELD.TYPE_MESSAGE
        field.type_name = f".grpc.testing.{of}"
    else:
        field.type = of
    return field


Messages = _classes()


def payload(size: int) -> Any:
    return Messages["Payload"](body=bytes(size))


async def _empty(request: Any, context: Context) -> Any:
    del request
    await _echo(context)
    return Messages["Empty"]()


async def _unary(request: Any, context: Context) -> Any:
    await _echo(context)
    await _fail_as_asked(request, context)
    return Messages["SimpleResponse"](payload=payload(request.response_size))


async def _input(requests: AsyncIterator[Any], context: Context) -> Any:
    del context
    size = 0
    async for request in requests:
        size += len(request.payload.body)
    return Messages["StreamingInputCallResponse"](aggregated_payload_size=size)


async def _output(request: Any, context: Context) -> AsyncIterator[Any]:
    del context
    async for response in _answers(request):
        yield response


async def _duplex(requests: AsyncIterator[Any], context: Context) -> AsyncIterator[Any]:
    await _echo(context)
    async for request in requests:
        await _fail_as_asked(request, context)
        async for response in _answers(request):
            yield response


async def _answers(request: Any) -> AsyncIterator[Any]:
    for asked in request.response_parameters:
        await asyncio.sleep(asked.interval_us / 1e6)
        yield Messages["StreamingOutputCallResponse"](payload=payload(asked.size))


async def _echo(context: Context) -> None:
    said = dict(context.invocation_metadata() or ())
    if INITIAL in said:
        await context.send_initial_metadata(((INITIAL, said[INITIAL]),))
    if TRAILING in said:
        context.set_trailing_metadata(((TRAILING, said[TRAILING]),))


async def _fail_as_asked(request: Any, context: Context) -> None:
    if request.response_status.code:
        code = next(each for each in grpc.StatusCode if each.value[0] == request.response_status.code)
        await context.abort(code, request.response_status.message)


_METHODS: dict[str, tuple[Any, str, str]] = {
    "EmptyCall": (_empty, "Empty", "unary_unary"),
    "UnaryCall": (_unary, "SimpleRequest", "unary_unary"),
    "StreamingInputCall": (_input, "StreamingInputCallRequest", "stream_unary"),
    "StreamingOutputCall": (_output, "StreamingOutputCallRequest", "unary_stream"),
    "FullDuplexCall": (_duplex, "StreamingOutputCallRequest", "stream_stream"),
}


def add_interop_service(server: grpc.aio.Server) -> None:
    """Adds what the cases call; `UnimplementedCall` is left out, as they want it."""
    handlers = {
        name: getattr(grpc, f"{kind}_rpc_method_handler")(
            behave,
            request_deserializer=Messages[request].FromString,
            response_serializer=lambda message: message.SerializeToString(),
        )
        for name, (behave, request, kind) in _METHODS.items()
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
