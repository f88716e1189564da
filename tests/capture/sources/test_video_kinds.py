"""Every kind of video shows the same people: turned, mirrored, oblong, of other formats, changing on the way."""

from __future__ import annotations

import threading
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from edge_agender.capture.sources import open_source
from edge_agender.capture.sources.media import MAX_PIXELS, VideoDecoder
from edge_agender.config.settings import Config, DetectorConfig, OpencvConfig, SourceConfig
from edge_agender.errors import MediaError
from edge_agender.imaging.frame import Frame
from edge_agender.imaging.orientation import of_display_matrix, upright
from edge_agender.vision.assembly import build_pipeline, configured_detector
from tests.support import videos
from tests.support.videos import SIZE, write

WIDTH, HEIGHT = SIZE
# What coding and scaling change of a picture, mean of levels.
ALIKE = 6.0


@pytest.fixture(scope="module")
def detector() -> Any:
    return configured_detector(DetectorConfig(min_face_px=8))


def frames(path: Path, **options: Any) -> list[Frame]:
    """Copies of the frames of a video."""
    config = SourceConfig.model_validate(
        {"kind": "opencv", "opencv": OpencvConfig(uri=str(path), pace=False), "rate_hz": videos.RATE_HZ, **options}
    )
    with open_source(config, threading.Event()) as source:
        found = []
        while (frame := source.read()) is not None:
            found.append(Frame(frame.sequence, frame.captured_s, frame.utc_s, frame.small.copy(), frame.full.copy()))
            frame.release()
    return found


def difference(frame: Frame, picture: np.ndarray) -> float:
    scaled = cv2.resize(frame.full, picture.shape[1::-1], interpolation=cv2.INTER_AREA)
    return float(cv2.absdiff(scaled, picture).mean())


def assert_shows(frame: Frame, picture: np.ndarray, detector: Any) -> None:
    """The frame is that picture, in colour and in its small luma, and its three faces are found."""
    assert difference(frame, picture) < ALIKE
    luma = cv2.cvtColor(cv2.resize(picture, frame.small.shape[1::-1], interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
    assert float(cv2.absdiff(frame.small, luma).mean()) < ALIKE
    assert len(detector.detect(frame)) == 3


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt", "options"),
    [
        ("a.mp4", "libx264", "yuv420p", {}),
        ("a.mp4", "libx264", "yuvj420p", {}),
        ("a.mp4", "libx264", "yuv422p", {}),
        ("a.mp4", "libx264", "yuv444p", {}),
        ("a.mp4", "libx264", "yuv420p10le", {}),
        ("a.mkv", "libx264", "nv12", {}),
        ("a.ts", "mpeg2video", "yuv420p", {"b": "4M"}),
        ("a.avi", "mjpeg", "yuvj422p", {"qmin": "2", "qmax": "3"}),
        ("a.avi", "mpeg4", "yuv420p", {"b": "4M"}),
        ("a.mkv", "ffv1", "bgra", {}),
        ("a.mkv", "ffv1", "yuva420p", {}),
        ("a.mkv", "ffv1", "yuv420p16le", {}),
        ("a.avi", "rawvideo", "bgr24", {}),
        ("a.mov", "png", "rgb24", {}),
        ("a.webm", "libvpx", "yuv420p", {"b": "3M", "deadline": "realtime", "cpu-used": "8"}),
    ],
)
def test_codecs_and_pixel_formats(
    name: str, codec: str, pix_fmt: str, options: dict[str, str], tmp_path: Path, detector: Any
) -> None:
    pictures = videos.people(4)
    found = frames(write(tmp_path / name, pictures, codec=codec, pix_fmt=pix_fmt, options=options))
    assert len(found) == len(pictures)
    assert_shows(found[-1], pictures[-1], detector)


def test_grey_videos_are_grey(tmp_path: Path, detector: Any) -> None:
    found = frames(write(tmp_path / "a.mkv", videos.people(2), codec="ffv1", pix_fmt="gray"))
    grey = cv2.cvtColor(videos.people(2)[-1], cv2.COLOR_BGR2GRAY)
    assert_shows(found[-1], cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), detector)


