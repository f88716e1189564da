"""What WHAT stands for: one recording, the recordings of a folder, or pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge_agender.common.media import PICTURE_SUFFIXES, VIDEO_SUFFIXES
from edge_agender.errors import MediaError


@dataclass(frozen=True, slots=True)
class Playlist:
    """Either `videos` (or a camera, a URL, demo: what --source takes) or `pictures`."""

    videos: tuple[str, ...] = ()
    pictures: tuple[Path, ...] = ()


def playlist(what: str) -> Playlist:
    """Return what is to be shown; raise MediaError for what is not there, and a folder without videos and pictures."""
    path = Path(what)
    if path.is_dir():
        return _of_folder(path)
    if "://" not in what and what != "demo" and not path.exists():
        raise MediaError(f"{what}: no such file: give a video, a picture, a folder, /dev/video0 or a URL")
    if path.suffix.lower() in PICTURE_SUFFIXES:
        return Playlist(pictures=(path,))
    return Playlist(videos=(what,))


def _of_folder(folder: Path) -> Playlist:
    try:
        files = sorted(each for each in folder.iterdir() if each.is_file())
    except OSError as error:
        raise MediaError(f"{folder}: {error.strerror or error}: give a folder that can be read") from None
    videos = tuple(str(each) for each in files if each.suffix.lower() in VIDEO_SUFFIXES)
    if videos:
        return Playlist(videos=videos)
    pictures = tuple(each for each in files if each.suffix.lower() in PICTURE_SUFFIXES)
    if not pictures:
        raise MediaError(f"{folder}: holds neither videos nor pictures: give a folder with some, or a file")
    return Playlist(pictures=pictures)
