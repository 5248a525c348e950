"""The classes of Envoy's messages: the one place where they are made, as their types are dynamic.

Generated stubs are no option: `xds-protos` overwrites files of other packages (grpc/grpc#42926).
The messages live in a descriptor pool of their own, so they meet no other package's.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

from google.protobuf import message_factory
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool


@cache
def descriptor_pool() -> DescriptorPool:
    """The pool of all messages that were shipped."""
    pool = DescriptorPool()
    shipped = resources.files(__package__).joinpath("envoy_descriptors.binpb").read_bytes()
    for file in FileDescriptorSet.FromString(shipped).file:
        pool.Add(file)
    return pool


@cache
def message_class(name: str) -> Any:  # Any: a message class that is only known at run time
    """The class of the message with this full name, such as `envoy.config.cluster.v3.Cluster`.

    Raises:
        KeyError: it was not shipped (tools/envoy_closure.py).
    """
    return message_factory.GetMessageClass(descriptor_pool().FindMessageTypeByName(name))
