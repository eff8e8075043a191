"""Metrics of Quantus: a file a plugin; what they share is in ``base``."""
