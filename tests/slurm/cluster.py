"""A real SLURM under one folder: munge, controller and two nodes as children of this process, all on this machine."""

import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from string import Template

import psutil

PROGRAMS = ("munged", "munge", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "scancel", "setpriv")
# Snakemake's job steps drop SLURM_CONF from their environment, so the configuration must also be found here.
LINK = Path("/etc/slurm/slurm.conf")
NAME = "parsec-tests"
NODES = ("n1", "n2")
UP = ("idle", "mixed", "allocated")


def missing() -> str | None:
    """Why no cluster can be started here; None if one can."""
    os.environ["PATH"] += os.pathsep + "/usr/sbin"
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if absent:
        return f"SLURM is not installed: no {', '.join(absent)}"
    if os.geteuid() != 0:
        return "a cluster of one's own needs root"
    if LINK.exists() and f"ClusterName={NAME}\n" not in LINK.read_text():
        return f"{LINK} is there already, and somebody else's"
    return None


class Cluster:
    """Start it as a context manager; at its end every process that it started is gone."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.configuration = root / "slurm.conf"
        self.whole = threading.Lock()
        """Held by who needs both nodes, or takes one down."""
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        self._stack = ExitStack()

    def __enter__(self) -> "Cluster":
        with ExitStack() as stack:
            stack.callback(self._stop)
            self._configure()
            self._daemon("munged", "--foreground", "--force", *self._munge_files())
            wait_until(lambda: self._succeeds("munge", "-n", "-S", self.root / "munge.socket"), 10)
            self._daemon("slurmctld", "-D", "-f", self.configuration)
            wait_until(lambda: self._succeeds("scontrol", "ping"), 20)
            for node in NODES:
                self.start_node(node)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def _configure(self) -> None:
        for folder in ("state", "spool", "dev"):
            (self.root / folder).mkdir()
        (self.root / "munge.key").write_bytes(os.urandom(1024))
        (self.root / "munge.key").chmod(0o600)
        # Copies of /dev/null stand for GPUs, so that SLURM hands them out as it does real ones.
        gpus = ["AutoDetect=off"]
        for model in ("fake", "mock"):
            gpus.append(f"NodeName=n[1-2] Name=gpu Type={model} File={self.root}/dev/{model}[0-1]")
            for index in range(2):
                os.mknod(self.root / f"dev/{model}{index}", 0o20666, os.makedev(1, 3))
        (self.root / "gres.conf").write_text("\n".join(gpus) + "\n")
        (self.root / "cgroup.conf").write_text("CgroupPlugin=autodetect\n")
        port, port1, port2 = free_ports(3)
        names = {"name": NAME, "root": self.root, "host": socket.gethostname().partition(".")[0]}
        text = Template(Path(__file__).with_name("slurm.conf.in").read_text())
        self.configuration.write_text(text.substitute(names, port=port, port1=port1, port2=port2))
        os.environ["SLURM_CONF"] = str(self.configuration)
        LINK.parent.mkdir(exist_ok=True)
        LINK.unlink(missing_ok=True)
        LINK.symlink_to(self.configuration)

    def _munge_files(self) -> list[str]:
        kinds = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        return [f"--{option}={self.root}/munge.{kind}" for option, kind in kinds.items()]

    def _daemon(self, program: str, *options: str | Path, name: str = "") -> None:
        """Start a program that ends with this process, even if that is killed."""
        words = ["setpriv", "--pdeathsig", "TERM", program, *map(str, options)]
        with (self.root / f"{name or program}.out").open("ab") as said:
            self._daemons[name or program] = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True
            )

    def _stop(self) -> None:
        if "slurmctld" in self._daemons:
            self._succeeds("scancel", "--user=root")
        for node in NODES:
            self.kill_node(node)
        for daemon in reversed(self._daemons.values()):
            daemon.terminate()
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        if LINK.is_symlink() and LINK.readlink() == self.configuration:
            LINK.unlink()
        os.environ.pop("SLURM_CONF", None)

    def start_node(self, node: str) -> None:
        (self.root / "spool" / node).mkdir(exist_ok=True)
        self._daemon("slurmd", "-D", "-N", node, "-f", self.configuration, name=node)
        wait_until(lambda: self.run("sinfo", "-h", "-n", node, "-p", "both", "-o", "%T").strip() in UP, 30)

    def kill_node(self, node: str) -> None:
        """What a loss of power does: the daemon and all that it ever started end at once."""
        if node in self._daemons:
            self._daemons[node].kill()
            self._daemons[node].wait()
        for process in self.processes(node):
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def processes(self, node: str) -> list[psutil.Process]:
        """Everything that runs on a node beside the daemon; first the watchers, who would tell of the others' end."""
        jobs = [process for process in psutil.process_iter() if self._runs(process, node)]
        return [*{watcher for process in jobs if (watcher := _watcher(process))}, *jobs]

    def _runs(self, process: psutil.Process, node: str) -> bool:
        try:
            given = process.environ()
        except psutil.Error:
            return False
        return given.get("SLURMD_NODENAME") == node and given.get("SLURM_CONF") == str(self.configuration)

    def run(self, *command: str | Path) -> str:
        """What a program of SLURM says on this cluster."""
        return subprocess.run(map(str, command), check=True, capture_output=True, text=True, timeout=60).stdout

    def _succeeds(self, *command: str | Path) -> bool:
        return subprocess.run(map(str, command), capture_output=True, timeout=60).returncode == 0


def _watcher(process: psutil.Process) -> psutil.Process | None:
    """The process of SLURM that started this one, unless either has ended."""
    try:
        parent = process.parent()
        return parent if parent and parent.name().startswith("slurmstepd") else None
    except psutil.Error:
        return None


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    """Poll the condition; give up with an error after `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds} s")
        time.sleep(0.2)
