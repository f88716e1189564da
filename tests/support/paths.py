"""Where tests find what is not theirs."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Beside a checkout; a clone of its own does not have it.
SHARED = ROOT.parent / "shared"
