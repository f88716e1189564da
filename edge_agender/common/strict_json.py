"""JSON that anybody may have written, read without a surprise: what json.loads lets through and this does not.

`json.loads` takes NaN, Infinity and 1e400, integers of any length, a key that is given twice (the last wins), lone
surrogates that no UTF-8 can hold, and as many levels as the stack has room for.
"""

from __future__ import annotations

import json
import math
from typing import Any

# An integer of more digits is no count, time or size of ours, and would not survive being made a float.
MAX_DIGITS = 18


def parse(raw: bytes) -> Any:
    """Return the value that the bytes hold; raise ValueError, in one line, for anything else."""
    try:
        text = raw.decode("utf-8")
        value = json.loads(
            text, object_pairs_hook=_object, parse_constant=_refused, parse_float=_float, parse_int=_integer
        )
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except UnicodeError:
        raise ValueError("not UTF-8 text") from None
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key is given twice")
    return result


def _refused(word: str) -> Any:
    raise ValueError(f"{word} is no JSON")


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number that is too large")
    return value


def _integer(text: str) -> int:
    if len(text.lstrip("-")) > MAX_DIGITS:
        raise ValueError(f"an integer of more than {MAX_DIGITS} digits")
    return int(text)
