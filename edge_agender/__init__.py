"""Audience demographics beside a digital sign, counted at the edge."""

__version__ = "0.1.0"
