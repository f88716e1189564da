"""Recordings of one's own: played through the true pipeline, and drawn on for whoever looks at them.

Only `commands` may import this room: the service has no way to a picture that is shown, and tests/test_architecture.py
reads every import to see that it stays so.
"""