# What a viewer does to a stored picture, by EXIF's numbers, and the stored picture of each that shows people upright.
STORED = {number: {6: 8, 8: 6}.get(number, number) for number in range(1, 9)}
MATRICES = {
    1: (1, 0, 0, 1),
    2: (-1, 0, 0, 1),
    3: (-1, 0, 0, -1),
    4: (1, 0, 0, -1),
    5: (0, 1, 1, 0),
    6: (0, 1, -1, 0),
    7: (0, -1, -1, 0),
    8: (0, -1, 1, 0),
}


@pytest.mark.parametrize("number", range(1, 9))
@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv"])
def test_a_video_turned_or_mirrored_by_its_container_is_upright(
    number: int, name: str, tmp_path: Path, detector: Any
) -> None:
    pictures = [upright(picture, STORED[number]) for picture in videos.people(2)]
    a, b, c, d = (value * 65536 for value in MATRICES[number])

    def turned(_: Any, stream: Any) -> None:
        stream.set_display_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30])

    found = frames(write(tmp_path / name, pictures, prepare=turned))
    assert_shows(found[-1], videos.people(2)[-1], detector)


@pytest.mark.parametrize("angle_deg", [80, 90, 100])
def test_an_odd_angle_is_the_nearest_quarter(angle_deg: int) -> None:
    sine, cosine = np.sin(np.radians(angle_deg)), np.cos(np.radians(angle_deg))
    assert of_display_matrix(cosine, sine, -sine, cosine) == 6
    assert of_display_matrix(0, 0, 0, 0) == 1


def test_the_options_rotation_comes_after_the_containers(tmp_path: Path) -> None:
    pictures = [upright(picture, 8) for picture in videos.people(2)]

    def turned(_: Any, stream: Any) -> None:
        stream.set_display_matrix([0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30])

    (found, _) = frames(write(tmp_path / "a.mp4", pictures, prepare=turned), rotate_deg=90)
    assert difference(found, upright(videos.people(2)[0], 6)) < ALIKE


@pytest.mark.parametrize("aspect", [Fraction(2, 1), Fraction(4, 3), Fraction(1, 2), Fraction(8, 9)])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_oblong_pixels_are_made_square(aspect: Fraction, name: str, tmp_path: Path, detector: Any) -> None:
    squeezed = [cv2.resize(each, (round(WIDTH / aspect) & ~1, HEIGHT)) for each in videos.people(2)]
    found = frames(write(tmp_path / name, squeezed, aspect=aspect))[-1]
    assert found.full.shape[1] / found.full.shape[0] == pytest.approx(WIDTH / HEIGHT, rel=0.02)
    assert min(found.full.shape[:2]) >= min(squeezed[0].shape[:2])
    assert_shows(found, videos.people(2)[-1], detector)


@pytest.mark.parametrize("aspect", [Fraction(1, 1000), Fraction(1000, 1)])
def test_a_pixel_aspect_without_sense_is_ignored(aspect: Fraction, tmp_path: Path) -> None:
    assert frames(write(tmp_path / "a.mkv", videos.people(2), aspect=aspect))[0].full.shape[:2] == (HEIGHT, WIDTH)


def joined(path: Path, *parts: Path) -> Path:
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def test_a_stream_that_changes_its_size_shows_what_is_there(tmp_path: Path, detector: Any) -> None:
    small = [cv2.resize(each, (480, 360), interpolation=cv2.INTER_AREA) for each in videos.people(5)]
    large = write(tmp_path / "1.ts", videos.people(5))
    changed = write(tmp_path / "2.ts", small)
    empty = write(tmp_path / "3.ts", videos.empty(5, (320, 240)))
    found = frames(joined(tmp_path / "a.ts", large, changed, empty))
    sizes = [frame.full.shape[1::-1] for frame in found]
    assert sizes == [SIZE] * 5 + [(480, 360)] * 5 + [(320, 240)] * 5
    assert_shows(found[4], videos.people(5)[-1], detector)
    assert_shows(found[9], videos.people(5)[-1], detector)
    assert detector.detect(found[-1]) == []


