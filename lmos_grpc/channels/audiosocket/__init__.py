"""Asterisk's AudioSocket: audio and keys of one call over one TCP connection."""

__all__: list[str] = []
