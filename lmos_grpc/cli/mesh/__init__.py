"""The composition of a mesh: each part as an async context manager, and all of them as one."""
