"""One telephone call: hears, speaks, keeps time, and holds a live session with the mesh."""

__all__: list[str] = []
