"""The report: what was measured beside what the paper prints, ``python src/train.py report``."""
