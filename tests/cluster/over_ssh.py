#!/usr/bin/env python3
"""Trainings on two hosts that mpirun reaches over ssh come to the bits of one host; so does one that is stopped and
goes on elsewhere.

    tests/cluster/over_ssh.py [CASE]...

The hosts are made of namespaces (hosts.py), each with its name, its address and its sshd. Keys, configuration and known
hosts of ssh are made for the test. The environment names the binary: LOCKSTEP=build/release/lockstep.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "binary"))

import hosts  # noqa: E402
from binary import LAUNCH, LOCKSTEP, MPIRUN, ROOT, Cases, expect, long_run, run  # noqa: E402

SSHD = "/usr/sbin/sshd"
STOPPED = 75

SSHD_CONFIG = """\
ListenAddress {address}:22
HostKey {folder}/key
AuthorizedKeysFile {folder}/key.pub
PidFile none
StrictModes no
PermitRootLogin prohibit-password
PasswordAuthentication no
UsePAM no
"""
SSH_CONFIG = """\
Host {name}
  HostName {address}
  IdentityFile {folder}/key
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known_hosts
  StrictHostKeyChecking yes
  BatchMode yes
"""

cases = Cases()


def missing():
    """Why there can be no such hosts here; empty where there can."""
    return hosts.missing() or ("" if Path(SSHD).exists() and shutil.which("ssh") else "there is no OpenSSH")


class Cluster:
    """Two hosts with sshd. Programs run on the first; what they call ssh knows both by name."""

    def __enter__(self):
        self.stack = contextlib.ExitStack()
        with self.stack:
            self.hosts = self.stack.enter_context(hosts.TwoHosts())
            self.folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory(prefix="lockstep_ssh.")))
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.folder / "key"], check=True)
            Path("/run/sshd").mkdir(exist_ok=True)  # sshd wants it, and Debian makes it when the machine starts
            public = (self.folder / "key.pub").read_text()
            for host in self.hosts:
                told = {"name": host.name, "address": host.address, "folder": self.folder}
                self.append("ssh_config", SSH_CONFIG.format(**told))
                self.append("known_hosts", f"{host.address} {public}")
                self.serve(host, SSHD_CONFIG.format(**told))
            ssh = self.folder / "bin" / "ssh"
            ssh.parent.mkdir()
            ssh.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {self.folder}/ssh_config "$@"\n')
            ssh.chmod(0o755)
            self.environment = {**os.environ, "PATH": f"{ssh.parent}:{os.environ['PATH']}"}
            self.hostfile = self.folder / "hosts"
            self.hostfile.write_text("".join(f"{host.name} slots=2\n" for host in self.hosts))
            self.stack = self.stack.pop_all()
        return self

    def __exit__(self, *_):
        self.stack.close()

    def append(self, name, text):
        with (self.folder / name).open("a") as file:
            file.write(text)

    def serve(self, host, config):
        file = self.folder / f"sshd_config.{host.name}"
        file.write_text(config)
        daemon = subprocess.Popen(host.command([SSHD, "-D", "-e", "-f", file]), stdin=subprocess.DEVNULL,
                                  stderr=(self.folder / f"sshd.{host.name}").open("w"))
        self.stack.callback(lambda: (daemon.kill(), daemon.wait()))
        probe = host.command([sys.executable, "-c", f"import socket; socket.create_connection(('{host.address}', 22))"])
        deadline = time.monotonic() + 30
        while subprocess.run(probe, stderr=subprocess.DEVNULL, check=False).returncode:
            if time.monotonic() > deadline or daemon.poll() is not None:
                raise RuntimeError(f"no sshd on {host.name}: {(self.folder / f'sshd.{host.name}').read_text()}")
            time.sleep(0.1)

    def start(self, *command):
        return subprocess.Popen(self.hosts.first.command(command), env=self.environment, stdout=subprocess.DEVNULL,
                                stderr=subprocess.PIPE, text=True)

    def run(self, *command):
        with self.start(*command) as process:
            err = process.communicate(timeout=300)[1]
        return process.returncode, err


def undisturbed(room, *arguments):
    """What the run comes to on one host."""
    told = run("train", room.config, *arguments, timeout=300)
    expect(told.code == 0, told.err)
    final = room.final().read_bytes()
    shutil.rmtree(room.run)
    return final


def train(room, *arguments):
    return [LOCKSTEP, "train", room.config, *arguments]


@cases
def two_hosts_come_to_the_bits_of_one(cluster, room):
    final = undisturbed(room)
    code, err = cluster.run(MPIRUN, "-n", 4, "--hostfile", cluster.hostfile, *train(room))
    expect(code == 0, f"code {code}: {err}")
    expect(room.final().read_bytes() == final, "another final.safetensors")
    for line in ["4 workers on 2 hosts", "messages: shared memory (vader) within a host, TCP on all networks but ",
                 "host host-1: ranks 0-1 ", "host host-2: ranks 2-3 ", " between hosts; Open MPI v"]:
        expect(err.count(line) == 1, f"does not say '{line}' once: {err}")


@cases
def messages_take_the_network_that_they_are_told(cluster, room):
    options = ["--hostfile", cluster.hostfile, "--mca", "btl_tcp_if_include", "10.77.0.0/24"]
    code, err = cluster.run(MPIRUN, "-n", 4, *options, *train(room))
    expect(code == 0 and "TCP on cable between hosts" in err, f"code {code}: {err}")


@cases
def a_job_that_is_stopped_goes_on_elsewhere(cluster, room):
    final = undisturbed(room, *long_run())
    process = cluster.start(LAUNCH, "-n", 4, "--hostfile", cluster.hostfile, *train(room, *long_run()))
    metrics = room.run / "metrics.jsonl"
    deadline = time.monotonic() + 300
    while not (metrics.exists() and metrics.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    err = process.communicate(timeout=300)[1]
    expect(process.returncode == STOPPED and "stopped after step" in err, f"code {process.returncode}: {err}")
    expect(not room.final().exists(), "it was finished before it was stopped")
    room.train("--resume", *long_run(), workers=2, timeout=300)
    expect(room.final().read_bytes() == final, "another final.safetensors")


@cases
def a_host_that_is_gone_is_left_out(cluster, room):
    final = undisturbed(room)
    cluster.hosts.second.set_link("down")
    try:
        code, err = cluster.run(LAUNCH, "-n", 4, "--least", 2, "--hosts", "host-1:2,host-2:2", *train(room))
    finally:
        cluster.hosts.second.set_link("up")
    expect(code == 0 and "host-2 does not answer" in err and "2 workers on 1 host\n" in err, f"code {code}: {err}")
    expect(room.final().read_bytes() == final, "another final.safetensors")


@cases
def the_example_of_a_hostfile_is_one(cluster, room):
    example = (ROOT / "scripts" / "cluster" / "hosts.example").read_text()
    for number in [1, 2]:
        example = example.replace(f"node-{number} slots=8", f"host-{number} slots=1")
    hostfile = room.folder / "hosts"
    hostfile.write_text(example)
    code, err = cluster.run(MPIRUN, "-n", 2, "--hostfile", hostfile, *train(room))
    expect(code == 0 and "2 workers on 2 hosts" in err, f"code {code}: {err}")


def main():
    reason = missing()
    if sys.argv[1:] == ["--missing"]:
        print(reason, end="")
        return
    if reason:
        print(f"skipped: {reason}")
        return
    with Cluster() as cluster:
        cases.main(lambda case, room: case(cluster, room))


if __name__ == "__main__":
    main()
