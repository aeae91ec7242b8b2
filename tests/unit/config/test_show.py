"""What `parsec settings show` prints is complete, loads again, and names where each value comes from."""

import pytest
import yaml

from parsec.config.load import load, read_mapping, show
from parsec.config.settings import updated
from parsec.errors import SettingsError

BASE = "datasets: {d: {source: digits}}\nsearch: {dataset: d, epochs: 3}\nfinetune: {epochs: 2}\n"


@pytest.fixture
def files(tmp_path):
    base, over = tmp_path / "base.yaml", tmp_path / "over.yaml"
    base.write_text(BASE)
    over.write_text("search: {weights: {learning_rate: 3.0e-5, final_learning_rate: 0.0}}\n")
    return base, over


def test_shown_settings_load_again(files):
    base, over = map(read_mapping, files)
    assert load(yaml.safe_load(show(files))) == load(updated(base, over))


def test_every_value_names_its_file(files):
    base, over = files
    lines = [line.strip() for line in show(files).splitlines()]
    assert "seeds: [0, 1, 2, 3]  # default" in lines
    assert f"epochs: 3  # {base}" in lines
    assert f"learning_rate: 3.0e-05  # {over}" in lines
    finetune = lines[lines.index("finetune:") :]
    assert f"epochs: 2  # {base}" in finetune
    assert f"learning_rate: 3.0e-05  # as search: {over}" in finetune
    assert "batch_size: 64  # as search: default" in finetune


def test_no_mapping_is_refused(tmp_path):
    (tmp_path / "list.yaml").write_text("[1]")
    with pytest.raises(SettingsError, match="must be a mapping"):
        show([tmp_path / "list.yaml"])
