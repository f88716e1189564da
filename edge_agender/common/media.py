"""What a file's name says of it."""

from __future__ import annotations

# In lower case, with the dot. A gif is a video.
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".jp2")
VIDEO_SUFFIXES = (".mp4", ".mkv", ".avi", ".mov", ".webm", ".m4v", ".gif", ".ts", ".mpg", ".mpeg", ".wmv")
