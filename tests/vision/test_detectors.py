import cv2
import numpy as np
import pytest

from edge_agender.config.settings import DetectorConfig
from edge_agender.errors import ModelError
from edge_agender.imaging.frame import Frame
from edge_agender.imaging.geometry import Box, iou
from edge_agender.imaging.preprocess import small_luma
from edge_agender.inference import catalogue as models
from edge_agender.vision.assembly import configured_detector
from edge_agender.vision.detectors.res10 import Res10Detector
from edge_agender.vision.detectors.ssd import SsdDetector
from edge_agender.vision.detectors.suppression import suppress, to_detections
from edge_agender.vision.detectors.yunet import YunetDetector
from tests.support import tiny_models
from tests.support.paths import SHARED
from training.common.joined import joined


def frame_of(small, full_width=1280, full_height=960):
    return Frame(0, 0.0, 0.0, small, np.zeros((full_height, full_width, 3), np.uint8))


def bright(*cells, shape=(240, 320), stride=16):
    picture = np.zeros(shape, np.uint8)
    for column, row in cells:
        picture[row * stride : (row + 1) * stride, column * stride : (column + 1) * stride] = 255
    return picture


def joined_cells(reach=(1, 1, 1, 1)):
    return joined(tiny_models.bright_cells(reach=reach), ["scores", "boxes"])


@pytest.fixture
def ssd(tmp_path):
    def make(config=None, reach=(1, 1, 1, 1), **detection):
        file = tiny_models.file_entry(tmp_path, "d.tflite", joined_cells(reach))
        tiny_models.write_manifest(tmp_path, {"d": tiny_models.detector_entry(file, **detection)})
        return SsdDetector(config or DetectorConfig(), models.find_model("d", tmp_path, tmp_path))

    return make


def test_a_bright_cell_is_found_where_it_lies_in_the_full_picture(ssd):
    (found,) = ssd().detect(frame_of(bright((4, 2))))
    # The cell's centre is (72, 40); one stride of 16 each way; the full picture is four times as large.
    assert found.box == pytest.approx((56 * 4, 24 * 4, 88 * 4, 56 * 4))
    assert found.score == pytest.approx(1 / (1 + np.exp(-127 / 64)), abs=0.01)


def test_distances_are_left_top_right_bottom(ssd):
    (found,) = ssd(reach=(0.5, 1, 1.5, 2)).detect(frame_of(bright((4, 2))))
    assert found.box == pytest.approx(tuple(4 * side for side in (72 - 8, 40 - 16, 72 + 24, 40 + 32)))


def test_a_dark_picture_shows_nobody(ssd):
    assert ssd().detect(frame_of(bright())) == []


def test_the_threshold_comes_from_the_manifest_unless_configured(ssd):
    half = np.where(bright((4, 2)) > 0, 160, 0).astype(np.uint8)  # logit 0.5, score 0.62
    assert len(ssd(score_threshold=0.6).detect(frame_of(half))) == 1
    assert ssd(score_threshold=0.65).detect(frame_of(half)) == []
    assert len(ssd(DetectorConfig(score_threshold=0.6), score_threshold=0.9).detect(frame_of(half))) == 1


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_the_ends_of_the_threshold_are_allowed(ssd, threshold):
    found = ssd(DetectorConfig(score_threshold=threshold)).detect(frame_of(bright((4, 2))))
    assert bool(found) == (threshold == 0.0)


def test_scores_that_are_probabilities_already(ssd):
    (found,) = ssd(logits=False).detect(frame_of(np.where(bright((4, 2)) > 0, 180, 0).astype(np.uint8)))
    assert found.score == pytest.approx((180 - 128) / 64, abs=0.01)


def test_boxes_end_at_the_pictures_edge_and_doubles_go(ssd):
    found = ssd(reach=(3, 3, 3, 3)).detect(frame_of(bright((0, 0), (1, 0), (19, 14))))
    assert len(found) == 2
    for each in found:
        assert each.box.x1 >= 0
        assert each.box.y1 >= 0
        assert each.box.x2 <= 1280
        assert each.box.y2 <= 960


def test_small_faces_are_left_out_by_their_height_in_the_full_picture(ssd):
    frame = frame_of(bright((4, 2)))  # a box of 128 pixels
    assert len(ssd(DetectorConfig(min_face_px=127)).detect(frame)) == 1
    assert ssd(DetectorConfig(min_face_px=129)).detect(frame) == []


def test_a_small_picture_of_another_shape_is_fitted(ssd):
    # 16:9: 320x180 lies at the top of the canvas; what lies below is grey and nobody.
    (found,) = ssd().detect(frame_of(bright((4, 2), shape=(180, 320)), 1280, 720))
    assert found.box == pytest.approx((224, 96, 352, 224))


@pytest.mark.parametrize("shape", [(1, 1), (2, 500), (480, 640), (240, 320)])
def test_any_picture_can_be_searched(ssd, shape):
    frame = Frame(0, 0.0, 0.0, np.full(shape, 255, np.uint8), np.zeros((*shape, 3), np.uint8))
    for found in ssd().detect(frame):
        assert found.box.x2 <= shape[1]
        assert found.box.y2 <= shape[0]


