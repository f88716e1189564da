"""Every published family: what its network is fed and how its answer reads, against its authors' own code in words."""

import math
from dataclasses import dataclass, field

import cv2
import numpy as np
import pytest

from edge_agender.inference import catalogue as models
from edge_agender.inference.encode import picture_values
from edge_agender.vision.estimator import read_estimate

FAMILIES = models.load_manifest(models.shipped_folder() / models.PUBLISHED)

# One pixel of a picture whose other half is brighter: what each network must see in its place.
B, G, R = 10, 20, 30
BRIGHT = (200, 100, 50)
MEAN = (sum((B, G, R)) + sum(BRIGHT)) / 6
DEVIATION = math.sqrt(sum((value - MEAN) ** 2 for value in (B, G, R, *BRIGHT)) / 6)
LUMA = float(cv2.cvtColor(np.uint8([[(B, G, R)]]), cv2.COLOR_BGR2GRAY)[0, 0])


def classes(count, *hot):
    probabilities = np.zeros((1, count), np.float32)
    for place in hot:
        probabilities[0, place] = 1 / len(hot)
    return probabilities


@dataclass
class Family:
    """`sees`: the dark pixel as fed. `says`: each network's tensors for one face, which mean `years` and `p_female`."""

    size: tuple[int, int]
    sees: tuple[float, ...]
    says: list[dict[str, np.ndarray]]
    years: float
    p_female: float
    margin: float = 0.4
    layout: str = "nhwc"
    runtimes: tuple[str, ...] = field(default=("tflite",))


def one(value):
    return np.array([[value]], np.float32)


def two(first, second):
    return np.array([[first, second]], np.float32)


MINMAX = tuple((value - 10) * 255 / 190 for value in (B, G, R))
STANDARD = tuple((value - MEAN) / DEVIATION for value in (R, G, B))
SSR = [{"value": one(31.5)}, {"value": one(0.2)}]  # the gender net rises towards male
PAIR = ("tflite", "tflite")

EXPECTED = {
    "ssrnet": Family((64, 64), MINMAX, SSR, 31.5, 0.8, runtimes=PAIR),
    "ssrnet-demo": Family((64, 64), MINMAX, SSR, 31.5, 0.8, margin=0.1, runtimes=PAIR),
    "ssrnet-wiki": Family((64, 64), MINMAX, SSR, 31.5, 0.8, runtimes=PAIR),
    "ssrnet-imdb": Family((64, 64), MINMAX, SSR, 31.5, 0.8, runtimes=PAIR),
    "ssrnet-morph": Family((64, 64), MINMAX, SSR, 31.5, 0.2, runtimes=PAIR),
    "ssrnet-mxnet": Family(
        (64, 64), (R, G, B), [{"a": one(40)}, {"g": one(0.9)}], 40, 0.1, 0.1, "nchw", ("onnx", "onnx")
    ),
    "levi-hassner": Family(
        (227, 227),
        (B - 78.4263377603, G - 87.7689143744, R - 114.895847746),
        [{"prob": classes(8, 4)}, {"prob": two(0.25, 0.75)}],
        28.5,
        0.75,
        layout="nchw",
        runtimes=("caffe", "caffe"),
    ),
    "ravishankar-mobilenet": Family(
        (224, 224),
        tuple(value / 127.5 - 1 for value in (R, G, B)),
        [{"gender": two(0.9, 0.1), "age": classes(21, 6, 8)}],
        7 * 4.76,
        0.9,
    ),
    "murray-convnet": Family(
        (224, 224), STANDARD, [{"age_prob": classes(101, 20, 40), "probabilities": two(0.3, 0.7)}], 30, 0.3
    ),
    "mansar-resnet50": Family(
        (256, 256),
        tuple(value / 200.001 for value in (R, G, B)),
        [{"dense_4": classes(8, 2)}, {"dense_2": one(0.9)}],
        10,
        0.1,
        runtimes=PAIR,
    ),
    "rude-carnie-inception-v3": Family(
        (227, 227), STANDARD, [{"logits": classes(8, 7) * 80}, {"logits": two(0, math.log(3))}], 70, 0.75, runtimes=PAIR
    ),
    "yu4u-wide-resnet": Family(
        (64, 64), (B, G, R), [{"pred_gender": two(0.6, 0.4), "pred_age": classes(101, 33)}], 33, 0.6
    ),
    "tony607-wide-resnet": Family(
        (64, 64), (B, G, R), [{"dense_1": two(0.6, 0.4), "dense_2": classes(101, 33)}], 33, 0.6
    ),
    "jiang-inception-resnet-v1": Family(
        (160, 160),
        STANDARD,
        [{"age_logits": classes(101, 50) * 90, "gender_logits": two(math.log(4), 0)}],
        50,
        0.8,
        margin=0.25,
    ),
    "serengil-vgg": Family(
        (224, 224),
        tuple(value / 255 for value in (R, G, B)),
        [{"x": classes(101, 8)}, {"x": two(0.7, 0.3)}],
        8,
        0.7,
        margin=0.2,
        runtimes=PAIR,
    ),
    "subedi-multi-output": Family(
        (198, 198),
        tuple(value / 255 for value in (R, G, B)),
        [{"age_output": one(0.5), "gender_output": two(0.1, 0.9), "race_output": classes(5, 0)}],
        32,
        0.9,
        margin=0.1,
    ),
    "agendernet-inception-v3": Family(
        (140, 140),
        tuple(value / 127.5 - 1 for value in (B, G, R)),
        [{"gender_prediction": two(0.2, 0.8), "age_prediction": classes(101, 60)}],
        60,
        0.2,
    ),
    "agendernet-mobilenet-v2": Family(
        (96, 96),
        tuple(value / 128 - 1 for value in (B, G, R)),
        [{"gender_prediction": two(0.2, 0.8), "age_prediction": classes(101, 60)}],
        60,
        0.2,
    ),
    "agendernet-ssrnet": Family(
        (64, 64), (B, G, R), [{"gender_prediction": one(0.75), "age_prediction": one(19)}], 19, 0.25
    ),
    "thesis-grey-60x80": Family(
        (80, 60), (LUMA / 255,), [{"a": one(44)}, {"g": two(0.35, 0.65)}], 44, 0.35, margin=0.0, runtimes=PAIR
    ),
}