def test_a_stream_that_changes_its_pixel_format_and_aspect_goes_on(tmp_path: Path, detector: Any) -> None:
    squeezed = [cv2.resize(each, (320, HEIGHT)) for each in videos.people(4)]
    first = write(tmp_path / "1.h264", videos.people(4), container={"format": "h264"})
    second = write(tmp_path / "2.h264", videos.people(4), pix_fmt="yuv444p", container={"format": "h264"})
    third = write(tmp_path / "3.h264", squeezed, aspect=Fraction(2, 1), container={"format": "h264"})
    found = frames(joined(tmp_path / "a.h264", first, second, third))
    assert len(found) == 12
    for frame in (found[3], found[7], found[11]):
        assert_shows(frame, videos.people(4)[-1], detector)


@pytest.mark.parametrize("size", [(321, 241), (97, 65), (33, 401)])
def test_odd_sizes(size: tuple[int, int], tmp_path: Path) -> None:
    pictures = [cv2.resize(each, size, interpolation=cv2.INTER_AREA) for each in videos.people(2)]
    found = frames(write(tmp_path / "a.mkv", pictures, codec="ffv1", pix_fmt="yuv420p"))
    assert found[0].full.shape[1::-1] == size
    assert difference(found[-1], pictures[-1]) < ALIKE


def test_an_interlaced_picture_has_no_combs(tmp_path: Path, detector: Any) -> None:
    # The lines of two moments that lie far apart, as somebody walks.
    shifted = np.roll(videos.people(1)[0], 12, axis=1)
    combed = videos.people(1)[0].copy()
    combed[1::2] = shifted[1::2]
    options = {"flags": "+ilme+ildct", "x264-params": "tff=1:interlaced=1", "qp": "10"}
    found = frames(write(tmp_path / "a.mkv", [combed] * 3, options=options))
    assert found[-1].full.shape == combed.shape
    assert_shows(found[-1], videos.people(1)[0], detector)


def test_sound_pictures_of_covers_and_other_videos_are_not_watched(tmp_path: Path, detector: Any) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as output:
        sound = output.add_stream("pcm_s16le", rate=8000)
        tiny = output.add_stream("libx264", rate=videos.RATE_HZ)
        tiny.width, tiny.height, tiny.pix_fmt = 64, 48, "yuv420p"
        video = output.add_stream("libx264", rate=videos.RATE_HZ)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), layout="mono")
        silence.sample_rate = 8000
        output.mux(sound.encode(silence))
        for picture in videos.people(4):
            output.mux(tiny.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="bgr24")))
            output.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        for stream in (sound, tiny, video):
            output.mux(stream.encode(None))
    found = frames(path)
    assert len(found) == 4
    assert_shows(found[-1], videos.people(4)[-1], detector)


def test_what_holds_sound_alone_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mka"
    with av.open(str(path), "w", format="matroska") as output:
        sound = output.add_stream("pcm_s16le", rate=8000)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), layout="mono")
        silence.sample_rate = 8000
        output.mux(sound.encode(silence))
    with pytest.raises(MediaError, match="holds no video that can be read"):
        frames(path)


@pytest.mark.parametrize("name", ["a.ts", "a.mkv", "a.avi"])
def test_a_file_that_was_cut_off_is_watched_as_far_as_it_goes(name: str, tmp_path: Path) -> None:
    whole = write(tmp_path / name, videos.people(30)).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) * 2 // 3])
    assert 10 <= len(frames(tmp_path / name)) < 30


