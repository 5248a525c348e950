"""A telephone call to a voice edge that is made by a script, recorded and measured: for the demo, tests and the bench."""