def test_every_published_estimator_is_held_to_a_case():
    assert {name for name, spec in FAMILIES.items() if spec.role == "estimator"} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_what_the_network_is_fed(name):
    spec, family = FAMILIES[name].input, EXPECTED[name]
    width, height = family.size
    picture = np.full((height, width, 3), BRIGHT, np.uint8)
    picture[:, : width // 2] = (B, G, R)
    values = picture_values(picture, spec)
    assert spec.size == family.size
    assert values.shape == (height, width, len(family.sees))
    assert values[0, 0].tolist() == pytest.approx(family.sees, rel=0.01, abs=0.01)
    assert (spec.margin, spec.layout) == (family.margin, family.layout)


@pytest.mark.parametrize("name", EXPECTED)
def test_how_its_answer_reads(name):
    spec, family = FAMILIES[name], EXPECTED[name]
    assert tuple(network.runtime for network in spec.networks) == family.runtimes
    numbers = [{tensor: array.ravel().tolist() for tensor, array in says.items()} for says in family.says]
    estimate = read_estimate([(net.outputs, said) for net, said in zip(spec.networks, numbers, strict=True)])
    assert estimate.years == pytest.approx(family.years, abs=0.01)
    assert estimate.p_female == pytest.approx(family.p_female, abs=0.01)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_network_that_gives_no_number_gives_no_estimate(name):
    spec, family = FAMILIES[name], EXPECTED[name]
    nothing = [{tensor: [math.nan] * array.size for tensor, array in says.items()} for says in family.says]
    pairs = zip(spec.networks, nothing, strict=True)
    assert read_estimate([(network.outputs, says) for network, says in pairs]) is None


def test_the_race_output_is_dropped_on_purpose():
    tensors = FAMILIES["subedi-multi-output"].networks[0].outputs.tensors()
    assert tensors == {"age_output", "gender_output"}


def test_each_entry_names_its_origin_and_licence():
    for name, spec in FAMILIES.items():
        assert spec.origin.startswith("https://"), name
        assert spec.licence, name
        assert spec.verified == (
            name in ("res10", "yunet") or (name.startswith("ssrnet") and name != "ssrnet-mxnet")
        ), name
