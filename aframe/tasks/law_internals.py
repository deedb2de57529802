"""Access to internals of luigi and law, where neither offers an interface.

- Law records in a manager process which workflows have yielded. It starts the manager where it first needs one, in the
  process of a task. There the manager outlives a killed run, and tasks do not see each other's records. Law has no
  option for that. ``start_manager`` therefore replaces the manager.
- Ctrl-C raises an exception wherever the interpreter is. If it comes while logging acquires its lock, the lock remains
  acquired, and luigi waits forever for a thread that logs. If it comes while luigi calls the handlers of an event,
  luigi drops the exception. Neither can delay interrupts. ``interrupt`` therefore inspects the stack.
"""

import logging
import multiprocessing.managers
import os
import signal
import threading
from types import FrameType

import law
import luigi

from aframe.machine.processes import die_with_parent

INTERRUPT_DELAY = 0.05
"""Seconds until an interrupt that came at a bad moment is repeated."""


def start_manager() -> None:
    """Start one process that keeps law's records for all tasks. It ends with this process."""
    manager = multiprocessing.managers.SyncManager(address=("localhost", 0))
    manager.start(initializer=die_with_parent)
    law.util.mp_manager._manager = manager
    law.util.mp_manager.get("local_workflow_tasks_yielded", "dict")


def interrupt(owner: int, number: int, frame: FrameType | None) -> None:
    """Handle SIGINT: end the run.

    While a line is being logged or luigi calls the handlers of an event, the interrupt is delayed. A forked process of
    the owner that has not yet replaced this handler ends without a message, since the owner informs the user.

    Args:
        owner: Number of the process that installed the handler.
        number: Number of the signal.
        frame: Stack frame of the interpreter.

    Raises:
        KeyboardInterrupt: In the owner, at a harmless moment.
    """
    if os.getpid() != owner:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    while frame is not None:
        is_event = frame.f_code.co_name == luigi.Task.trigger_event.__name__
        if is_event or frame.f_globals.get("__name__") == logging.__name__:
            threading.Timer(INTERRUPT_DELAY, os.kill, (os.getpid(), number)).start()
            return
        frame = frame.f_back
    raise KeyboardInterrupt
