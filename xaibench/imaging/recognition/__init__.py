"""What a user's own images are, told from what lies there: for a config to begin with."""
