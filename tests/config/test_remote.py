"""A hostile fleet tries every option of the schema: none loosens privacy, and none says where the camera is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from edge_agender.config.hours import minutes_of_week
from edge_agender.config.load import validate
from edge_agender.config.remote import (
    RULES,
    check_without_device,
    digest,
    effective,
    flat,
    nested,
    settable,
    value_of,
    with_remote,
)
from edge_agender.config.section import option_names
from edge_agender.config.settings import Config
from edge_agender.errors import ConfigError

SECRET = "rtsp://ann:s3cret-word@camera.local/stream"
# A device whose owner said much, one whose owner said nothing, and one whose owner is careful.
LOCALS: dict[str, dict[str, Any]] = {
    "open": {
        "privacy": {"level": "viewer", "min_cell": 1},
        "demographics": {"split": "content", "period_s": 900},
        "window": {"length_s": 10},
        "publish": {"frames": "every", "max_rate_hz": 60, "health_s": 5},
        "tracking": {"rejoin_s": 60, "max_gap_s": 5},
        "audience": {"min_gender_confidence": 0.5},
    },
    "default": {},
    "careful": {
        "privacy": {"level": "aggregate", "min_cell": 10},
        "window": {"length_s": 300},
        "demographics": {"period_s": 7200},
        "publish": {"frames": "rate", "max_rate_hz": 1, "health_s": 120},
        "tracking": {"rejoin_s": 1, "max_gap_s": 0.5, "max_gap_unconfirmed_s": 0.2},
        "audience": {"age_bands": [18, 65], "min_gender_confidence": 0.9},
        "schedule": {"hours": ["mon-fri 09:00-18:00", "sat 22:00-02:00"]},
        "detector": {"min_face_px": 40},
    },
}
WITH_CAMERA = {"source": {"kind": "opencv", "opencv": {"uri": SECRET}}, "fleet": {"remote_config": True}}
# What a hostile operator would try, whatever the option is.
NUMBERS = (0, 1, 2, 10, 60, 90, 120, 300, 900, 3600, 14_400, 86_400, 0.001, 0.5, 0.95)
WORDS = ("aggregate", "frame", "viewer", "none", "content", "every", "rate", "change", "ssd", "debug", "60", SECRET)
BANDS = ([], [13, 18, 25, 35, 45, 55, 65], [18], [18, 65], [1, 2, 3])
HOURS = (["mon-sun 00:00-24:00"], ["mon 10:00-11:00"], ["sat 23:00-01:00"], ["sun 00:00-03:00"])
VALUES: tuple[Any, ...] = (None, True, {}, {"uri": SECRET}, *NUMBERS, *WORDS, *BANDS, *HOURS)


def local(name: str) -> Config:
    return validate({**LOCALS[name], **WITH_CAMERA}, name)


def tries() -> Iterator[dict[str, Any]]:
    """Each option with each value, in every way of writing it; whole sections too."""
    for name, value in product(option_names(Config), VALUES):
        yield nested({name: value})
        if value in ("viewer", 1, SECRET):
            yield {name: value}
    sections = {name.rpartition(".")[0] for name in option_names(Config)}
    for section, value in product(sorted(sections), (None, {}, [], "x", 1)):
        yield nested({section: value})


def assert_no_looser(ours: Config, theirs: Config) -> None:
    """Written down apart from the rules: what must hold of a configuration whatever came from afar."""
    untouched = set(option_names(Config)) - RULES.keys()
    assert all(value_of(ours, name) == value_of(theirs, name) for name in untouched)
    levels = ["aggregate", "frame", "viewer"]
    assert levels.index(theirs.privacy.level) <= levels.index(ours.privacy.level)
    assert theirs.privacy.min_cell >= ours.privacy.min_cell
    assert theirs.window.length_s % ours.window.length_s == 0
    assert theirs.demographics.period_s % ours.demographics.period_s == 0
    assert theirs.demographics.split in ("none", ours.demographics.split)
    assert set(theirs.audience.age_bands) <= set(ours.audience.age_bands)
    assert theirs.audience.min_gender_confidence >= ours.audience.min_gender_confidence
    assert theirs.publish.max_rate_hz <= ours.publish.max_rate_hz
    assert theirs.publish.health_s >= ours.publish.health_s
    assert theirs.publish.frames == "rate" or ours.publish.frames != "rate"
    # Nothing breaks one person into the several that min_cell asks for.
    assert theirs.tracking == ours.tracking
    assert theirs.detector.model_copy(update={"min_face_px": 0, "threads": 1}) == ours.detector.model_copy(
        update={"min_face_px": 0, "threads": 1}
    )
    for interval in ("idle_interval_s", "still_interval_s", "active_interval_s", "motion_luma"):
        assert getattr(theirs.gating, interval) <= getattr(ours.gating, interval)
    assert theirs.gating.motion <= ours.gating.motion
    assert theirs.gating.cadence <= ours.gating.cadence
    assert theirs.audience.viewer.min_s >= ours.audience.viewer.min_s
    assert theirs.audience.viewer.min_detections >= ours.audience.viewer.min_detections
    assert theirs.detector.min_face_px >= ours.detector.min_face_px
    assert minutes_of_week(theirs.schedule.hours) <= minutes_of_week(ours.schedule.hours)


@pytest.mark.parametrize("name", LOCALS)
def test_nothing_from_afar_loosens_what_the_owner_set(name: str) -> None:
    ours = local(name)
    taken = 0
    for options in tries():
        try:
            theirs = with_remote(ours, options)
        except ConfigError as error:
            for line in str(error).splitlines():
                assert SECRET not in line or SECRET in json.dumps(options), "the camera's address is in a refusal"
        else:
            taken += theirs != ours
            assert_no_looser(ours, theirs)
    assert taken > 100, "the list lets nothing through: this would have found nothing"


def test_every_option_is_on_the_list_or_refused() -> None:
    assert RULES.keys() <= set(option_names(Config))
    for name in option_names(Config):
        present = value_of(local("open"), name)
        if name not in RULES:
            with pytest.raises(ConfigError, match="cannot be set from afar"):
                with_remote(local("open"), nested({name: present}))


def test_what_is_none_of_the_fleets_business_is_not_on_the_list() -> None:
    """Where pictures come from, to whom messages go, who looks, whose models are trusted, how it is switched off."""
    for section in ("device", "source", "models", "mqtt", "outbox", "web", "fleet", "home_assistant"):
        assert not [name for name in RULES if name.startswith(f"{section}.")]
    assert {name for name in RULES if name.startswith("schedule.")} == {"schedule.hours"}


def test_what_is_reported_has_no_address_nor_path_nor_name_of_a_user() -> None:
    everything = {
        **WITH_CAMERA,
        "mqtt": {"username": "box-user", "password_file": "/run/word"},
        "device": {"name": "d"},
    }
    text = json.dumps(effective(validate(everything, "")))
    assert not [word for word in ("camera.local", "s3cret", "box-user", "/run/word", "opencv") if word in text]


def test_the_owner_may_lock_options_and_sections() -> None:
    ours = validate({"fleet": {"remote_config": True, "locked": ["schedule", "audience.viewer", "privacy.level"]}}, "")
    for name, value in {
        "schedule.hours": ["mon 10:00-11:00"],
        "audience.viewer.min_s": 1,
        "privacy.level": "aggregate",
    }.items():
        with pytest.raises(ConfigError, match="locked on the device"):
            with_remote(ours, nested({name: value}))
        assert name not in settable(ours.fleet.locked)
    assert with_remote(ours, {"privacy": {"min_cell": 9}}).privacy.min_cell == 9
    with pytest.raises(ConfigError, match=r"fleet\.locked"):
        validate({"fleet": {"locked": ["scedule"]}}, "")


def test_all_reasons_are_said_at_once_and_are_bounded() -> None:
    with pytest.raises(ConfigError) as refused:
        with_remote(local("careful"), {"privacy": {"level": "viewer", "min_cell": 3}, "window": {"length_s": 60}})
    assert str(refused.value).splitlines() == [
        "window.length_s: 60 is looser than the device's own file allows: a multiple of 300",
        "privacy.level: viewer is looser than the device's own file allows: one of aggregate",
        "privacy.min_cell: 3 is looser than the device's own file allows: at least 10",
    ]
    with pytest.raises(ConfigError) as refused:
        with_remote(local("careful"), {f"{number}{'x' * 500}": 1 for number in range(500)})
    assert len(str(refused.value)) < 6000


def test_a_mistake_is_found_before_anything_is_sent() -> None:
    for options in ({"privacy": {"lvl": "frame"}}, {"window": {"length_s": 7}}, {"mqtt": {"host": "x"}}):
        with pytest.raises(ConfigError):
            check_without_device(options)
    check_without_device({"privacy": {"level": "viewer"}})  # what a device's own file allows, the device alone knows


def test_what_is_taken_is_the_local_configuration_with_it() -> None:
    ours = local("default")
    theirs = with_remote(ours, {"gating": {"idle_interval_s": 0.2}, "audience": {"viewer": {"min_s": 1}}})
    assert dict(flat(theirs.model_dump())) == dict(flat(ours.model_dump())) | {
        "gating.idle_interval_s": 0.2,
        "audience.viewer.min_s": 1.0,
    }
    assert with_remote(ours, {}) == ours


def test_a_file_with_paths_and_lists_stays_what_it_is(tmp_path: Path) -> None:
    ours = validate({"outbox": {"path": str(tmp_path)}, "mqtt": {"hosts": ["a", "b:1884"]}}, "")
    assert with_remote(ours, {"privacy": {"min_cell": 6}}).outbox.path == tmp_path


def test_the_digest_is_of_what_is_meant_not_of_how_it_is_written() -> None:
    assert digest({"a": 1, "b": {"c": 2, "d": 3}}) == digest({"b": {"d": 3, "c": 2}, "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})
