import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_agender.errors import MediaError
from edge_agender.imaging.geometry import Box
from edge_agender.imaging.pictures import read_picture
from edge_agender.vision.faces import Detection, Estimate
from edge_agender.vision.stills import picture_files, predict_file, predict_image


class OneFace:
    """Finds one face in the middle of every picture, and remembers what it was shown."""

    def detect(self, frame):
        self.frame = frame
        height, width = frame.full.shape[:2]
        return [Detection(Box(width / 4, height / 4, width * 3 / 4, height * 3 / 4), 0.91234)]


class Fixed:
    crop_px, crop_margin = 16, 0.25
    aligned = False

    def __init__(self, estimate):
        self.answer = estimate

    def estimate(self, crops):
        self.crops = crops
        return [self.answer for _ in crops]


WOMAN = Estimate(31.234, 5.678, 0.876)


def picture(height=120, width=160, channels=3):
    shape = (height, width) if channels == 1 else (height, width, channels)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def write(folder, name, image):
    path = folder / name
    assert cv2.imwrite(str(path), image)
    return path


def test_the_answer_has_the_promised_shape(tmp_path):
    path = write(tmp_path, "a.png", picture())
    assert predict_file(path, OneFace(), Fixed(WOMAN)) == {
        "path": str(path),
        "width": 160,
        "height": 120,
        "faces": [
            {
                "box": [40.0, 30.0, 120.0, 90.0],
                "score": 0.9123,
                "age": {"years": 31.23, "sd": 5.68},
                "gender": {"label": "female", "p_female": 0.876},
            }
        ],
    }


def test_what_is_not_known_is_null_and_json():
    unsure = predict_image(picture(), OneFace(), Fixed(Estimate(40.0, float("nan"), 0.2)))
    assert unsure["faces"][0]["age"] == {"years": 40.0, "sd": None}
    assert unsure["faces"][0]["gender"]["label"] == "male"
    silent = predict_image(picture(), OneFace(), Fixed(None))
    assert (silent["faces"][0]["age"], silent["faces"][0]["gender"]) == (None, None)
    json.dumps([unsure, silent], allow_nan=False)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_grey_and_transparent_pictures_are_pictures(tmp_path, channels):
    estimator = Fixed(WOMAN)
    predict_file(write(tmp_path, "a.png", picture(channels=channels)), OneFace(), estimator)
    assert estimator.crops[0].shape == (16, 16, 3)
    assert predict_image(picture(channels=channels), OneFace(), estimator)["width"] == 160


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 3000), (3000, 1), (7, 5)])
def test_odd_sizes_are_pictures(tmp_path, height, width):
    detector = OneFace()
    answer = predict_file(write(tmp_path, "a.png", picture(height, width)), detector, Fixed(WOMAN))
    assert (answer["width"], answer["height"]) == (width, height)
    assert detector.frame.small.ndim == 2
    assert detector.frame.small.shape <= (240, 320)


def test_a_16_bit_picture_is_read(tmp_path):
    path = write(tmp_path, "a.png", (picture().astype(np.uint16) * 257))
    assert read_picture(path).dtype == np.uint8


def test_a_picture_lies_as_its_exif_says(tmp_path):
    upright = np.zeros((40, 20, 3), np.uint8)
    upright[:10] = 255
    jpeg = cv2.imencode(".jpg", cv2.rotate(upright, cv2.ROTATE_90_COUNTERCLOCKWISE))[1].tobytes()
    tag = b"\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00"  # orientation 6: turn clockwise to see it upright
    exif = b"Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08\x00\x01" + tag + b"\x00\x00\x00\x00"
    (tmp_path / "a.jpg").write_bytes(jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + jpeg[2:])
    image = read_picture(tmp_path / "a.jpg")
    assert image.shape == (40, 20, 3)
    assert image[:8].mean() > 200 > 50 > image[14:].mean()


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + b"\0" * 50, b"GIF89a", None])
def test_what_is_no_picture_is_one_line(tmp_path, content):
    path = tmp_path / "a.jpg"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MediaError, match=r"a\.jpg") as caught:
        read_picture(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kept", [0.01, 0.5, 0.99])
def test_a_truncated_jpeg_is_refused_whole(tmp_path, kept):
    data = cv2.imencode(".jpg", picture(480, 640))[1].tobytes()
    (tmp_path / "a.jpg").write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(MediaError, match=r"a\.jpg: not a picture"):
        read_picture(tmp_path / "a.jpg")


def test_a_folder_is_its_pictures_by_name(tmp_path):
    (tmp_path / "folder.jpg").mkdir()
    for name in ("b.PNG", "a.jpg", "notes.txt", "sub/c.jpeg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    given = Path("given.anything")
    found = [path.name for path in picture_files([tmp_path, given])]
    assert found == ["a.jpg", "b.PNG", "c.jpeg", "given.anything"]