def test_an_animated_gif_is_a_video(tmp_path: Path) -> None:
    found = frames(write(tmp_path / "a.gif", videos.people(4), codec="gif", pix_fmt="rgb8"))
    assert len(found) == 4
    assert difference(found[-1], videos.people(4)[-1]) < 20


def test_variable_rates_and_time_lapse_keep_their_times(tmp_path: Path) -> None:
    stamps_s = [0.0, 0.1, 0.5, 5.0, 65.0, 125.0]
    found = frames(write(tmp_path / "a.mkv", videos.people(6), stamps_s=stamps_s))
    assert [frame.captured_s - found[0].captured_s for frame in found] == pytest.approx(stamps_s, abs=0.002)


def test_stamps_that_begin_below_zero_or_far_away_begin_now(tmp_path: Path) -> None:
    stamps_s = [90_000.0, 90_000.2, 90_000.4]
    found = frames(write(tmp_path / "a.mkv", videos.people(3), stamps_s=stamps_s))
    assert [frame.captured_s - found[0].captured_s for frame in found] == pytest.approx([0.0, 0.2, 0.4], abs=0.002)


def huge(path: Path) -> Path:
    """A video of more pixels than are decoded, in a few kilobytes."""
    size = (5000, 4000)
    assert size[0] * size[1] > MAX_PIXELS
    return write(path, [np.zeros((size[1], size[0], 3), np.uint8)], options={"qp": "40"})


def test_a_video_of_too_many_pixels_is_refused_by_its_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = huge(tmp_path / "a.mp4")
    monkeypatch.setattr(VideoDecoder, "decode", lambda *_: pytest.fail("decoded"))
    with pytest.raises(MediaError, match=r"a\.mp4: pictures of 5000 x 4000 pixels, more than the 15 million"):
        frames(path)


def test_a_stream_that_grows_beyond_the_limit_is_refused_there(tmp_path: Path) -> None:
    small = write(tmp_path / "1.h264", videos.people(3), container={"format": "h264"})
    write(tmp_path / "2.h264", [np.zeros((4000, 5000, 3), np.uint8)], container={"format": "h264"})
    context = av.CodecContext.create("h264", "r")
    decoder = VideoDecoder(context)
    found = [shot for packet in context.parse(small.read_bytes()) for shot in decoder.decode(packet)]
    *_, last = [*context.parse((tmp_path / "2.h264").read_bytes()), *context.parse(b"")]
    with pytest.raises(MediaError, match="pictures of 5000 x 4000 pixels"):
        decoder.decode(last)
    assert {shot.picture.size_px for shot in found} == {SIZE}


def test_a_frame_that_nobody_looks_at_is_never_converted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edge_agender.capture.sources.decoded import DecodedPicture

    path = write(tmp_path / "a.mp4", videos.people(3))
    monkeypatch.setattr(DecodedPicture, "bgr", lambda _: pytest.fail("converted"))
    config = SourceConfig(kind="opencv", opencv=OpencvConfig(uri=str(path), pace=False))
    with open_source(config, threading.Event()) as source:
        while (frame := source.read()) is not None:
            assert frame.size_px == SIZE
            assert frame.small.any()
            frame.release()


def test_people_stay_themselves_where_a_stream_changes_its_size(tmp_path: Path) -> None:
    small = [cv2.resize(each, (480, 360), interpolation=cv2.INTER_AREA) for each in videos.people(30)]
    large, changed = write(tmp_path / "1.ts", videos.people(30)), write(tmp_path / "2.ts", small)
    pipeline = build_pipeline(Config(gating={"motion": False, "cadence": False}))
    seen: list[set[int]] = []
    for frame in frames(joined(tmp_path / "a.ts", large, changed, large)):
        seen.append({face.track_id for face in pipeline.process(frame).faces})
    assert len(set.union(*seen)) == 3
    assert all(len(each) == 3 for each in seen[5:])
