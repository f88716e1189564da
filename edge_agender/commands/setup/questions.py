"""The few questions. Each answer goes through the real settings; what they refuse is asked again, with the reason."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge_agender.commands.setup import draft as drafts
from edge_agender.commands.setup import estimator
from edge_agender.commands.setup.draft import Draft
from edge_agender.commands.setup.prompt import Prompt
from edge_agender.common.masking import shown
from edge_agender.config import secrets as passwords
from edge_agender.config.token import read_token
from edge_agender.delivery.mqtt.probe import check_connection
from edge_agender.device.installation import Place
from edge_agender.errors import EdgeAgenderError, UsageError


@dataclass(frozen=True, slots=True)
class Question:
    """`flag` names the option that answers it; `present` is what Enter stands for."""

    flag: str
    text: str
    hint: str
    present: Callable[[Draft], str]
    take: Callable[[Draft, str], Draft]


ABOUT_THE_DEVICE = (
    Question("name", "What is this device called?", "one word, the second level of every topic, such as lobby",
             lambda draft: draft.config.device.name, drafts.with_name),
)  # fmt: skip
ABOUT_THE_BROKER = (
    Question("broker", "Which MQTT broker gets the messages?", "a name or address, such as broker.local",
             lambda draft: draft.config.mqtt.brokers[0].host, drafts.with_host),
    Question("tls", "Is the connection encrypted (TLS)?", "no, yes, or the file with the broker's own authority (PEM)",
             lambda draft: drafts.tls_text(draft.config), drafts.with_tls),
    Question("port", "At which port?", "1883 is usual, 8883 with TLS",
             lambda draft: str(draft.config.mqtt.brokers[0].effective_port), drafts.with_port),
    Question("user", "Which user name has this device at the broker?", "- for none",
             lambda draft: draft.config.mqtt.username or "-", drafts.with_user),
)  # fmt: skip
ABOUT_THE_CAMERA = (
    Question("source", "Where do pictures come from?",
             "picamera2 (the Pi's camera), /dev/video0 (USB), an rtsp or http URL, a video file, or demo",
             lambda draft: drafts.source_text(draft.config), drafts.with_source),
    Question("privacy", "How much may be told of people?",
             "aggregate (counts by the minute), frame (also who is in view now), viewer (also each visit)",
             lambda draft: draft.config.privacy.level, drafts.with_privacy),
)  # fmt: skip


def from_flags(draft: Draft, options: Namespace) -> Draft:
    """Return the Draft with what the flags say; raise the error of a flag that cannot be used."""
    if options.enrol is not None:
        draft = drafts.with_enrolment(draft, read_token(options.enrol), not options.no_remote_config)
    for question in (*ABOUT_THE_DEVICE, *ABOUT_THE_BROKER, *ABOUT_THE_CAMERA):
        if (given := given_by_flag(question.flag, options)) is not None:
            draft = question.take(draft, given)
    if options.estimator not in (None, estimator.AUTO):
        draft = estimator.named(draft, options.estimator)
    if options.password_file is not None:
        if draft.config.mqtt.username is None:
            raise UsageError("--password-file: give --user too: a broker knows a password only with a name")
        draft = drafts.with_password(draft, passwords.read_from(options.password_file))
    return draft


def given_by_flag(flag: str, options: Namespace) -> str | None:
    if flag == "tls":
        return str(options.ca) if options.ca is not None else "yes" if options.tls else None
    value = getattr(options, flag)
    return None if value is None else str(value)


def ask_all(draft: Draft, options: Namespace, prompt: Prompt, place: Place) -> Draft:
    """Ask what no flag answers; `place` knows the password from before."""
    draft = _ask(ABOUT_THE_DEVICE, draft, options, prompt)
    while True:
        draft = _ask(ABOUT_THE_BROKER, draft, options, prompt)
        if options.password_file is None and draft.config.mqtt.username is not None:
            draft = _ask_password(draft, prompt, place)
        reason = try_broker(draft, place, prompt)
        if reason is None or prompt.agree("Keep these answers all the same?", default=False):
            break
        # What the flags said has failed too, so now everything is asked.
        options = Namespace(
            **{**vars(options), **dict.fromkeys(("broker", "tls", "ca", "port", "user", "password_file"))}
        )
    return _ask(ABOUT_THE_CAMERA, draft, options, prompt)


def try_broker(draft: Draft, place: Place, prompt: Prompt) -> str | None:
    """Connect once with what is chosen; return why it does not work, in words, or None."""
    mqtt = place.with_credentials(draft.trial(place.root))
    prompt.say(f"\ntrying {', '.join(each.address for each in mqtt.brokers)} ...")
    try:
        if draft.password is not None:
            with passwords.in_memory(draft.password) as path:
                check_connection(mqtt.model_copy(update={"password_file": path}), draft.config.device.name)
        else:
            check_connection(mqtt, draft.config.device.name)
    except EdgeAgenderError as error:
        prompt.refuse(str(error))
        return str(error)
    prompt.say("  the broker answers and lets this device in", "green")
    return None


def _ask(questions: Sequence[Question], draft: Draft, options: Namespace, prompt: Prompt) -> Draft:
    for question in questions:
        if given_by_flag(question.flag, options) is None:
            draft = _ask_until_good(question, draft, prompt)
    return draft


def _ask_until_good(question: Question, draft: Draft, prompt: Prompt) -> Draft:
    while True:
        present = question.present(draft)
        answer = (
            prompt.ask(question.text, question.hint, shown(present) if question.flag == "source" else present)
            or present
        )
        try:
            if not answer.isprintable():
                raise UsageError("there are characters in it that cannot be printed: type it again")
            return question.take(draft, answer)
        except EdgeAgenderError as error:
            prompt.refuse(str(error))


def _ask_password(draft: Draft, prompt: Prompt, place: Place) -> Draft:
    keeps = draft.password is not None or place.with_credentials(draft.config.mqtt).password_file is not None
    hint = "it is not shown; Enter keeps the present one" if keeps else "it is not shown; Enter for none"
    while True:
        answer = prompt.ask(f"Password of {draft.config.mqtt.username}?", hint, "", secret=True)
        if not answer:
            return draft
        try:
            return drafts.with_password(draft, answer)
        except EdgeAgenderError as error:
            prompt.refuse(str(error))
