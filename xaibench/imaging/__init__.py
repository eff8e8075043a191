"""Files -> pixels: pictures, tables, archives, crop, resize, masks, splits."""
