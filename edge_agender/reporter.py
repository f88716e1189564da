"""Observations -> messages: counts the audience, decides what is due, and lets out what the privacy level releases."""

from __future__ import annotations

from collections.abc import Iterator

from edge_agender.audience import FrameCounter
from edge_agender.frame_policy import FramePolicy
from edge_agender.measures import FrameView
from edge_agender.message import Message
from edge_agender.messages import Sender, frame_message
from edge_agender.pipeline import Observation
from edge_agender.settings import Config


class Reporter:
    """Turns what each frame showed into the messages that are due. One thread; time comes with the observation."""

    def __init__(self, config: Config, sender: Sender) -> None:
        self._sender = sender
        self._counter = FrameCounter(config.audience)
        self._policy = FramePolicy(config.publish)
        self._frame_sequence = 0
        self.view: FrameView | None = None

    def observe(self, observation: Observation) -> Iterator[Message]:
        """Yield the messages that this frame gives rise to."""
        view = self._counter.view(
            observation.faces, sequence=self._frame_sequence, now_s=observation.captured_s, utc_s=observation.utc_s
        )
        self.view = view
        if self._policy.due(audience_summary(view), view.count, observation.captured_s):
            yield frame_message(self._sender, view)
            self._frame_sequence += 1


def audience_summary(view: FrameView) -> tuple[object, ...]:
    """What a subscriber would call the same audience: how many of which gender and band."""
    return (tuple(view.by_gender.items()), tuple(view.by_age_band.items()))
