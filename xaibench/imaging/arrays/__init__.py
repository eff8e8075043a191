"""Data sets whose images and labels stand in arrays: found, read row by row, split."""
