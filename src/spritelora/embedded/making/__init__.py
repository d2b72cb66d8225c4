"""The training of the embedded base from nothing."""
