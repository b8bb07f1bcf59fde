"""The report: what was measured beside what the paper prints, ``python -m tools.report``."""
