"""Programs of this repository that are not installed."""
