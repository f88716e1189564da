"""Coverage-guided fuzzing of what reads foreign bytes (atheris, libFuzzer); `python -m proofs.fuzz`."""
