"""The daemon with leaks planted in it, to see that the search finds them. Run by the proof, never shipped.

python -m proofs.no_images.planted FOLDER run ...
"""

from __future__ import annotations

import base64
import mmap
import os
import socket
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from edge_agender.cli import main
from edge_agender.imaging.frame import Frame, Picture
from edge_agender.vision.pipeline import Observation, Pipeline


def jpeg_in_the_log(face: Picture, _frame: Frame, _folder: Path) -> None:
    text = base64.b64encode(cv2.imencode(".jpg", face)[1].tobytes()).decode()
    sys.stderr.write(f"DEBUG crop={text}\n")


def frame_in_a_deleted_file(_face: Picture, frame: Frame, folder: Path) -> None:
    with (folder / "cache.bin").open("wb") as file:
        file.write(frame.full.tobytes())
    (folder / "cache.bin").unlink()


def deflated_rows_over_a_socket(_face: Picture, frame: Frame, _folder: Path) -> None:
    near, far = socket.socketpair()
    near.sendall(zlib.compress(frame.small.tobytes())[:32768])
    near.close()
    far.close()


def crop_as_numbers(face: Picture, _frame: Frame, folder: Path) -> None:
    grey = cv2.cvtColor(cv2.resize(face, (48, 48), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
    (folder / "embedding.json").write_text(str(grey.ravel().tolist()))


def tensor_of_a_network(face: Picture, _frame: Frame, folder: Path) -> None:
    tensor = cv2.resize(face, (64, 64), interpolation=cv2.INTER_AREA).astype(np.float32) / 127.5 - 1
    (folder / "tensor.npy").write_bytes(tensor.tobytes())


def encrypted_picture(_face: Picture, frame: Frame, folder: Path) -> None:
    key = np.random.default_rng(1).integers(0, 256, frame.small.size, np.uint8)
    (folder / "sealed").write_bytes((frame.small.ravel() ^ key).tobytes())


def shared_memory(_face: Picture, frame: Frame, _folder: Path) -> None:
    memory = os.memfd_create("scratch")
    os.ftruncate(memory, frame.small.size)
    with mmap.mmap(memory, frame.small.size) as window:
        window[:] = frame.small.tobytes()


def preview_in_the_daemon(_face: Picture, frame: Frame, _folder: Path) -> None:
    from edge_agender.commands.preview.page import serve
    from edge_agender.commands.preview.screen import Screen
    from edge_agender.recordings.draw import annotate

    screen = Screen()
    with serve(0, screen) as server:
        annotate(frame.full, [])
        with socket.create_connection(server.server_address[:2]) as browser:
            browser.sendall(f"GET /{server.word}/pictures HTTP/1.0\r\nHost: 127.0.0.1:1\r\n\r\n".encode())
            while not screen.wait_for_watcher(1.0):
                pass
            screen.show(cv2.imencode(".jpg", frame.full)[1].tobytes())
            browser.recv(65536)


# What each is found as.
LEAKS: dict[Callable[[Picture, Frame, Path], None], str] = {
    jpeg_in_the_log: "encoded picture",
    frame_in_a_deleted_file: "rows of a frame",
    deflated_rows_over_a_socket: "rows of a frame",
    crop_as_numbers: "face by correlation",
    tensor_of_a_network: "face by correlation",
    encrypted_picture: "bytes that are no text",
    shared_memory: "shared memory",
    preview_in_the_daemon: "preview in the daemon",
}


def plant(folder: Path) -> None:
    """Make the pipeline leak, in every way, the first frame that shows somebody."""
    process = Pipeline.process
    left = list(LEAKS)

    def leaking(self: Pipeline, frame: Frame) -> Observation:
        full, small = frame.full.copy(), frame.small.copy()
        copy = Frame(frame.sequence, frame.captured_s, frame.utc_s, small, full)
        seen = process(self, frame)
        if seen.faces and left:
            x1, y1, x2, y2 = (max(int(value), 0) for value in seen.faces[0].box)
            while left:
                left.pop()(np.ascontiguousarray(full[y1:y2, x1:x2]), copy, folder)
        return seen

    Pipeline.process = leaking  # type: ignore[method-assign]


if __name__ == "__main__":
    plant(Path(sys.argv[1]))
    sys.exit(main(sys.argv[2:]))
