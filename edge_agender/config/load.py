"""YAML and --set options -> a frozen, validated Config, or one ConfigError that lists every mistake."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from edge_agender.common import safe_yaml
from edge_agender.common.files import opened
from edge_agender.common.media import PICTURE_SUFFIXES
from edge_agender.config.section import TOPIC, TOPIC_LEVEL
from edge_agender.config.settings import Config
from edge_agender.errors import ConfigError

# A configuration is a page of text; anything larger is the wrong file, and YAML aliases could make it explode.
MAX_BYTES = 256 * 1024
# What an error message may repeat: words and numbers, but nothing that has a place for credentials (user:word@host).
_PLAIN_TEXT = re.compile(r"[\w .,/+-]{0,40}")
_NOT_A_NUMBER = {"int_parsing", "float_parsing", "int_type", "float_type", "int_from_float"}
_UNITS = {
    "_min_s": "seconds",
    "_us": "microseconds",
    "_ms": "milliseconds",
    "_s": "seconds",
    "_h": "hours",
    "_days": "days",
    "_mb": "megabytes",
    "_px": "pixels",
    "_cm": "centimetres",
    "_deg": "degrees",
    "_hz": "times a second",
}
_IN_WORDS = {
    TOPIC: "be words with / between them, such as shop/signs: no + and #, no $ at the start, no / at either end",
    TOPIC_LEVEL: "be one word without spaces, /, + and #, such as lobby-3",
}


def parse_yaml(text: str, origin: str) -> dict[str, Any]:
    """Return the mapping that a YAML text holds; raise ConfigError naming `origin` where it holds none."""
    try:
        data = safe_yaml.load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{origin}: not valid YAML: {safe_yaml.explain(error)}") from None
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ConfigError(f"{origin}: expected sections such as 'mqtt:', found {type(data).__name__}")
    return data


def read_file(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file; raise ConfigError where it cannot be read or is none."""
    try:
        with opened(path) as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        advice = "run this with sudo, or give another" if isinstance(error, PermissionError) else "give an existing"
        raise ConfigError(f"{path}: {error.strerror or error}: {advice} file with --config") from None
    if len(raw) > MAX_BYTES:
        raise ConfigError(f"{path}: larger than {MAX_BYTES // 1024} kB: this is not a configuration")
    try:
        return parse_yaml(raw.decode("utf-8"), str(path))
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not UTF-8 text: this is not a configuration") from None


def apply_overrides(data: Mapping[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """Return `data` with options such as "mqtt.host=broker" set; values are read as YAML."""
    merged: dict[str, Any] = {key: dict(value) if isinstance(value, dict) else value for key, value in data.items()}
    for override in overrides:
        path, equals, text = override.partition("=")
        keys = path.strip().split(".")
        name = path if all(re.fullmatch(r"[\w-]{1,40}", key) for key in keys) else "(what is given)"
        if not equals or not all(keys):
            raise ConfigError(f"--set {name}: write it as section.option=value, such as mqtt.host=broker.local")
        value = parse_yaml(f"value: {text}" if text.strip() else "value: null", f"--set {name}").get("value")
        node = merged
        for key in keys[:-1]:
            child = node.get(key)
            node[key] = dict(child) if isinstance(child, dict) else {}
            node = node[key]
        node[keys[-1]] = value
    return merged


def validate(data: Mapping[str, Any], origin: str) -> Config:
    """Return the Config that `data` describes; raise ConfigError with one line a mistake."""
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        lines = [_explain(dict(mistake)) for mistake in error.errors(include_url=False)]
        raise ConfigError("\n".join(f"{origin}: {line}" for line in lines)) from None


def load(path: Path | None, overrides: Iterable[str] = ()) -> Config:
    """Return the configuration of a file (defaults where None) with `overrides` applied, or raise ConfigError."""
    data = read_file(path) if path else {}
    return validate(apply_overrides(data, overrides), str(path) if path else "configuration")


def _number_words(option: str) -> str:
    """Return what a number's option wants; its unit is the end of its name."""
    unit = next((words for end, words in _UNITS.items() if option.endswith(end)), None)
    return "a number" if unit is None else f"a number of {unit} alone, such as 60"


def _explain(mistake: dict[str, Any]) -> str:
    where = ".".join(_named(part) for part in mistake["loc"]) or "(top)"
    kind, context = mistake["type"], mistake.get("ctx", {})
    if kind == "extra_forbidden":
        return f"{where}: unknown option; {_nearest(mistake['loc'])}"
    if kind == "literal_error":
        return f"{where}: must be one of {context['expected']}, not {_shown(mistake)}"
    if kind == "value_error":
        return f"{where}: {context['error']}"
    if kind == "model_type":
        return f"{where}: must be a section with options below it, not {_shown(mistake)}"
    if kind == "string_pattern_mismatch":
        return f"{where}: must {_IN_WORDS[context['pattern']]}, not {_shown(mistake)}"
    if kind in _NOT_A_NUMBER:
        return f"{where}: must be {_number_words(str(mistake['loc'][-1]))}, not {_shown(mistake)}"
    if kind == "tuple_type":
        return f"{where}: must be a list in brackets, such as [a, b], not {_shown(mistake)}"
    text = str(mistake["msg"]).removeprefix("String ").removeprefix("Input ").removeprefix("should ")
    return f"{where}: must {text}, not {_shown(mistake)}"


def _named(part: str | int) -> str:
    """A step of a path. What is no name was meant for a value."""
    return str(part) if re.fullmatch(r"[\w-]{1,40}", str(part)) else "(what is there)"


def _shown(mistake: dict[str, Any]) -> str:
    """The offending value, short, and never one that may be, or hold, a secret."""
    value = mistake.get("input")
    if any("password" in str(part) for part in mistake["loc"]):
        return "what is given"
    if isinstance(value, str) and not _PLAIN_TEXT.fullmatch(value):
        return "this text"
    if isinstance(value, dict | list):
        return "a section" if isinstance(value, dict) else "a list"
    return repr(value)


def _nearest(location: tuple[Any, ...]) -> str:
    node: type[BaseModel] = Config
    for part in location[:-1]:
        field = node.model_fields.get(str(part))
        if field is None or not isinstance(field.annotation, type) or not issubclass(field.annotation, BaseModel):
            break
        node = field.annotation
    names = sorted(node.model_fields)
    close = get_close_matches(str(location[-1]), names, n=1)
    return f"did you mean {close[0]}?" if close else f"known here: {', '.join(names)}"


def source_overrides(what: str) -> list[str]:
    """Return the --set options that the short form `--source WHAT` stands for."""
    if what in ("demo", "picamera2"):
        return [f"source.kind={what}"]
    path = Path(what)
    if "://" in what:
        return ["source.kind=opencv", f"source.opencv.uri={json.dumps(what)}"]
    if path.is_dir() or path.suffix.lower() in PICTURE_SUFFIXES:
        return ["source.kind=images", f"source.images.paths={json.dumps([what])}"]
    return ["source.kind=opencv", f"source.opencv.uri={json.dumps(what)}"]
