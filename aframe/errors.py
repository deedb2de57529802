"""Errors that a user can correct. Each message says what is wrong, where, and what to do."""

import contextlib
from collections.abc import Iterator, Sequence


class AframeError(Exception):
    """Base class of all errors that the command line prints as one line, without a traceback."""

    @property
    def description(self) -> str:
        """The line that the terminal shows for this error."""
        return f"error: {self}"


class ConfigurationError(AframeError):
    """A key, value or environment variable of the configuration is missing, unknown or impossible."""


class MistakesError(ConfigurationError):
    """All mistakes of a configuration, reported together.

    Args:
        mistakes: One line per mistake. Each line says what is wrong, where, and what to do.
    """

    def __init__(self, mistakes: Sequence[str]) -> None:
        super().__init__(tuple(mistakes))
        self.mistakes = tuple(mistakes)

    def __str__(self) -> str:
        return "; ".join(self.mistakes)

    @property
    def description(self) -> str:
        """The text that the terminal shows: one line, or a heading and one line per mistake."""
        if len(self.mistakes) == 1:
            return super().description
        lines = "".join(f"\n  {mistake}" for mistake in self.mistakes)
        return f"error: {len(self.mistakes)} mistakes, and nothing was run:{lines}"


class DataError(AframeError):
    """Strain, segments or waveforms are not usable."""


class UnknownNameError(DataError, KeyError):
    """A table or group has no entry of the requested name."""

    __str__ = Exception.__str__  # KeyError.__str__ adds quotation marks


@contextlib.contextmanager
def strain_of(what: str) -> Iterator[None]:
    """Name the detector and the place of the strain in each ``DataError`` raised within the context.

    Args:
        what: The detector, and where its strain is from.

    Raises:
        DataError: With ``what`` in front of the original message.
    """
    try:
        yield
    except DataError as error:
        raise DataError(f"{what}: {error}") from error


class StorageError(AframeError):
    """A file is missing, truncated or of the wrong kind."""


class ParameterMismatchError(AframeError):
    """An existing output has other parameters than the present configuration.

    Attributes:
        parameter: Name of the first parameter that differs; empty if unknown.
    """

    parameter = ""


class ServerError(AframeError):
    """A server does not answer, refuses a request, or cannot start."""


class BatchError(AframeError):
    """Jobs failed in all their attempts, or the batch system does not answer."""


class ProcessError(AframeError):
    """A subprocess failed.

    Args:
        message: What happened.
        is_reported: Whether the subprocess has already printed its error.
    """

    def __init__(self, message: str, is_reported: bool = False) -> None:
        super().__init__(message)
        self.is_reported = is_reported


class TrainingError(ProcessError):
    """Training stopped before its end."""


class ContainerError(ProcessError):
    """A container failed."""


class InterruptionError(TrainingError):
    """A signal interrupted training. The next run resumes from the last checkpoint."""
