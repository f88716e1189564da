"""Which sequence numbers have come. Pure: the store keeps what is in here, row for row."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field


@dataclass(slots=True)
class Sequences:
    """One kind of message from one boot of one device: everything up to `last` has come, save what is in `gaps`.

    Numbers start at 0 (docs/messages.md). `gaps` are (first, last) pairs, both included, in rising order.
    """

    last: int = -1
    gaps: list[tuple[int, int]] = field(default_factory=list)

    def accept(self, number: int) -> bool:
        """Note a number; False where it has come before."""
        if number > self.last:
            self.expect(number - 1)
            self.last = number
            return True
        place = bisect_right(self.gaps, number, key=lambda gap: gap[0]) - 1
        if place < 0 or not self.gaps[place][0] <= number <= self.gaps[place][1]:
            return False
        first, last = self.gaps[place]
        left = [(first, number - 1)] if first < number else []
        right = [(number + 1, last)] if number < last else []
        self.gaps[place : place + 1] = left + right
        return True

    def expect(self, number: int) -> None:
        """The device has sent up to `number`: what has not come of that is missing."""
        if number <= self.last:
            return
        first = self.last + 1
        if self.gaps and self.gaps[-1][1] == self.last:
            first = self.gaps.pop()[0]
        self.gaps.append((first, number))
        self.last = number

    @property
    def missing(self) -> int:
        return sum(last - first + 1 for first, last in self.gaps)
