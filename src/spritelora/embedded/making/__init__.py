"""How the embedded base is trained from nothing."""
