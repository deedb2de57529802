"""Errors that a user can act on: each says what is wrong, where, and what to do."""


class AframeError(Exception):
    """Base of all errors that are printed as one line, without a traceback."""


class ConfigurationError(AframeError):
    """A key, value or environment variable of the configuration is missing, unknown or impossible."""


class DataError(AframeError):
    """Strain, segments or waveforms that cannot be used as they are."""


class StorageError(AframeError):
    """A file that is missing, truncated or not what its name promises."""


class ParameterMismatchError(AframeError):
    """An existing output was made with other parameters than the present ones."""


class ServerError(AframeError):
    """A server that does not answer, refuses, or cannot be started."""


class BatchError(AframeError):
    """Jobs that failed for good, or a batch system that does not answer."""


class TrainingError(AframeError):
    """Training that did not reach its end.

    Args:
        message: What happened.
        is_told: Whether the training's own process has already told the user.
    """

    def __init__(self, message: str, is_told: bool = False) -> None:
        super().__init__(message)
        self.is_told = is_told


class InterruptionError(TrainingError):
    """Training that was asked to end before its time, and goes on when it is run again."""
