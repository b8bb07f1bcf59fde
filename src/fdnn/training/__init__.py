"""The Lightning module and what surrounds a training run."""
