"""The benchmark: every path through the mesh and its alternatives, side by side in one run."""
