"""Files in, magnified files out: what ``predict`` does beyond magnifying one image."""
