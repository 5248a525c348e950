"""Frameworks that the mesh is compared with; each module runs in an environment of its own."""
