"""Typed clients of our own services, and the live view of the registry that a watch feeds."""
