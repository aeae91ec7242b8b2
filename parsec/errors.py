"""User-facing errors with a one-line, actionable message: what is wrong and what to do about it."""


class UserError(Exception):
    """A user error; the command line prints its message without a traceback and exits with `exit_code`."""

    exit_code = 2


class SettingsError(UserError):
    """An invalid settings file or value; the message names the path of the key."""


class DatasetError(UserError):
    """A data set that is missing, damaged or a different one than requested; the message names the path."""


class GenotypeError(UserError):
    """An architecture outside the search space."""


class BenchmarkError(UserError):
    """A tabular benchmark that is missing, damaged or a different one; the message states where to get it."""


class PriorError(UserError):
    """A `pi.parquet` that is damaged or belongs to another search space."""


class CheckpointError(UserError):
    """A checkpoint that is damaged or was saved under other settings."""


class DeviceError(UserError):
    """A requested device that is not available."""


class OutOfMemoryError(UserError):
    """Host or GPU memory ran out."""


class DivergedError(UserError):
    """A loss that is no longer finite; the last good checkpoint is kept."""

    exit_code = 3


class LaunchError(UserError):
    """Distributed ranks that cannot be started as requested."""


class RankLostError(UserError):
    """Another rank of a distributed run exited or does not respond; its own message gives the reason."""


class Interrupted(UserError):
    """The process was stopped by a signal; its state is saved, and running the same command again resumes it."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number
