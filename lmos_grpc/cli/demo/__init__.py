"""The demo: customers' requests sent through a real mesh, and what came of them."""
