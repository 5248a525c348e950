"""Envoy's own messages, built from a shipped descriptor file, for whoever speaks with Envoy."""

from lmos_grpc.envoy_api.messages import descriptor_pool, message_class

__all__ = ["descriptor_pool", "message_class"]
