"""The commands of `lmos`, one a file."""
