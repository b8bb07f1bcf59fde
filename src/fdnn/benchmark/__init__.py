"""How fast training and inference run here: ``python -m fdnn.benchmark --help``."""
