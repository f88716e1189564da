"""What a file's name says of it."""

from __future__ import annotations

# In lower case, with the dot.
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".jp2")
