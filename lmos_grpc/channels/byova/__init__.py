"""Webex Contact Center's Bring Your Own Virtual Agent: a mesh that a Webex tenant can point at."""

__all__: list[str] = []
