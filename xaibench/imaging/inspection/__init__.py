"""Looking at a data set before any training."""
