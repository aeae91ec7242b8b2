"""What a change re-runs, and what it leaves alone."""

import shutil

from PIL import Image

STAGES = ("search", "finetune", "transfer")
END = {"complete_settings", "html_report"}
"""What is made again after anything else."""
PAGES = {"table", "figure_cost", "checklist", "summary", *END}


def add_code(text):
    return text + "\n\nADDED = 1\n"


def add_words(text):
    return text.replace('"""', '"""In other words: ', 1) + "\n# A comment.\n"


def test_new_seed_runs_only_its_searches(copy):
    copy.change("seeds", [0, 1])
    planned = copy.planned()
    assert [planned[stage] for stage in STAGES] == [1, 1, 1]
    assert planned["retrain"] == 2
    assert planned["first_run_figures"] == len(STAGES)
    assert not planned.keys() & {"prepare_dataset", "measure_executor", "job_settings"}


def test_retraining_settings_rerun_only_their_retraining(copy):
    copy.change("retrain.digits.label_smoothing", 0.05)
    planned = copy.planned()
    assert planned.pop("retrain") == 2
    assert planned.pop("job_settings") == 1
    assert planned.keys() == PAGES


def test_new_run_of_retraining_repeats_no_other(copy):
    copy.change("retrain.digits-folder.runs", [0, 1])
    planned = copy.planned()
    assert planned.pop("retrain") == 1
    assert planned.keys() == PAGES


def test_stage_settings_never_rerun_earlier_stages(copy):
    copy.change("transfer.prior", {"learning_rate": 0.01})
    planned = copy.planned()
    assert planned["transfer"] == planned["retrain"] == 1
    assert not planned.keys() & {"search", "finetune", "prepare_dataset", "measure_executor"}


def test_runtime_settings_trigger_no_reruns(copy):
    copy.change("running", {"checkpoint_seconds": 99.0, "progress_seconds": 9.0, "rerun_on_code_change": False})
    copy.change("name", "another title")
    assert copy.planned("--set-threads", "search=2") == {}


def test_changed_code_re_runs_its_stage(copy):
    copy.rewrite("parsec/retrain/trainer.py", add_code)
    planned = copy.planned()
    assert planned["retrain"] == 3
    assert not planned.keys() & {*STAGES, "measure_executor", "prepare_dataset"}


def test_comments_and_docstrings_re_run_nothing(copy):
    for module in (
        "search/run.py",
        "data/prepare.py",
        "retrain/run.py",
        "report/tables/base.py",
        "search/estimator.py",
    ):
        copy.rewrite(f"parsec/{module}", add_words)
    assert copy.planned() == {}


def test_deleted_job_files_re_run_nothing(copy):
    shutil.rmtree(copy.results / "jobs")
    assert copy.planned() == {}


def test_only_an_edited_figure_is_drawn_again(copy):
    copy.rewrite("parsec/report/figures/cost.py", lambda text: text.replace("0.3 + sum(map(", "0.4 + sum(map("))
    assert copy.planned() == {"figure_cost": 1, **dict.fromkeys(END, 1)}


def test_edited_format_of_tables_makes_all_of_them_again(copy):
    copy.rewrite("parsec/report/tables/markup.py", lambda text: text.replace("<table>", "<table class='ours'>"))
    assert copy.planned() == {"table": 2, "checklist": 1, "summary": 1, **dict.fromkeys(END, 1)}


def test_code_change_reruns_can_be_disabled(copy):
    copy.rewrite("parsec/search/run.py", add_code)
    assert [copy.planned()[stage] for stage in ("search", "finetune")] == [1, 1]
    copy.change("running", {"rerun_on_code_change": False})
    assert copy.planned() == {}


def test_published_numbers_update_only_their_reports(copy):
    copy.rewrite("config/published/cifar10.csv", lambda text: text.replace("DARTS", "Darts"))
    assert copy.planned() == {"table": 1, "figure_cost": 1, **dict.fromkeys(END, 1)}


def test_only_image_content_triggers_reruns(copy):
    copy.change("datasets.digits", {"source": "cifar10", "folder": "here", "order": ["folder"]})
    assert copy.run("--touch").returncode == 0
    copy.change("datasets.digits", {"source": "cifar10", "folder": "there", "order": ["npm", "folder"]})
    assert copy.planned() == {}
    copy.change("datasets.digits.split_seed", 1)
    assert copy.planned()["prepare_dataset"] == 1


def test_descriptions_and_messages_re_run_nothing(copy):
    copy.rewrite("parsec/config/search.py", lambda text: text.replace('description="', 'description="said again: '))
    copy.rewrite("parsec/config/base.py", lambda text: text.replace("listed twice", "there twice"))
    assert copy.planned() == {}


def test_changed_image_folder_is_prepared_anew(fresh, tmp_path):
    folder, target = tmp_path / "photos", "results/data/photos/dataset.json"
    for name in ("train/a", "train/b", "val/a", "val/b"):
        (folder / name).mkdir(parents=True)
        for number in range(2):
            Image.new("RGB", (32, 32), (50 * number, 0, 0)).save(folder / name / f"{number}.png")
    fresh.change("datasets.photos", {"source": "image_folder", "folder": str(folder), "image_size": 32})
    assert fresh.run("--force", target).returncode == 0
    assert fresh.planned(target) == {}

    # A copy and what a file manager leaves behind are no change.
    shutil.copytree(folder, tmp_path / "copied", copy_function=shutil.copyfile)
    shutil.rmtree(folder)
    (tmp_path / "copied").rename(folder)
    (folder / "train" / "a" / ".DS_Store").touch()
    assert fresh.planned(target) == {}

    shutil.copy(folder / "train" / "a" / "0.png", folder / "train" / "a" / "2.png")
    assert fresh.planned(target) == {"prepare_dataset": 1, "job_settings": 1}

    # Images that were deleted after they were prepared are not missed.
    shutil.rmtree(folder)
    assert fresh.planned(target) == {}
