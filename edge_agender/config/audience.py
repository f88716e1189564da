"""The options of counting: who is followed, who is a viewer, and how figures are cut by time."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from edge_agender.config.section import Fraction, NotNegative, Positive, Section


class TrackingConfig(Section):
    max_gap_s: Positive = 1.5
    max_gap_unconfirmed_s: Positive = 0.4
    rejoin_s: NotNegative = 10.0
    min_hits: Annotated[int, Field(ge=1, le=1000)] = 2
    start_score: Fraction = 0.0
    confirm_score: Fraction = 0.0
    picture_after_s: Annotated[float, Field(ge=0, le=3600)] = 25.0


class ViewerConfig(Section):
    """What it takes to count as a viewer."""

    min_detections: Annotated[int, Field(ge=1, le=1000)] = 3
    min_s: NotNegative = 0.5
    min_attention_s: NotNegative = 0.3
    engaged_s: Positive = 2.0


class LookingConfig(Section):
    """When a face looks at the sign: by where the head points, or without landmarks by how frontal it is (0..1)."""

    max_yaw_deg: Annotated[float, Field(gt=0, le=90)] = 32.0
    max_pitch_deg: Annotated[float, Field(gt=0, le=90)] = 35.0
    hysteresis_deg: NotNegative = 2.0
    starts_at: Fraction = 0.42
    ends_at: Fraction = 0.38
    smooth_s: NotNegative = 0.1
    max_gap_s: Positive = 0.6

    @model_validator(mode="after")
    def hysteresis(self) -> LookingConfig:
        if self.ends_at > self.starts_at:
            raise ValueError("ends_at must not be above starts_at")
        return self


class DistanceConfig(Section):
    lens_hfov_deg: Annotated[float, Field(gt=1, lt=179)] | None = None
    face_height_cm: Positive = 20.0
    near_cm: Positive = 150.0
    far_cm: Positive = 400.0

    @model_validator(mode="after")
    def ordered(self) -> DistanceConfig:
        if self.near_cm >= self.far_cm:
            raise ValueError("near_cm must be below far_cm")
        return self


class AudienceConfig(Section):
    age_bands: tuple[Annotated[int, Field(ge=1, le=120)], ...] = (13, 18, 25, 35, 45, 55, 65)
    min_gender_confidence: Annotated[float, Field(ge=0.5, le=1)] = 0.7
    hold_s: NotNegative = 0.5
    viewer: ViewerConfig = ViewerConfig()
    looking: LookingConfig = LookingConfig()
    distance: DistanceConfig = DistanceConfig()

    @field_validator("age_bands")
    @classmethod
    def rising(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if list(value) != sorted(set(value)):
            raise ValueError("the lower ends of the bands must rise, such as [13, 18, 25]")
        return value


class WindowConfig(Section):
    length_s: Annotated[int, Field(ge=10, le=86400)] = 60

    @field_validator("length_s")
    @classmethod
    def in_the_day(cls, value: int) -> int:
        return divides_the_day(value)


# A shorter table could be of a few people that somebody knows to have been there.
SHORTEST_PERIOD_S = 900


class DemographicsConfig(Section):
    """The table of gender and age: who the viewers of a period were."""

    period_s: Annotated[int, Field(ge=10, le=86400)] = 3600
    split: Literal["none", "content"] = "none"

    @field_validator("period_s")
    @classmethod
    def in_the_day(cls, value: int) -> int:
        return divides_the_day(value)


def divides_the_day(seconds: int) -> int:
    """Return a length of spans that are aligned to the clock; raise ValueError for another."""
    if 86400 % seconds:
        raise ValueError("must divide the day into equal parts, such as 60, 300, 900 or 3600")
    return seconds
