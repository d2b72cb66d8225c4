"""Hydra finds sweepers in this namespace alone, and imports all of it at each start: nothing heavy here."""
