"""Speech engines of an NVIDIA Riva server, over gRPC."""

__all__: list[str] = []
