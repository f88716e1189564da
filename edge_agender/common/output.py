"""Printing to a reader that may leave, as `| head` does: the program ends without a word and without a traceback."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
from collections.abc import Callable, Iterator
from typing import NoReturn, TextIO

OUTPUT, ERRORS = 1, 2
# What a shell makes of a program that SIGPIPE ended. The signal itself would come for a lost connection, too.
READER_LEFT = 128 + signal.SIGPIPE


@contextlib.contextmanager
def reader_may_leave() -> Iterator[None]:
    """End the block where the reader of standard output or error has left; what is buffered is written at its end.

    A BrokenPipeError of anything else, such as a connection, goes on, as does every other exception. OSError: the
    output cannot be written, as on a full disk.
    """
    try:
        yield
        _flush(sys.stdout, OUTPUT)
        _flush(sys.stderr, ERRORS)
    except BrokenPipeError:
        if not _let_go():
            raise
    except BaseException as error:
        # That it failed counts more than that nobody can read what it printed before; --help has not failed.
        with contextlib.suppress(BrokenPipeError if isinstance(error, SystemExit) else OSError):
            _flush(sys.stdout, OUTPUT)
        with contextlib.suppress(OSError):
            _flush(sys.stderr, ERRORS)
        _let_go()
        raise


def run_script(main: Callable[[], int | None]) -> NoReturn:
    """Exit with what `main` returns, or with READER_LEFT."""
    code: int | None = READER_LEFT
    with reader_may_leave():
        code = main()
    sys.exit(code)


def _flush(stream: TextIO | None, descriptor: int) -> None:
    # None where the descriptor was closed before the program began (>&-).
    if stream is None:
        return
    try:
        stream.flush()
    except BrokenPipeError:
        raise
    except OSError:
        # The interpreter would try it again at its end, and report the failure a second time.
        _discard(descriptor)
        raise


def _let_go() -> bool:
    """Return whether a reader has left; what is still to be written for it goes nowhere."""
    gone = [descriptor for descriptor in (OUTPUT, ERRORS) if _reader_left(descriptor)]
    for descriptor in gone:
        _discard(descriptor)
    return bool(gone)


def _reader_left(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))


def _discard(descriptor: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
