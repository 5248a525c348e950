"""The classes of Webex's messages: the one place where they are made, as their types are dynamic.

They live in a descriptor pool of their own: their package is not ours to register in everybody's.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

from google.protobuf import message_factory
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

_PACKAGE = "com.cisco.wcc.ccai.media.v1"
SERVICE = f"{_PACKAGE}.VoiceVirtualAgent"


@cache
def descriptor_pool() -> DescriptorPool:
    """The pool of all messages of the interface."""
    pool = DescriptorPool()
    shipped = resources.files(__package__).joinpath("byova.binpb").read_bytes()
    for file in FileDescriptorSet.FromString(shipped).file:
        pool.Add(file)
    return pool


@cache
def reflected_pool() -> DescriptorPool:
    """The same pool with what every server of ours answers beside: health and reflection."""
    pool = descriptor_pool()
    for each in (health_pb2, reflection_pb2):
        pool.AddSerializedFile(each.DESCRIPTOR.serialized_pb)
    return pool


@cache
def _class(name: str) -> Any:  # Any: a message class that is only known at run time
    return message_factory.GetMessageClass(descriptor_pool().FindMessageTypeByName(f"{_PACKAGE}.{name}"))


@cache
def number_of(enum: str, name: str) -> int:
    """The number of an enum's value, such as `EventInput.EventType` and `SESSION_START`."""
    number: int = descriptor_pool().FindEnumTypeByName(f"{_PACKAGE}.{enum}").values_by_name[name].number
    return number


VoiceVARequest = _class("VoiceVARequest")
VoiceVAResponse = _class("VoiceVAResponse")
ListVARequest = _class("ListVARequest")
ListVAResponse = _class("ListVAResponse")
