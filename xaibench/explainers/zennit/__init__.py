"""zennit's composites: a file a plugin; what they share is in ``base``."""
