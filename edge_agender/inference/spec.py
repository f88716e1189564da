"""The data that describes a model: what it is fed, how its answers read, which files it is made of."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

# VGG-Face, the largest of the published families, has 580 MB of weights.
MAX_MODEL_BYTES = 700_000_000

FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
ModelName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
TensorName = Annotated[str, Field(min_length=1, max_length=200)]
Side = Annotated[int, Field(ge=8, le=1024)]
Short = Annotated[str, Field(max_length=500)]


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class FileSpec(Part):
    """A file beside the manifest. Without a hash it can be added by hand only, and its hash is recorded then."""

    name: FileName
    sha256: Sha256 | None = None
    size_bytes: Annotated[int, Field(gt=0, le=MAX_MODEL_BYTES)] | None = None
    url: Annotated[str, Field(pattern=r"^https://", max_length=500)] | None = None


class InputSpec(Part):
    """The picture that a network wants. Values go in as (pixel - mean) / divide, after the stretch where one is named.

    `none`: as they are. `unit`: 0..1. `symmetric`: -1..1. `mean`: by `mean` and `divide`, in the order of `colour`.
    `minmax`: stretched so that the crop's darkest value is 0 and its brightest 255. `standardize`: less the crop's
    mean, divided by its standard deviation. `brightest`: divided by the crop's brightest value.

    `align`: `arcface` turns and scales a face by its five landmarks (preprocess.align_face); from a detector that
    gives none, and without `align`, it is the square round the box with `margin` (preprocess.crop_face).
    """

    size: tuple[Side, Side]
    colour: Literal["bgr", "rgb", "grey"]
    layout: Literal["nhwc", "nchw"] = "nhwc"
    dtype: Literal["float32", "int8", "uint8"] = "float32"
    scale: Literal["none", "unit", "symmetric", "mean", "minmax", "standardize", "brightest"] = "none"
    mean: tuple[float, ...] = ()
    divide: tuple[Annotated[float, Field(gt=0)], ...] = ()
    margin: Annotated[float, Field(ge=-0.4, le=2)] = 0.0
    align: Literal["box", "arcface"] = "box"

    @property
    def fixed_scale(self) -> bool:
        """Return whether a pixel's value depends on nothing but itself."""
        return self.scale in ("none", "unit", "symmetric", "mean")

    @property
    def channels(self) -> int:
        return 1 if self.colour == "grey" else 3

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the tensor's shape for one picture."""
        width, height = self.size
        return (1, height, width, self.channels) if self.layout == "nhwc" else (1, self.channels, height, width)

    @model_validator(mode="after")
    def complete(self) -> InputSpec:
        if (self.scale == "mean") != bool(self.mean or self.divide):
            raise ValueError("scale: mean comes with mean: and divide:, the others without")
        if any(len(values) not in (0, 1, self.channels) for values in (self.mean, self.divide)):
            raise ValueError(f"mean and divide hold one number or {self.channels}, one a channel")
        return self


class OutputSpec(Part):
    """Which numbers to read: a named tensor or, without a name, the network's only one; some columns of it, or all."""

    tensor: TensorName | None = None
    columns: tuple[Annotated[int, Field(ge=0, le=4096)], Annotated[int, Field(ge=1, le=4096)]] | None = None


class AgeOutput(OutputSpec):
    """How a tensor says an age.

    `years`: one number, times `multiply` plus `add`. `expectation`: probabilities of `count` classes, the first
    standing for `first` years and each for `step` more; logits where `softmax`. `bins`: the same with the years in
    `centres`.
    """

    decode: Literal["years", "expectation", "bins"]
    multiply: float = 1.0
    add: float = 0.0
    first: float = 0.0
    step: Annotated[float, Field(gt=0)] = 1.0
    count: Annotated[int, Field(ge=2, le=1000)] = 101
    centres: tuple[Annotated[float, Field(ge=0, le=120)], ...] = ()
    softmax: bool = False

    @model_validator(mode="after")
    def complete(self) -> AgeOutput:
        if (self.decode == "bins") != bool(self.centres):
            raise ValueError("decode: bins comes with centres:, the others without")
        return self


class DeviationOutput(OutputSpec):
    """How a tensor says the age's standard deviation: in years, or as the logarithm of the variance."""

    decode: Literal["years", "log_variance"]
    multiply: float = 1.0
    add: float = 0.0


class GenderOutput(OutputSpec):
    """How a tensor says a gender: `one` number that rises towards `rises_to`, or `two` classes, `female` one of them.

    `low` and `high` are the ends of a number that is no probability yet. Logits go through a sigmoid or softmax.
    """

    decode: Literal["one", "two"]
    rises_to: Literal["female", "male"] = "female"
    female: Literal[0, 1] = 0
    logits: bool = False
    low: float = 0.0
    high: float = 1.0
    temperature: Annotated[float, Field(gt=0, le=100)] = 1.0


