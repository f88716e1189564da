"""Faults with real parts. What each cost is printed with `pytest -rP` and appended to $FAULTS_REPORT."""
