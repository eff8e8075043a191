"""Label maps of images: made once, by workers, kept in files."""
