from __future__ import annotations

import subprocess
import sys

import pytest

STOP_SIGNAL = """
from edge_agender.common.signals import StopSignal
stop = StopSignal()
asked = stop.is_set
"""
SERVICE = """
from contextlib import ExitStack
from edge_agender.config.settings import Config
from edge_agender.daemon.service import Service
service = Service(Config(), Config, sink="stdout", until_end=True)
service._catch_signals(ExitStack())
asked = lambda: service._stop
"""
# At each line that a handler runs, whatever it calls, another signal comes: handlers in handlers, five deep.
INTERRUPTED = """
import signal, sys
depth = 0
def trace(frame, event, argument):
    global depth
    if event == "line" and depth < 5:
        depth += 1
        signal.raise_signal(signal.SIGTERM)
        depth -= 1
    return trace
sys.settrace(trace)
signal.raise_signal(signal.SIGTERM)
sys.settrace(None)
print("asked" if asked() else "not asked")
"""


@pytest.mark.parametrize("handlers", [STOP_SIGNAL, SERVICE], ids=["StopSignal", "Service"])
def test_a_signal_inside_a_handler_is_no_deadlock(handlers: str) -> None:
    command = [sys.executable, "-c", handlers + INTERRUPTED]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == "asked\n", done.stderr


def test_who_waits_is_woken_by_a_signal_and_told_of_none() -> None:
    wait = "print(stop.wait(0.01)); import os, signal, threading\n"
    wait += "threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start(); print(stop.wait())"
    done = subprocess.run(
        [sys.executable, "-c", STOP_SIGNAL + wait], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout == "False\nTrue\n"
