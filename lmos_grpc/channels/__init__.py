"""The edges of the mesh that speak other protocols: telephony in, live sessions out."""

__all__: list[str] = []
