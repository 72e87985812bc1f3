"""A SLURM of one node and two processors, for root, in a scratch folder: own daemons, ports and munge key.

No SLURM or munge of the machine is touched, and everything started here is ended here.
"""

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "system"))
import program  # noqa: E402 (of the system tests)

PROGRAMS = ("munged", "mungekey", "slurmctld", "slurmd", "sbatch", "scancel", "scontrol", "sinfo", "srun")
PACKAGES = "munge slurmctld slurmd slurm-client"
PR_SET_CHILD_SUBREAPER = 36
START_LIMIT_S = 60

# `low` can be preempted by `high`. Proctrack and task plugins are those that need no cgroups.
CONFIGURATION = """
ClusterName=check
SlurmctldHost=localhost
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SchedulerType=sched/builtin
ReturnToService=2
KillWait=10
SlurmdLogFile={folder}/node.log
TmpFS={folder}/tmp
SlurmdParameters=config_overrides
NodeName=localhost CPUs=2 RealMemory=16384 State=UNKNOWN
PartitionName=low Nodes=localhost Default=YES MaxTime=INFINITE PriorityTier=1 GraceTime=20
PartitionName=high Nodes=localhost MaxTime=INFINITE PriorityTier=10 PreemptMode=off
"""


class ClusterError(Exception):
    """The private SLURM cannot be had; says why."""


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("localhost", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def wait_until(condition, seconds, what):
    """Wait for a condition; gives its value."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s: {what() if callable(what) else what}")


def signal_all(processes, number):
    """Send a signal to those that still are."""
    for pid in processes:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


class Cluster:
    """with Cluster() as cluster: …"""

    def __init__(self):
        if os.geteuid() != 0:
            raise ClusterError("a private SLURM runs jobs as their user, which only root may: run this as root")
        missing = [name for name in PROGRAMS if shutil.which(name) is None]
        if missing:
            raise ClusterError(f"{', '.join(missing)} not found; as root: apt-get install {PACKAGES}")
        # Daemons that leave their parents (each step has one) become children of this process, to be found again.
        if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
            raise ClusterError(f"prctl: {os.strerror(ctypes.get_errno())}")
        self.folder = Path(tempfile.mkdtemp(prefix="boltzmap-slurm-"))
        self.folder.chmod(0o755)  # munge asks that all may reach its socket
        self.daemons = {}
        # A job that this is part of, or somebody's defaults, must not reach the jobs here.
        self.environment = {name: value for name, value in program.ENVIRONMENT.items()
                            if not name.startswith(("SLURM_", "SBATCH_", "SRUN_", "SCANCEL_", "SQUEUE_"))}
        self.environment["SLURM_CONF"] = str(self.folder / "slurm.conf")
        # What killed ranks leave of their shared memory goes with the folder.
        for component in ("btl_vader", "osc_sm"):
            self.environment[f"OMPI_MCA_{component}_backing_directory"] = str(self.folder / "tmp")

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        controller_port, node_port = free_ports(2)
        for name in ("state", "spool", "tmp"):
            (self.folder / name).mkdir(mode=0o700)
        (self.folder / "slurm.conf").write_text(
            CONFIGURATION.format(folder=self.folder, controller_port=controller_port, node_port=node_port),
            encoding="utf-8")
        munge = {name: self.folder / f"munge.{name}" for name in ("key", "socket", "pid", "seed", "log")}
        self.run("mungekey", "--create", "--keyfile", munge["key"])
        self.daemon("munged", "--foreground", "--force", "--key-file", munge["key"], "--socket", munge["socket"],
                    "--pid-file", munge["pid"], "--seed-file", munge["seed"], "--log-file", munge["log"])
        wait_until(munge["socket"].exists, START_LIMIT_S, lambda: f"munged\n{self.log('munged')}")
        self.daemon("slurmctld", "-D")
        self.start_node()

    def daemon(self, name, *arguments):
        """Start in a session of its own, which Ctrl-C of a terminal does not reach."""
        with open(self.folder / f"{name}.log", "ab") as log:
            self.daemons[name] = subprocess.Popen([name, *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=log,
                                                  stderr=log, env=self.environment, start_new_session=True)

    def start_node(self):
        self.daemon("slurmd", "-D", "-N", "localhost")
        wait_until(lambda: self.run("sinfo", "--noheader", "--format=%T", check=False).split()[:1]
                   in (["idle"], ["mixed"], ["allocated"]),
                   START_LIMIT_S, lambda: f"node in service\n{self.log('slurmctld')}{self.log('node')}")

    def end_daemon(self, name, how=signal.SIGTERM):
        process = self.daemons.pop(name)
        process.send_signal(how)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def stop(self):
        """End all there is; nothing of it outlives this call."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not leave half of it
        self.kill_all()
        shutil.rmtree(self.folder, ignore_errors=True)

    def kill_all(self):
        """Kill daemons, scripts and ranks, until nothing is left below this process. None has anything to save."""
        while left := program.family(os.getpid())[1:]:
            signal_all(left, signal.SIGKILL)
            try:
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:
                return
            time.sleep(0.02)

    def on_node(self):
        """Numbers of the processes that jobs run: step daemons, scripts, ranks."""
        daemons = {process.pid for process in self.daemons.values()}
        return [pid for pid in program.family(os.getpid())[1:] if pid not in daemons]

    def lose_node(self):
        """As if the node's power were cut: its daemon and all that runs on it are gone, and leave files behind."""
        self.end_daemon("slurmd", signal.SIGKILL)
        signal_all(self.on_node(), signal.SIGKILL)
        self.run("scontrol", "update", "NodeName=localhost", "State=DOWN", "Reason=lost")

    def mend_node(self):
        self.run("scontrol", "update", "NodeName=localhost", "State=RESUME")
        self.start_node()

    def log(self, name):
        """The end of a daemon's log."""
        path = self.folder / f"{name}.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-30:]) + "\n" if path.exists() else ""

    def run(self, *command, check=True, seconds=60, environment=()):
        done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=seconds, check=False,
                              cwd=self.folder, env={**self.environment, **dict(environment)})
        if check and done.returncode:
            raise ClusterError(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
        return done.stdout

    def submit(self, *arguments, **environment):
        """sbatch; gives the job's number."""
        return self.run("sbatch", "--parsable", *arguments, environment=environment).strip()

    def job(self, number):
        """What `scontrol show job` says of one job, as a dictionary."""
        words = self.run("scontrol", "--oneliner", "show", "job", number, check=False).split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def update(self, number, **values):
        self.run("scontrol", "update", f"JobId={number}", *(f"{key}={value}" for key, value in values.items()))
