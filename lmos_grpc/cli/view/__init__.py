"""How events, decisions, agents and traces look on a terminal, and as JSON."""
