"""What a fleet may set from afar: a list of options, and for each how far. The local file is the limit.

Whatever is not on the list cannot be set: a new option is refused until somebody decides. On the list stands nothing of
where pictures come from, to whom messages go, who may look, whose models are trusted, and how it is switched off. What
bears on privacy may become stricter than the local file, never looser.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge_agender.config.hours import minutes_of_week
from edge_agender.config.load import validate
from edge_agender.config.section import option_names
from edge_agender.config.settings import Config
from edge_agender.errors import ConfigError

MOST_REASONS, LONGEST_REASON = 16, 300


@dataclass(frozen=True, slots=True)
class Rule:
    """`limit`: from the local value and the wanted one to what would be allowed, None where the wanted one is.

    `words`: the same for a page.
    """

    words: str
    limit: Callable[[Any, Any], str | None]


ANY = Rule("any value", lambda local, wanted: None)
AT_LEAST = Rule("the local value or more", lambda local, wanted: None if wanted >= local else f"at least {local}")
AT_MOST = Rule("the local value or less", lambda local, wanted: None if wanted <= local else f"at most {local}")
# Others would overlap the local spans, and differences show what lies between.
MULTIPLE = Rule(
    "multiples of the local value", lambda local, wanted: f"a multiple of {local}" if wanted % local else None
)
# Fewer limits make wider bands.
AMONG = Rule(
    "some of the local ones", lambda local, wanted: None if {*wanted} <= {*local} else f"some of {list(local)}"
)


def _outside(local: Sequence[str], wanted: Sequence[str]) -> str | None:
    return None if minutes_of_week(wanted) <= minutes_of_week(local) else f"within {list(local)}"


WITHIN = Rule("within the local ones", _outside)


def _not_before(*loosest_first: str) -> Rule:
    """One of these, the local one or any that stands after it."""

    def limit(local: str, wanted: str) -> str | None:
        allowed = loosest_first[loosest_first.index(local) :]
        return None if wanted in allowed else f"one of {', '.join(allowed)}"

    return Rule(f"the local value or one after it: {', '.join(loosest_first)}", limit)


OR_OFF = Rule("the local value or off", lambda local, wanted: "off" if wanted and not local else None)

_FREE = (
    *("detector.threads", "estimator.model", "estimator.threads", "gating.estimates"),
    *("audience.hold_s", "audience.viewer.engaged_s"),
    *("audience.looking.max_yaw_deg", "audience.looking.max_pitch_deg", "audience.looking.hysteresis_deg"),
    *("audience.looking.starts_at", "audience.looking.ends_at", "audience.looking.smooth_s"),
    *("audience.looking.max_gap_s", "audience.distance.lens_hfov_deg", "audience.distance.face_height_cm"),
    *("audience.distance.near_cm", "audience.distance.far_cm"),
    *("publish.idle_s", "log.level"),
)
# A passer-by of a moment is nobody's viewer.
VIEWERS = ("audience.viewer.min_detections", "audience.viewer.min_s", "audience.viewer.min_attention_s")
RULES: Mapping[str, Rule] = {
    **dict.fromkeys(_FREE, ANY),
    # Smaller faces are those of people farther away, who may not even be before the sign.
    "detector.min_face_px": AT_LEAST,
    # Cells of few are hidden by counting visits. What would break one person's visit into many is not on the list (the
    # detector and its threshold, tracking), and faces may be searched for more often, not more seldom.
    **dict.fromkeys(("gating.motion", "gating.cadence"), OR_OFF),
    "gating.motion_luma": AT_MOST,
    **dict.fromkeys(("gating.idle_interval_s", "gating.still_interval_s", "gating.active_interval_s"), AT_MOST),
    **dict.fromkeys(VIEWERS, AT_LEAST),
    "audience.age_bands": AMONG,
    "audience.min_gender_confidence": AT_LEAST,
    "window.length_s": MULTIPLE,
    "demographics.period_s": MULTIPLE,
    "demographics.split": _not_before("content", "none"),
    "privacy.level": _not_before("viewer", "frame", "aggregate"),
    "privacy.min_cell": AT_LEAST,
    "schedule.hours": WITHIN,
    # Each change tells as much as each frame does; frames at a rate are a part of both.
    "publish.frames": _not_before("every", "change", "rate"),
    "publish.max_rate_hz": AT_MOST,
    "publish.health_s": AT_LEAST,
}
# A new length ends the spans that are open: whoever changes it all the time cuts them as short as they like.
LENGTHS = ("window.length_s", "demographics.period_s")


def with_remote(local: Config, options: Mapping[str, Any]) -> Config:
    """Return the local configuration with what is wanted from afar in force; raise ConfigError, a line a reason."""
    wanted = dict(flat(options))
    reasons = [reason for name in wanted if (reason := _forbidden(name, local.fleet.locked))]
    if not reasons:
        config = _merged(local, wanted)
        reasons = [reason for name in option_names(Config) if (reason := _looser(name, local, config))]
    if reasons:
        more = [f"and {len(reasons) - MOST_REASONS} more"] if len(reasons) > MOST_REASONS else []
        raise ConfigError("\n".join([*(line[:LONGEST_REASON] for line in reasons[:MOST_REASONS]), *more]))
    return config


def settable(locked: Sequence[str] = ()) -> list[str]:
    """Return the names of the options that a device with these locks lets be set from afar."""
    return [name for name in RULES if not _is_locked(name, locked)]


def check_names(names: Iterable[str]) -> None:
    """Raise ConfigError for options that no device lets be set from afar, a line a reason."""
    if reasons := [reason for name in names if (reason := _forbidden(name, ()))]:
        raise ConfigError("\n".join(reasons))


def check_without_device(options: Mapping[str, Any]) -> None:
    """Raise ConfigError for what no device would take, whatever its own file says."""
    wanted = dict(flat(options))
    check_names(wanted)
    _merged(Config(), wanted)


def effective(config: Config) -> dict[str, Any]:
    """Return by name every option that could be set from afar, with the value that is in force."""
    return {name: _plain(value_of(config, name)) for name in RULES}


def digest(options: Mapping[str, Any]) -> str:
    """Return by what a configuration is known: twelve hexadecimal digits."""
    text = json.dumps(options, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def value_of(config: Config, name: str) -> Any:
    """Return the value of the option of a dotted name."""
    value: Any = config
    for part in name.split("."):
        value = getattr(value, part)
    return value


def flat(options: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each option below sections with its dotted name."""
    for key, value in options.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def nested(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The reverse of `flat`."""
    return _put({}, wanted)


def _put(data: dict[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Set options of dotted names in nested sections, and return these."""
    for name, value in wanted.items():
        *sections, option = name.split(".")
        node = data
        for section in sections:
            node = node.setdefault(section, {})
        node[option] = value
    return data


def _forbidden(name: str, locked: Sequence[str]) -> str | None:
    if name not in RULES:
        known = name in _KNOWN or any(option.startswith(f"{name}.") for option in _KNOWN)
        return f"{_printable(name)}: {'cannot be set from afar' if known else 'unknown option'}"
    if _is_locked(name, locked):
        return f"{name}: locked on the device (fleet.locked)"
    return None


def _is_locked(name: str, locked: Sequence[str]) -> bool:
    return any(name == each or name.startswith(f"{each}.") for each in locked)


def _looser(name: str, local: Config, config: Config) -> str | None:
    """Why the value in force is not to be: looked at for every option, however it came to be another than the local."""
    ours, theirs = value_of(local, name), value_of(config, name)
    if ours == theirs:
        return None
    if name not in RULES:
        return f"{name}: cannot be set from afar"
    limit = RULES[name].limit(ours, theirs)
    return limit and f"{name}: {_plain(theirs)} is looser than the device's own file allows: {limit}"


def _merged(local: Config, wanted: Mapping[str, Any]) -> Config:
    try:
        return validate(_put(local.model_dump(), wanted), "")
    except ConfigError as error:
        raise ConfigError("\n".join(line.removeprefix(": ") for line in str(error).splitlines())) from None


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _printable(name: str) -> str:
    return name[:80] if name.isprintable() else "(a name that cannot be printed)"


_KNOWN = frozenset(option_names(Config))
