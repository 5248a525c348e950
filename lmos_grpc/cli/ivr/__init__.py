"""A telephone call to a voice edge, made by a script, recorded and measured: for the demo, tests and the bench."""
