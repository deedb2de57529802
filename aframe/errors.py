"""Errors that a user can act on: each says what is wrong, where, and what to do."""

import contextlib
from collections.abc import Iterator, Sequence


class AframeError(Exception):
    """Base of all errors that are printed as one line, without a traceback."""

    @property
    def told(self) -> str:
        """What the terminal shows of it."""
        return f"error: {self}"


class ConfigurationError(AframeError):
    """A key, value or environment variable of the configuration is missing, unknown or impossible."""


class MistakesError(ConfigurationError):
    """All mistakes that were found at once.

    Args:
        mistakes: One line each: what is wrong, where, and what to do.
    """

    def __init__(self, mistakes: Sequence[str]) -> None:
        super().__init__(tuple(mistakes))
        self.mistakes = tuple(mistakes)

    def __str__(self) -> str:
        return "; ".join(self.mistakes)

    @property
    def told(self) -> str:
        """One line; of several mistakes one line each, under a heading."""
        if len(self.mistakes) == 1:
            return super().told
        lines = "".join(f"\n  {mistake}" for mistake in self.mistakes)
        return f"error: {len(self.mistakes)} mistakes, and nothing was run:{lines}"


class DataError(AframeError):
    """Strain, segments or waveforms that cannot be used as they are."""


class UnknownNameError(DataError, KeyError):
    """Something was asked for by a name that it does not have."""

    __str__ = Exception.__str__  # a KeyError's would put it in quotation marks


@contextlib.contextmanager
def strain_of(what: str) -> Iterator[None]:
    """Say of strain that cannot be used whose, and where, it is."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{what}: {error}") from error


class StorageError(AframeError):
    """A file that is missing, truncated or not what its name promises."""


class ParameterMismatchError(AframeError):
    """An existing output was made with other parameters than the present ones.

    Attributes:
        parameter: Name of the first that differs, where it is known.
    """

    parameter = ""


class ServerError(AframeError):
    """A server that does not answer, refuses, or cannot be started."""


class BatchError(AframeError):
    """Jobs that failed for good, or a batch system that does not answer."""


class ProcessError(AframeError):
    """A process, started for a part of the work, that did not do it.

    Args:
        message: What happened.
        is_told: Whether the process itself has already told the user.
    """

    def __init__(self, message: str, is_told: bool = False) -> None:
        super().__init__(message)
        self.is_told = is_told


class TrainingError(ProcessError):
    """Training that did not reach its end."""


class ContainerError(ProcessError):
    """A container that did not do its task."""


class InterruptionError(TrainingError):
    """Training that was asked to end before its time, and goes on when it is run again."""
