"""OpenCV's own messages, turned off."""

from __future__ import annotations

import contextlib
import os

import cv2


def silence_opencv() -> None:
    """Stop OpenCV and FFmpeg from writing to stderr: their lines would repeat with every retry and show whole URLs."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    logging_of_cv2 = getattr(cv2.utils, "logging", cv2)  # OpenCV 5, else OpenCV 4
    with contextlib.suppress(AttributeError):
        logging_of_cv2.setLogLevel(0)
