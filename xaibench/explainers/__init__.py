"""The explainers: `base.py` is their contract, every other file is one of them."""
