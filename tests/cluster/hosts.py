"""Hosts made of network and UTS namespaces: each has a name, an address and a cable of its own, and shares the rest."""

import os
import subprocess
from pathlib import Path

AGENT = Path(__file__).resolve().parent / "into_host.sh"


def missing():
    """Why there can be no such hosts here; empty where there can."""
    if os.geteuid() != 0:
        return "hosts made of namespaces need root"
    for program in ["unshare", "nsenter", "ip"]:
        if subprocess.run(["sh", "-c", f"command -v {program}"], stdout=subprocess.DEVNULL, check=False).returncode:
            return f"there is no {program}"
    trial = subprocess.run(["unshare", "--net", "--uts", "sh", "-c", "hostname trial && ip link add name a type veth peer name b"],
                           stderr=subprocess.PIPE, text=True, check=False)
    return f"namespaces cannot be made here: {trial.stderr.strip()}" if trial.returncode else ""


class Host:
    def __init__(self, number):
        self.name = f"host-{number}"
        self.address = f"10.77.0.{number}"
        begin = f"hostname {self.name} && ip link set lo up && echo ready && exec sleep infinity"
        self.keeper = subprocess.Popen(["unshare", "--net", "--uts", "sh", "-c", begin], stdout=subprocess.PIPE,
                                       stderr=subprocess.STDOUT, text=True)
        said = self.keeper.stdout.readline()
        if said != "ready\n":
            raise RuntimeError(f"{self.name} cannot be made: {said}")
        self.network = os.readlink(f"/proc/{self.keeper.pid}/ns/net")

    def command(self, arguments):
        """What runs a command there."""
        return ["nsenter", "--target", str(self.keeper.pid), "--net", "--uts", *map(str, arguments)]

    def run(self, *arguments):
        subprocess.run(self.command(arguments), check=True)

    def set_link(self, state):
        """up or down"""
        self.run("ip", "link", "set", "cable", state)

    def processes(self):
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                alive = (entry / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
                if alive and int(entry.name) != self.keeper.pid and os.readlink(entry / "ns/net") == self.network:
                    found.append(int(entry.name))
            except OSError:
                continue
        return found


class TwoHosts:
    """`with TwoHosts() as hosts`: mpirun on hosts.first reaches both, with its options and environment from here."""

    def __enter__(self):
        self.hosts = first, second = Host(1), Host(2)
        self.first, self.second = first, second
        first.run("ip", "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", second.keeper.pid)
        for host in self.hosts:
            host.run("ip", "address", "add", f"{host.address}/24", "dev", "cable")
            host.set_link("up")
        return self

    def __exit__(self, *_):
        for host in self.hosts:
            for pid in host.processes():
                try:
                    os.kill(pid, 9)
                except OSError:
                    continue
            host.keeper.kill()
            host.keeper.wait()

    def __iter__(self):
        return iter(self.hosts)

    def mpirun_options(self, slots, hosts=None):
        """So many ranks on each of these hosts (default: both)."""
        return ["--host", ",".join(f"{host.address}:{slots}" for host in hosts or self), "--map-by", "node",
                "--mca", "plm_rsh_agent", str(AGENT)]

    def environment(self):
        """With which AGENT finds the hosts."""
        keepers = " ".join(f"{host.address}={host.keeper.pid}" for host in self.hosts)
        return {**os.environ, "LOCKSTEP_TEST_HOSTS": keepers}


if __name__ == "__main__":
    print(missing(), end="")
