"""Trained networks for other runtimes: ``fdnn export --help``."""
