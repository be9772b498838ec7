"""A Slurm of one node, with its own munge, configuration, ports and folder; nothing of it outlives the `with`."""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

PROGRAMS = ["munged", "slurmctld", "slurmd", "sbatch", "srun", "scancel", "scontrol", "squeue", "sinfo"]

# Requeued jobs wait until the credentials of their first turn have expired.
CONF = """\
ClusterName=lockstep
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=5
CryptoType=crypto/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1,bf_interval=1
SlurmdParameters=config_overrides
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
KillWait=60
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=batch Nodes={host} Default=YES MaxTime=INFINITE State=UP PriorityTier=1 GraceTime=60
PartitionName=urgent Nodes={host} MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
"""


def missing():
    """Why there can be no Slurm here; empty where there can."""
    if os.geteuid() != 0:
        return "a Slurm of its own needs root"
    path = os.environ["PATH"] + ":/usr/sbin"
    lacking = [program for program in PROGRAMS if not shutil.which(program, path=path)]
    return f"there is no {', '.join(lacking)}" if lacking else ""


def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


class Slurm:
    """`with Slurm(cpus=4) as slurm`: slurm.environment is what sbatch and its like need to find it."""

    def __init__(self, cpus):
        self.cpus = cpus
        self.daemons = []

    def __enter__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="lockstep_slurm."))
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def start(self):
        controller_port, node_port = free_ports(2)
        for name in ["munge", "pmix", "state", "spool"]:
            (self.folder / name).mkdir()
        # What PMIx leaves of a job that is killed is in the way of another Slurm's with the same number.
        (self.folder / "mpi.conf").write_text(f"PMIxCliTmpDirBase={self.folder}/pmix\n")
        (self.folder / "munge").chmod(0o711)  # of the socket: others may reach it
        conf = self.folder / "slurm.conf"
        conf.write_text(CONF.format(host=os.uname().nodename.split(".")[0], folder=self.folder, cpus=self.cpus,
                                    controller_port=controller_port, node_port=node_port))
        self.environment = {**os.environ, "SLURM_CONF": str(conf), "PATH": os.environ["PATH"] + ":/usr/sbin"}
        key = self.folder / "munge" / "key"
        key.write_bytes(secrets.token_bytes(1024))
        key.chmod(0o400)
        munge = {option: self.folder / "munge" / option for option in ["socket", "pid-file", "log-file", "seed-file"]}
        self.daemon("munged", "--foreground", "--force", f"--key-file={key}",
                    *(f"--{option}={file}" for option, file in munge.items()))
        self.wait_until(munge["socket"].exists, "munged")
        self.daemon("slurmctld", "-D", "-f", conf)
        self.daemon("slurmd", "-D", "-f", conf)
        state = ["sinfo", "--noheader", "--format", "%T", "-p", "batch"]
        self.wait_until(lambda: self.call(*state, check=False) == "idle", "an idle node")

    def daemon(self, *command):
        with (self.folder / f"{command[0]}.said").open("w") as said:
            self.daemons.append(subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=said,
                                                 stderr=said, env=self.environment))

    def wait_until(self, holds, what, seconds=300):
        deadline = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > deadline:
                raise RuntimeError(f"{what}: not within {seconds} s\n{self.told()}")
            time.sleep(0.1)

    def told(self):
        return "\n".join(f"== {file.name}\n{file.read_text(errors='replace')[-3000:]}"
                         for file in sorted(self.folder.iterdir()) if file.suffix in [".log", ".said"])

    def call(self, *command, check=True):
        """What a command of Slurm says."""
        result = subprocess.run([str(part) for part in command], env=self.environment, text=True, capture_output=True,
                                check=False, timeout=300)
        if check and result.returncode:
            raise RuntimeError(f"code {result.returncode} from {command}: {result.stderr}")
        return result.stdout.strip()

    def job(self, number):
        """What Slurm knows of a job."""
        return dict(pair.split("=", 1) for pair in self.call("scontrol", "--oneliner", "show", "job", number).split()
                    if "=" in pair)

    def processes(self):
        """All that knows our folder: daemons, and what runs under them."""
        found = []
        mark = f"SLURM_CONF={self.folder}/".encode()
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                alive = (entry / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
                if alive and int(entry.name) != os.getpid() and mark in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
        return found

    def __exit__(self, *_):
        for daemon in reversed(self.daemons):
            daemon.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                daemon.wait(10)
        while left := self.processes():
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.1)
        for daemon in self.daemons:
            daemon.wait()
        shutil.rmtree(self.folder)


if __name__ == "__main__":
    print(missing(), end="")
