"""shap's explainers: a file a plugin; what they share is in ``base``."""