class StagewiseOutput(OutputSpec):
    """SSR-Net's stages, for a network that leaves the last sum to the reader (Yang et al. 2018).

    The tensor holds the probabilities of each stage's bins, then the offsets of each stage's bins, then a delta a
    stage. `bins` has the number of bins of each stage.
    """

    bins: Annotated[tuple[Annotated[int, Field(ge=2, le=101)], ...], Field(min_length=1, max_length=8)]
    range_years: Annotated[float, Field(gt=0, le=200)] = 101.0
    lambda_offset: float = 1.0
    lambda_delta: float = 1.0

    @property
    def count(self) -> int:
        """Return how many numbers the tensor holds."""
        return 2 * sum(self.bins) + len(self.bins)


class Outputs(Part):
    age: AgeOutput | None = None
    age_stages: StagewiseOutput | None = None
    age_sd: DeviationOutput | None = None
    gender: GenderOutput | None = None

    def tensors(self) -> set[str]:
        """Return the names of all tensors that are read."""
        parts = (self.age, self.age_stages, self.age_sd, self.gender)
        return {part.tensor for part in parts if part and part.tensor}


class DetectionSpec(Part):
    """How a detector's output says boxes, and from which score on.

    `score_threshold` makes a face; `keep_threshold`, a lower one, is enough to go on following somebody.

    `distances`: the scores of all cells, row by row, one of the `strides` after the other; then for each cell how far
    the box's left, top, right and bottom lie from the cell's centre (x + 0.5, y + 0.5), in strides. `landmarks`: for
    each cell, in the same order, five numbers, the score divided by `score_unit`, the box's centre in strides from the
    cell's corner (x, y), and the logarithm of its width and height in strides; then ten for each cell, right eye, left
    eye, nose, right and left corner of the mouth, in strides from the same corner. `res10`: OpenCV's rows of
    (_, _, score, x1, y1, x2, y2), corners as parts of the picture. `yunet`: what OpenCV's FaceDetectorYN reads.
    """

    decode: Literal["distances", "landmarks", "res10", "yunet"]
    score_threshold: Annotated[float, Field(gt=0, lt=1)]
    keep_threshold: Annotated[float, Field(gt=0, lt=1)] | None = None
    logits: bool = True
    score_unit: Annotated[float, Field(gt=0, le=100)] = 1.0
    strides: Annotated[tuple[Annotated[int, Field(ge=1, le=256)], ...], Field(max_length=8)] = ()

    @model_validator(mode="after")
    def complete(self) -> DetectionSpec:
        if (self.decode in ("distances", "landmarks")) != bool(self.strides):
            raise ValueError("decode: distances and landmarks come with strides:, the others without")
        return self


class NetworkSpec(Part):
    """One network: its weights and, for some of OpenCV's importers, a second file that describes it."""

    runtime: Literal["tflite", "onnx", "caffe", "tensorflow"]
    weights: FileSpec
    description: FileSpec | None = None
    outputs: Outputs = Outputs()

    @property
    def files(self) -> tuple[FileSpec, ...]:
        return (self.weights, self.description) if self.description else (self.weights,)


class SourceFile(FileSpec):
    """A published file from which one of the networks' files is made."""

    makes: FileName
    how: Literal["ssrnet-keras", "keras"]


class ModelSpec(Part):
    """One detector or estimator: the networks that make it, what they are fed and how their answers read.

    `verified` says that the real weights were run here and gave what their publisher says.
    """

    role: Literal["detector", "estimator"]
    title: Short
    origin: Short
    licence: Short
    verified: bool = False
    notes: Short = ""
    card: FileName | None = None
    parameters: Annotated[int, Field(gt=0)] | None = None
    multiply_adds: Annotated[int, Field(gt=0)] | None = None
    input: InputSpec
    networks: Annotated[tuple[NetworkSpec, ...], Field(min_length=1, max_length=4)]
    detection: DetectionSpec | None = None
    sources: Annotated[tuple[SourceFile, ...], Field(max_length=8)] = ()
    name: str = ""
    folder: Path = Path()

    @model_validator(mode="after")
    def complete(self) -> ModelSpec:
        if (self.role == "detector") != (self.detection is not None):
            raise ValueError("a detector has detection:, an estimator has not")
        outputs = [network.outputs for network in self.networks]
        ages = sum((each.age is not None) + (each.age_stages is not None) for each in outputs)
        genders = sum(each.gender is not None for each in outputs)
        if self.role == "estimator" and (ages, genders) != (1, 1):
            raise ValueError("an estimator's outputs say one age and one gender")
        return self


class Manifest(Part):
    schema_: Literal["edge-agender-models/1"] = Field(alias="schema")
    models: Annotated[dict[ModelName, ModelSpec], Field(max_length=200)]
