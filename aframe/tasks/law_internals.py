"""What this package needs of luigi and law and neither offers: all that reaches into them stands here.

- Law keeps a record of what workflows have yielded in a process of a manager, which it starts where it first needs
  one: in each task's process. There it outlives a killed run, and tasks do not see each other's records. Law has no
  option for that, so ``start_manager`` puts one in its place.
- Ctrl-C raises an exception wherever the interpreter is. While logging takes its lock, the lock stays taken, and luigi
  waits for ever for a thread that logs; while luigi calls handlers of an event, luigi drops the exception. Neither has
  a way to hold interrupts back, so ``interrupt`` looks at the stack.
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

RETRY = 0.05
"""Seconds until an interruption that came at a bad moment is tried again."""


def start_manager() -> None:
    """Start the process that keeps law's records: once for all tasks, to die with this one."""
    manager = multiprocessing.managers.SyncManager(address=("localhost", 0))
    manager.start(initializer=die_with_parent)
    law.util.mp_manager._manager = manager
    law.util.mp_manager.get("local_workflow_tasks_yielded", "dict")


def interrupt(owner: int, number: int, frame: FrameType | None) -> None:
    """Handle SIGINT: end the run; a little later where a line is being logged or luigi calls handlers of an event.

    A process just forked from the owner, which has not yet set aside this handler, ends without a word: the owner
    informs the user.

    Args:
        owner: Number of the process that the handler is for.
        number: Of the signal.
        frame: Where the interpreter is.

    Raises:
        KeyboardInterrupt: In the owner, at a harmless moment.
    """
    if os.getpid() != owner:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    while frame is not None:
        is_event = frame.f_code.co_name == luigi.Task.trigger_event.__name__
        if is_event or frame.f_globals.get("__name__") == logging.__name__:
            threading.Timer(RETRY, os.kill, (os.getpid(), number)).start()
            return
        frame = frame.f_back
    raise KeyboardInterrupt
