import hashlib

import pytest

from training.record import recorded

TEXT = """models:
  a:
    weights:
      name: a.tflite
      size_bytes: 1
      sha256: {zeros}
  b: # stays
    weights:
      name: b.tflite
      size_bytes: 2
      sha256: {zeros}
""".format(zeros="0" * 64)


def test_only_the_files_own_lines_change():
    digest = hashlib.sha256(b"new").hexdigest()
    lines = recorded(TEXT, "a.tflite", b"new").splitlines()
    changed = [(old, new) for old, new in zip(TEXT.splitlines(), lines, strict=True) if old != new]
    assert [new.strip() for _, new in changed] == ["size_bytes: 3", f"sha256: {digest}"]


def test_a_file_without_an_entry_is_an_error():
    with pytest.raises(ValueError, match=r"c\.tflite"):
        recorded(TEXT, "c.tflite", b"new")
