"""A private network: a namespace for each server, a bridge between them that the test itself sits on.

The test moves into a network and a mount namespace of its own first, so that nothing of this is visible outside and
all of it is gone when the test ends. Packets are dropped where they arrive, by who sent them: one direction at a time.
Only root can do that; without it everything runs on 127.0.0.1 and links can't be cut."""

import os
import shutil
import subprocess

import processes
from program import say

SUBNET = "10.77.0"
CLIENTS, PROXY = f"{SUBNET}.1", f"{SUBNET}.2"

NEEDED = {"ip": "iproute2", "iptables": "iptables", "mount": "mount", "nsenter": "util-linux", "unshare": "util-linux"}
"""Commands, and the packages of Debian that have them."""


def run(*command):
    subprocess.run(command, check=True, capture_output=True, text=True)


class PrivateNetwork:
    """`names` are the servers; each has an address and a namespace file."""

    def __init__(self, names):
        self.addresses = {name: f"{SUBNET}.{10 + number}" for number, name in enumerate(names)}
        self.holders = {}

    def enter(self):
        """Moves the calling process; it must have no other threads yet. Raises PermissionError where that isn't allowed, as
        in most containers, and OSError where something is missing."""
        lacking = [command for command in NEEDED if shutil.which(command) is None]
        if lacking:
            packages = " ".join(sorted({NEEDED[command] for command in lacking}))
            raise OSError(f"no {', '.join(lacking)} here, which cut links need: apt-get install {packages}")
        processes.check_call(
            processes.LIBC.unshare(processes.CLONE_NEWNET | processes.CLONE_NEWNS), "enter private namespaces")
        try:
            run("mount", "--make-rprivate", "/")
            run("ip", "link", "set", "lo", "up")
            run("ip", "link", "add", "bridge", "type", "bridge")
            run("ip", "address", "add", f"{CLIENTS}/24", "dev", "bridge")
            run("ip", "address", "add", f"{PROXY}/24", "dev", "bridge")
            run("ip", "link", "set", "bridge", "up")
            for number, name in enumerate(self.addresses):
                self.connect(number, name)
        except subprocess.CalledProcessError as error:
            raise OSError(f"{error}: {error.stderr}") from None

    def connect(self, number, name):
        """A namespace lives as long as a process in it."""
        holder = processes.spawn(["unshare", "--net", "sh", "-c", "echo ready; exec sleep infinity"],
                                 stdout=subprocess.PIPE)
        holder.stdout.readline()
        self.holders[name] = holder.pid
        run("ip", "link", "add", f"v{number}", "type", "veth", "peer", "name", "eth0", "netns", str(holder.pid))
        run("ip", "link", "set", f"v{number}", "master", "bridge", "up")
        self.inside(name, "ip", "link", "set", "lo", "up")
        self.inside(name, "ip", "address", "add", f"{self.addresses[name]}/24", "dev", "eth0")
        self.inside(name, "ip", "link", "set", "eth0", "up")

    def namespace(self, name):
        return f"/proc/{self.holders[name]}/ns/net"

    def inside(self, name, *command):
        run("nsenter", f"--net={self.namespace(name)}", *command)

    def drop(self, source, target):
        """Nothing from `source` (a server's name, or an address) reaches `target` any more."""
        self._rule("-I", source, target)

    def restore(self, source, target):
        self._rule("-D", source, target)

    def _rule(self, action, source, target):
        address = self.addresses.get(source, source)
        self.inside(target, "iptables", "-w", action, "INPUT", "-s", address, "-j", "DROP")


class Loopback:
    """Everything on 127.0.0.1."""

    def __init__(self, names):
        self.addresses = {name: "127.0.0.1" for name in names}

    def namespace(self, name):
        return None


def is_root():
    return os.geteuid() == 0


def private_or_loopback(names):
    """Every server in a network of its own where that is allowed, else everything on 127.0.0.1, which is said. Raises OSError when
    it is allowed and something else is amiss: faults that could be tested are not left out for want of a package."""
    if not is_root():
        say("not root: everything on 127.0.0.1, links are not cut")
        return Loopback(names)
    net = PrivateNetwork(names)
    try:
        net.enter()
    except PermissionError as error:
        say(f"{error}: everything on 127.0.0.1, links are not cut")
        return Loopback(names)
    return net
