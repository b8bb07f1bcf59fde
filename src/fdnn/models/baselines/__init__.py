"""The systems that the paper compares with, one paper a file."""
