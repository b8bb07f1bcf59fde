"""Upscaling images with trained networks."""
