"""What image files hold beside pixels, and how they are written: for :mod:`fdnn.images.io`."""
