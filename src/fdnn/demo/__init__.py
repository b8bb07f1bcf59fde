"""A page to try the shipped weights in the browser: ``fdnn demo --help``."""
