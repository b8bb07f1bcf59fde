"""A page to try the shipped weights in the browser: ``python -m fdnn.demo --help``."""
