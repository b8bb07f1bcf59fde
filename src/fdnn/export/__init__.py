"""Trained networks for other runtimes: ``python -m fdnn.export --help``."""
