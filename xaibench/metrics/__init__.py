"""The metrics: `base.py` is their contract, every other file is one of them."""
