"""How fast training and inference run here: ``python -m tools.benchmark --help``."""
