"""A run, from its config to its figures; `story.py` tells it."""
