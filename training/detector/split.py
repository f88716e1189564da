"""Which pictures judge: four whole event classes of WIDER, whose places, light and poses training never sees.

And every second picture without a face.
"""

from __future__ import annotations

HELD_OUT = ("1_Handshaking", "3_Riot", "4_Dancing", "20_Family")


def event(path: str) -> str:
    """Return the event class of a scene, such as `3_Riot`."""
    return "_".join(path.rsplit("/", 1)[-1].split("_")[:2])


def held_out(path: str) -> bool:
    """Return whether a scene, or a picture without a face, is held out of everything but the last judgement."""
    folder, _, name = path.rpartition("/")
    return event(path) in HELD_OUT or (folder == "nofaces" and int(name.split(".")[0]) % 2 == 0)
