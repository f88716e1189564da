"""Faults with real parts. What each cost is printed with `pytest -rP` and appended to $FAULTS_REPORT."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
