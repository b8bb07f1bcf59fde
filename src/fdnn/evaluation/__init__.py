"""The evaluation protocol, scores, and what is reported of them."""
