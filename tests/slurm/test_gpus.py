"""What jobs ask SLURM for, planned on a machine whose own GPUs do not count."""

import re
import shutil
import signal

from slurm.cluster import Cluster, wait_until
from slurm.disturb import PATIENCE, PROFILE, TARGET, Search
from workspace import Workspace


def test_training_jobs_request_single_gpu_task(cluster: Cluster, undisturbed: Workspace, tmp_path):
    workspace = Workspace(shutil.copytree(undisturbed.base, tmp_path / "workspace"), limits=())
    workspace.change("compute.device", "auto")
    search = Search(workspace, cluster)
    search.calls.append(workspace.start(*PROFILE, "--", TARGET, "results/data/digits-folder/dataset.json"))
    try:
        wait_until(lambda: len(search.jobs()) == 2, PATIENCE)
        asked = [cluster.run("scontrol", "show", "job", str(job)) for job, _ in search.jobs()]
        gpus = {re.findall(r"Comment=rule_(\w+?)_wild", text)[0]: "TresPerJob=gres:gpu:1" in text for text in asked}
        assert gpus == {"prepare_dataset": False, "search": True}
        assert all("NumTasks=1 " in text for text in asked)
        search.calls[-1].send_signal(signal.SIGINT)
        assert "Not everything was made" in search.said()
    finally:
        search.stop()
