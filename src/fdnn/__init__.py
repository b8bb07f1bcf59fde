"""FDNN: single-image super-resolution whose numbers match the paper."""
