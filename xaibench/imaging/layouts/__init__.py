"""How each archive lays out its files and tables."""