def test_a_network_whose_output_does_not_fit_its_strides_is_refused(tmp_path):
    for model, stride in ((joined_cells(), 8), (tiny_models.bright_cells(), 16)):
        file = tiny_models.file_entry(tmp_path, "d.tflite", model)
        tiny_models.write_manifest(tmp_path, {"d": tiny_models.detector_entry(file, stride=stride)})
        with pytest.raises(ModelError, match=f"expected one of {5 * 320 * 240 // stride**2} floats"):
            SsdDetector(DetectorConfig(), models.find_model("d", tmp_path, tmp_path))


# Two strides right of the cell's corner and one below it; twice as wide as high; the points in a row below each other.
PLACE = (2.0, 1.0, 1.0, 0.0)
POINTS = tuple(value for row in range(5) for value in (0.5, float(row)))


@pytest.fixture
def marking(tmp_path):
    def make(**detection):
        model = joined(tiny_models.red_faces(PLACE, POINTS), ["cells", "points"])
        file = tiny_models.file_entry(tmp_path, "d.tflite", model)
        entry = tiny_models.detector_entry(file, decode="landmarks", **detection)
        entry["input"] |= {"colour": "bgr", "mean": [0], "divide": [1]}
        tiny_models.write_manifest(tmp_path, {"d": entry})
        return SsdDetector(DetectorConfig(), models.find_model("d", tmp_path, tmp_path))

    return make


def red(*cells, small_bgr=True):
    picture = np.zeros((240, 320, 3), np.uint8)
    picture[..., 2] = bright(*cells)
    full = cv2.resize(picture, (1280, 960), interpolation=cv2.INTER_NEAREST)
    return Frame(0, 0.0, 0.0, picture[..., 0].copy(), full, small_bgr=picture if small_bgr else None)


@pytest.mark.parametrize("small_bgr", [True, False])
def test_landmarks_lie_where_the_cell_says_in_the_full_picture(marking, small_bgr):
    (found,) = marking().detect(red((4, 2), small_bgr=small_bgr))
    # The cell's corner is (64, 32) and a stride 16: the centre (96, 48), half a box e * 8 wide and 8 high.
    assert found.box == pytest.approx((4 * (96 - 8 * np.e), 160, 4 * (96 + 8 * np.e), 224), rel=0.01)
    assert found.landmarks == tuple((4 * (64 + 8), 4 * (32 + 16 * row)) for row in range(5))
    assert found.landmarks.nose == (288, 256)
    assert found.score == pytest.approx(1 / (1 + np.exp(-127 / 64)), abs=0.02)


def test_a_score_in_units_of_its_own_is_multiplied_before_it_is_judged(marking):
    (found,) = marking(score_unit=3.0, score_threshold=0.99).detect(red((4, 2)))
    assert found.score == pytest.approx(1 / (1 + np.exp(-3 * 127 / 64)), abs=0.01)
    assert marking(score_unit=1.0, score_threshold=0.99).detect(red((4, 2))) == []


def test_a_detector_that_wants_colour_sees_colour(marking):
    frame = red((4, 2))
    blue = Frame(0, 0.0, 0.0, frame.small, frame.full, small_bgr=frame.small_bgr[..., ::-1].copy())
    assert marking().detect(blue) == []


def test_what_a_detector_makes_of_a_picture_is_overwritten_and_the_picture_is_not(marking):
    frame = red((4, 2), small_bgr=False)
    before = frame.full.copy()
    detector = marking()
    detector.detect(frame)
    assert (frame.full == before).all()
    assert not detector._network._place().any()


def test_an_estimator_is_no_detector():
    with pytest.raises(ModelError, match="detector"):
        configured_detector(DetectorConfig(model="agender-ssrnet"))


def test_a_face_that_several_cells_see_lies_where_they_see_it_on_average():
    boxes = [[100.0, 100, 200, 200], [110.0, 100, 210, 200], [400.0, 100, 500, 200]]
    points = [[[float(box[0]) + 30, 140.0]] * 5 for box in boxes]
    both, other = to_detections(boxes, [0.6, 0.3, 0.5], DetectorConfig(), frame_of(bright()), points)
    assert both.score == 0.6
    assert both.box == pytest.approx((100 + 10 / 3, 100, 200 + 10 / 3, 200))
    assert both.landmarks.nose == pytest.approx((130 + 10 / 3, 140))
    assert other.box == (400, 100, 500, 200)


def test_numbers_that_are_none_are_no_face():
    boxes = np.array(
        [[10, 10, 60, 60], [np.nan, 0, 50, 50], [-np.inf, 0, np.inf, 50], [900, 900, 950, 950], [30, 30, 20, 9]]
    )
    scores = np.array([0.9, 0.9, 0.9, 0.9, np.nan])
    found = to_detections(boxes.tolist(), scores.tolist(), DetectorConfig(), frame_of(bright(), 320, 240))
    assert [each.box for each in found] == [(10, 10, 60, 60)]


