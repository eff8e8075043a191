"""captum's attributions: a file a plugin; what they share is in ``base``."""
