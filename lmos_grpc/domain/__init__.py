"""Plain types and rules of the mesh: no gRPC, no Protobuf, no asyncio."""
