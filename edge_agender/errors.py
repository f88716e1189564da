"""Expected failures: each says what to do, in one line, and owns its exit code.

The codes follow sysexits.h where it has a fitting one. 78 is paired with RestartPreventExitStatus= in
systemd/edge-agender.service: restarting cannot correct a configuration.
"""


class EdgeAgenderError(Exception):
    """An expected failure; its text is shown to the user as it stands."""

    exit_code = 1


def first_line(error: BaseException) -> str:
    """Return the first line of what an exception of somebody else's says, or its kind where it says nothing."""
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)


class UsageError(EdgeAgenderError, ValueError):
    """The command line asks for something that does not exist."""

    exit_code = 64


class MediaError(EdgeAgenderError, ValueError):
    """A picture or video cannot be read."""

    exit_code = 65


class CameraError(EdgeAgenderError, OSError):
    """The camera is missing, busy or not installed."""

    exit_code = 66


class BrokerError(EdgeAgenderError, OSError):
    """The broker cannot be reached or refuses us; only commands that must have one raise it."""

    exit_code = 69


class StalledError(EdgeAgenderError, RuntimeError):
    """A part that must make progress stopped doing so; the supervisor should start the process again."""

    exit_code = 70


class SelftestError(EdgeAgenderError, RuntimeError):
    """The installation does not find, count or judge the demo's faces as it should."""

    exit_code = 71


class ModelError(EdgeAgenderError, ValueError):
    """A model file is missing, damaged, or not what the manifest describes."""

    exit_code = 72


class SetupError(EdgeAgenderError, OSError):
    """What setup is to write or start cannot be written or does not start."""

    exit_code = 73


class StateError(EdgeAgenderError, OSError):
    """The state folder is another process's, or there is none to be had."""

    exit_code = 75


class ExhaustedError(EdgeAgenderError, RuntimeError):
    """The system gives no more memory, threads or descriptors; trying again later may help."""

    exit_code = 75


class CredentialError(EdgeAgenderError, PermissionError):
    """A password, key or certificate cannot be read or is refused."""

    exit_code = 77


class ConfigError(EdgeAgenderError, ValueError):
    """The configuration cannot be used; the text has one line a mistake."""

    exit_code = 78