def res10_spec():
    spec = models.load_manifest(models.shipped_folder() / models.PUBLISHED)["res10"]
    folder = SHARED / "models"
    if not folder.is_dir():
        pytest.skip("needs ../shared/models: the published res10 is not shipped")
    return spec.model_copy(update={"folder": folder})


def yunet_spec():
    spec = models.load_manifest(models.shipped_folder() / models.PUBLISHED)["yunet"]
    folder = SHARED / "models"
    if not (folder / "yunet_n.onnx").is_file():
        pytest.skip("needs ../shared/models: the published YuNet is not shipped")
    return spec.model_copy(update={"folder": folder})


READS_YUNET = tuple(int(part) for part in cv2.__version__.split(".")[:2]) >= (4, 13)


@pytest.mark.skipif(READS_YUNET, reason="this OpenCV reads YuNet")
def test_an_opencv_that_does_not_read_yunet_says_which_one_does(capfd):
    with pytest.raises(ModelError, match=r"opencv-python-headless>=4\.13") as caught:
        YunetDetector(DetectorConfig(kind="yunet"), yunet_spec())
    assert capfd.readouterr().err == "", "OpenCV's own lines say nothing that this one does not"
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not READS_YUNET, reason="needs OpenCV 4.13 or later")
def test_yunet_finds_the_man_with_the_ball_and_his_eyes():
    detector = YunetDetector(DetectorConfig(kind="yunet"), yunet_spec())
    (found,) = detector.detect(man_with_a_ball())
    assert overlap([found]) > 0.5
    assert found.landmarks.right_eye[0] < found.landmarks.nose[0] < found.landmarks.left_eye[0]
    assert detector.busy_s > 0


def test_yunet_takes_no_other_model():
    with pytest.raises(ModelError, match="is not YuNet"):
        YunetDetector(DetectorConfig(kind="yunet"), models.find_model("face-ssd"))


def man_with_a_ball():
    video = SHARED / "videos/agender-input1.gif"
    if not video.is_file():
        pytest.skip("needs ../shared/videos")
    capture = cv2.VideoCapture(str(video))
    full = np.asarray(capture.read()[1])
    capture.release()
    return Frame(0, 0.0, 0.0, small_luma(full, (320, 240)), full)


def overlap(found):
    """Return how well a detection covers the face in man_with_a_ball."""
    return float(iou([found.box], [Box(155, 57, 213, 127)])[0, 0])


def test_res10_finds_the_face_and_nothing_outside_the_picture():
    frame = man_with_a_ball()
    (face,) = Res10Detector(DetectorConfig(kind="res10"), res10_spec()).detect(frame)
    assert overlap(face) > 0.7
    everything = Res10Detector(DetectorConfig(kind="res10", score_threshold=0.05), res10_spec()).detect(frame)
    assert len(everything) > 1
    assert everything == sorted(everything, key=lambda each: -each.score)
    for each in everything:
        assert 0 <= each.box.x1 < each.box.x2 <= frame.full.shape[1]
        assert 0 <= each.box.y1 < each.box.y2 <= frame.full.shape[0]


def test_res10_is_fed_its_own_mean_in_bgr():
    spec = res10_spec()
    assert (spec.input.colour, spec.input.mean, spec.input.size) == ("bgr", (104, 177, 123), (300, 300))


def test_res10_that_is_not_installed_says_how(tmp_path, monkeypatch):
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    with pytest.raises(ModelError, match="models add res10"):
        configured_detector(DetectorConfig(kind="res10"))


def test_haar_finds_a_face_or_says_why_it_cannot():
    if not hasattr(cv2, "CascadeClassifier"):
        with pytest.raises(ModelError, match="without Haar cascades"):
            configured_detector(DetectorConfig(kind="haar"))
        return
    found = configured_detector(DetectorConfig(kind="haar")).detect(man_with_a_ball())
    assert overlap(found[0]) > 0.5
    assert all(0 < each.score <= 1 for each in found)
    assert configured_detector(DetectorConfig(kind="haar")).detect(frame_of(bright())) == []


def test_haar_without_its_part_of_opencv_is_one_line(monkeypatch):
    monkeypatch.delattr(cv2, "CascadeClassifier", raising=False)  # as in OpenCV 5
    with pytest.raises(ModelError, match="set detector"):
        configured_detector(DetectorConfig(kind="haar"))


def test_suppression_keeps_the_best_of_each_heap_in_order_of_score():
    boxes = [[0, 0, 10, 10], [1, 0, 11, 10], [50, 50, 60, 60], [51, 50, 61, 60], [0, 0, 4, 4]]
    scores = [0.6, 0.9, 0.7, 0.5, 0.4]
    assert suppress(boxes, scores, 0.45) == [1, 2, 4]
    assert suppress(boxes, scores, 1.0) == [1, 2, 0, 3, 4]


def test_suppression_of_nothing_and_of_noise():
    assert suppress([], [], 0.5) == []
    corner = np.random.default_rng(1).random((5000, 2)) * 1000
    boxes = np.concatenate([corner, corner + 2], axis=1)
    assert len(suppress(boxes.tolist(), np.linspace(0, 1, 5000).tolist(), 0.5, limit=100)) <= 100
