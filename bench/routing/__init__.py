"""How well and how fast the router decides, on public data that is not kept here."""
