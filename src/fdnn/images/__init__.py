"""Reading, writing, converting and resizing images."""
