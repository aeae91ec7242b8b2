"""Errors that a user can mend: their message is one line that says what is wrong and what to do."""


class UserError(Exception):
    """A mistake in the input; the command line prints its message without a traceback and exits with `exit_code`."""

    exit_code = 2


class SettingsError(UserError):
    """A settings file or value that cannot be used; the message names the key's path."""


class DatasetError(UserError):
    """A data set that is missing, truncated or not the one it claims to be; the message says where it looked."""


class GenotypeError(UserError):
    """An architecture that the search space does not contain."""


class BenchmarkError(UserError):
    """A tabular benchmark that is missing, damaged or another one; the message says where to get it."""


class PriorError(UserError):
    """A `pi.parquet` that is damaged or that belongs to another space."""


class CheckpointError(UserError):
    """Saved state that is damaged, or that belongs to other settings."""


class DeviceError(UserError):
    """A device that was asked for and is not there."""


class OutOfMemoryError(UserError):
    """Less memory than the settings need."""


class DivergedError(UserError):
    """A loss that is no longer finite; the last good checkpoint is kept."""

    exit_code = 3


class LaunchError(UserError):
    """Ranks that cannot be started as asked for."""


class RankLostError(UserError):
    """Another process of a run on several ranks ended or does not answer; its own message says why."""


class Interrupted(UserError):
    """A signal asked the process to stop; its state is saved and the same command continues it."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number
