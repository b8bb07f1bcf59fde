"""Trained networks for other runtimes: ``python src/train.py export --help``."""
