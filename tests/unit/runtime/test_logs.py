"""The log: plain on stderr, appended to a file with a header for each attempt."""

import pytest

from parsec.errors import UserError
from parsec.runtime.logs import configure, logger


@pytest.fixture(autouse=True)
def _restore():
    before = list(logger.handlers), logger.propagate, logger.level
    yield
    for handler in logger.handlers:
        handler.close()
    logger.handlers[:], logger.propagate = before[0], before[1]
    logger.setLevel(before[2])


def test_plain_lines_on_stderr(capsys):
    configure(None)
    logger.info("step 1")
    logger.warning("odd")
    logger.debug("hidden")
    assert capsys.readouterr().err == "step 1\nwarning: odd\n"


def test_retry_keeps_the_first_attempt(tmp_path, capsys):
    path = tmp_path / "logs" / "x.log"
    for message in ("first", "second"):
        configure(path)
        logger.info(message)
    lines = path.read_text().splitlines()
    assert [line.startswith("== attempt of") for line in lines] == [True, False, True, False]
    assert lines[1].endswith("first")
    assert lines[3].endswith("second")
    assert capsys.readouterr().err == "first\nsecond\n"


def test_other_ranks_log_errors_only(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "a run")
    for rank in "01":
        monkeypatch.setenv("RANK", rank)
        configure(tmp_path / "log")
        logger.info("step 1")
        logger.error("no space")
    assert capsys.readouterr().err == "step 1\nerror: no space\nerror: rank 1: no space\n"
    assert len((tmp_path / "log").read_text().splitlines()) == 3


def test_unwritable_log_is_one_line(tmp_path):
    (tmp_path / "logs").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        configure(tmp_path / "logs" / "x.log")
