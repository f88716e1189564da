"""From a picture to the tensor that a network wants, by its InputSpec alone."""

from __future__ import annotations

import cv2
import numpy as np

from edge_agender.imaging.frame import Array, Picture
from edge_agender.imaging.preprocess import resize, wipe
from edge_agender.inference.spec import InputSpec


def picture_values(picture: Picture, spec: InputSpec) -> Array:
    """Return a B, G, R or grey picture as float32 values (height, width, channels), scaled as the network wants."""
    sized = pixels(picture, spec)
    plain = sized.astype(np.float32)
    wipe(sized, picture)
    values = scaled(plain, spec)
    wipe(plain, values)
    return values


def pixels(picture: Picture, spec: InputSpec) -> Picture:
    """Return a B, G, R or grey picture in the size and the colours that the network wants, not yet scaled."""
    if spec.colour == "bgr" and picture.shape == (spec.size[1], spec.size[0], 3):
        return picture
    sized = picture if picture.shape[1::-1] == spec.size else resize(picture, spec.size)
    coloured = in_colour(sized, spec.colour)
    wipe(sized, picture, coloured)
    return coloured


def scaled(values: Array, spec: InputSpec) -> Array:
    """Return float32 pixels (height, width, channels) as the values that the network wants."""
    if spec.scale == "unit":
        return values / np.float32(255)
    if spec.scale == "symmetric":
        return values / np.float32(127.5) - np.float32(1)
    if spec.scale == "mean":
        mean, divide = (np.asarray(part, np.float32) for part in (spec.mean or 0, spec.divide or 1))
        return np.asarray((values - mean) / divide)
    if spec.scale == "minmax":
        return stretch(values)
    if spec.scale == "brightest":
        return values / np.float32(values.max() + 0.001)
    return standardize(values) if spec.scale == "standardize" else values


def in_colour(picture: Picture, colour: str) -> Picture:
    """Return a B, G, R or grey picture as (h, w, 3) B, G, R or R, G, B, or as (h, w, 1) luma."""
    grey = picture.ndim == 2 or picture.shape[2] == 1
    if colour == "grey":
        luma = picture if grey else cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
        return np.asarray(luma, np.uint8).reshape(*picture.shape[:2], 1)
    if grey:
        return np.asarray(cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR), np.uint8)
    return picture if colour == "bgr" else picture[:, :, ::-1]


def stretch(values: Array) -> Array:
    """Return the values stretched to 0..255 over all channels, as cv2.normalize with NORM_MINMAX does; 0 where flat."""
    low, high = values.min(), values.max()
    # A flat picture divides by 1: cv2.normalize, too, leaves 0 there.
    return np.asarray((values - low) * (np.float32(255) / (high - low if high > low else np.float32(1))))


def standardize(values: Array) -> Array:
    """Return the values less their mean, over their deviation, as TensorFlow's per_image_standardization does."""
    deviation = max(float(values.std()), 1.0 / float(np.sqrt(values.size)))
    return np.asarray((values - values.mean()) / np.float32(deviation), np.float32)


def as_tensor(values: Array, layout: str) -> Array:
    """Return (h, w, c) values as a batch of one: (1, h, w, c) or (1, c, h, w), contiguous."""
    ordered = values if layout == "nhwc" else values.transpose(2, 0, 1)
    return np.ascontiguousarray(ordered[None])
