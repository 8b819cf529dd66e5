"""A controller and five nodes as processes, each with a data folder of its own, and what can be asked of them."""

import json
import os
import random
import shutil
import socket
import subprocess
import sys
import time

import client
import network
import processes
from processes import Server
from tools import Control

HERE = os.path.dirname(os.path.abspath(__file__))
BACKENDS = {
    "file": ("file",), "sqlite": ("sqlite",), "lmdb": ("lmdb",), "mixed": ("file", "sqlite", "lmdb")}
NODES = tuple(f"worker{number}" for number in range(1, 6))
CONTROLLER = "controller"
SMALL_DISK_BYTES = 40 << 20


class Ports:
    """In a private network everybody has the usual ports. On the loopback everybody needs others: some that nobody
    listens on, and that outgoing connections don't get."""

    FIRST, LAST = 20_000, 32_000

    def __init__(self, is_private):
        self.is_private = is_private
        self.candidates = iter(random.sample(range(self.FIRST, self.LAST), self.LAST - self.FIRST))

    def get(self, usual):
        if self.is_private:
            return usual
        for port in self.candidates:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
            return port
        raise OSError("no free port")


class Cluster:
    """`tools` says what this machine offers: see tools.Tools."""

    def __init__(self, executable, folder, backend, net, tools, uses_proxy, small_disks):
        self.executable, self.folder, self.net, self.tools = executable, folder, net, tools
        self.small_disks = small_disks
        self.is_private = isinstance(net, network.PrivateNetwork)
        self.backends = dict(zip(NODES, BACKENDS[backend] * len(NODES)))
        self.backends[CONTROLLER] = BACKENDS[backend][-1]
        self.cuts, self.control, self.proxy, self.away = {}, {}, None, {"worker5"}
        """`away`: nodes that nobody expects to be there."""
        ports = Ports(self.is_private)
        self.http = {name: (net.addresses[name], ports.get(8000)) for name in (CONTROLLER, *NODES)}
        self.peers = {name: (net.addresses[name], ports.get(9000)) for name in NODES}
        self.front = {name: (network.PROXY if self.is_private else "127.0.0.1",
                             ports.get(9100 + number)) for number, name in enumerate(NODES)}
        self.uses_proxy = uses_proxy
        self.prepare_folders()
        self.servers = {name: self.server(name) for name in (CONTROLLER, *NODES)}

    # Setting up

    def data(self, name):
        return os.path.join(self.folder, "disks", name, "data")

    def prepare_folders(self):
        for name in (CONTROLLER, *NODES):
            disk = os.path.dirname(self.data(name))
            os.makedirs(disk)
            if name in self.small_disks:
                subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK_BYTES}", "none", disk], check=True)
        with open(os.path.join(self.folder, "cluster.json"), "w") as file:
            json.dump(self.configuration(), file, indent=2)

    def configuration(self):
        """Times are short, so that much happens in a minute; segments are small, so that they are recycled."""
        nodes = []
        for name in NODES:
            node = {
                "name": name, "listen": address(self.http[name]), "peer_listen": address(self.peers[name]),
                "backend": {"type": self.backends[name], "path": self.data(name)},
                "limits": {"max_value_bytes": 65_536, "journal_segment_bytes": 1 << 20, "overlay_bytes": 1 << 20,
                           "disk_reserve_bytes": 0},
                "log": {"level": "info"}}
            if self.uses_proxy:
                node["peer_advertise"] = address(self.front[name])
            nodes.append(node)
        return {
            "cluster": {
                "name": "nemesis", "partitions": 16,
                "replication": {"replicas": 3, "write_quorum": 2, "read_quorum": 2}, "heartbeat_ms": 200,
                "fail_after_ms": 1200, "replace_after_ms": 2000, "bootstrap_wait_ms": 2000,
                "allow_insecure_network": self.is_private},
            "controller": {
                "listen": address(self.http[CONTROLLER]),
                "backend": {"type": self.backends[CONTROLLER], "path": self.data(CONTROLLER)},
                "log": {"level": "info"}},
            "nodes": nodes}

    def server(self, name):
        config = os.path.join(self.folder, "cluster.json")
        command = [self.executable, "controller", "--config", config]
        if name != CONTROLLER:
            command = [self.executable, "node", "--config", config, "--name", name]
        environment = {}
        if self.tools.shim:
            self.control[name] = Control(os.path.join(self.folder, f"{name}.control"))
            environment = {"LD_PRELOAD": self.tools.shim, "NEMESIS_CONTROL": self.control[name].path}
        return Server(name, command, os.path.join(self.folder, f"{name}.log"), environment, self.net.namespace(name))

    def start(self):
        if self.uses_proxy:
            self.start_proxy()
        for name in (CONTROLLER, *NODES):
            if name not in self.away:
                self.servers[name].start()

    def start_proxy(self):
        sources = {} if not self.is_private else {self.net.addresses[name]: name for name in NODES}
        settings = {
            "listen": self.front[NODES[0]][0], "sources": sources,
            "targets": {name: [*self.peers[name], self.front[name][1]] for name in NODES}}
        self.proxy = processes.spawn(
            [sys.executable, os.path.join(HERE, "proxy.py"), json.dumps(settings)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=open(os.path.join(self.folder, "proxy.log"), "ab"))
        self.proxy.stdout.readline()

    # Links

    def spoil(self, source, target, fault, value):
        """Tells the proxy what is wrong with the direction from one node to another."""
        command = {"from": source, "to": target, "fault": fault, "value": value}
        self.proxy.stdin.write(json.dumps(command).encode() + b"\n")
        self.proxy.stdin.flush()

    def cut(self, source, target):
        """Nothing from `source` reaches `target`. Cuts are counted: each needs its `mend`."""
        self._change_cut(source, target, 1)

    def mend(self, source, target):
        self._change_cut(source, target, -1)

    def _change_cut(self, source, target, change):
        before = self.cuts.get((source, target), 0)
        self.cuts[source, target] = before + change
        if bool(before) == bool(before + change):
            return
        if self.uses_proxy and CONTROLLER not in (source, target):
            self.spoil(source, target, "hole", 1 if change > 0 else 0)
        elif change > 0:
            self.net.drop(source, target)
        else:
            self.net.restore(source, target)

    # Data

    def wipe(self, name):
        shutil.rmtree(self.data(name), ignore_errors=True)

    def copy_data(self, name, target):
        """A copy of the folder, with holes and attributes; of a server that does not run, or is paused."""
        subprocess.run(["cp", "-a", "--sparse=always", self.data(name), target], check=True)

    def restore_data(self, name, source):
        self.wipe(name)
        subprocess.run(["cp", "-a", "--sparse=always", source, self.data(name)], check=True)

    # Health

    @property
    def present(self):
        return [name for name in NODES if name not in self.away]

    def ask(self, path, method="GET"):
        """The controller's JSON. Raises OSError."""
        return client.get_json(self.http[CONTROLLER], path, method=method)

    def problem(self):
        """Why the cluster isn't whole, or None."""
        try:
            return self.find_problem()
        except OSError as error:
            return str(error)

    def find_problem(self):
        problems = []
        states = {node["name"]: node for node in self.ask("/nodes")["nodes"]}
        for name in self.present:
            node = states.get(name, {"state": "unheard of", "reasons": []})
            if node["state"] != "up":
                problems.append(f"{name} is {node['state']}: {'; '.join(node['reasons'])}")
        for partition in self.ask("/partitions")["partitions"]:
            wrong = [] if partition["state"] == "ok" else [partition["state"]]
            wrong += ["lagging"] if partition["lagging"] else []
            wrong += ["not synced"] if not partition["synced"] else []
            wrong += ["members"] if partition["previous"] or len(partition["members"]) != 3 else []
            if wrong:
                problems.append(f"partition {partition['partition']}: {', '.join(wrong)}")
        if problems:
            return "; ".join(problems)
        for name in self.present:
            health = client.get_json(self.http[name], "/health")
            if health["verdict"] != "ok" or health["partitions"]["leaderless"]:
                return f"{name}: {health['reasons'] or health['partitions']}"
        return None

    def replicas_problem(self, keys):
        """Which key's replicas differ, or None."""
        for key in keys:
            try:
                answer = client.get_json(self.http[self.present[0]], f"/replicas?key={key}")
            except OSError as error:
                if "status 404" in str(error):
                    continue
                return str(error)
            if len(answer["replicas"]) != 3 or not all(replica["agrees"] for replica in answer["replicas"]):
                return f"replicas of {key} differ: {json.dumps(answer)}"
        return None

    def await_whole(self, patience, watch=lambda problem: None):
        """Until everything is healthy, three looks in a row: the seconds it took and None, or the problem. `watch` is
        called after each look."""
        return await_none(self.problem, 3, patience, watch)

    def await_equal(self, keys, patience):
        """The same for the replicas of these keys. They differ now and then while somebody writes."""
        return await_none(lambda: self.replicas_problem(keys), 1, patience, lambda problem: None)


def await_none(look, times, patience, watch):
    began, good = time.monotonic(), 0
    while True:
        problem = look()
        watch(problem)
        good = 0 if problem else good + 1
        if good == times or time.monotonic() - began > patience:
            return time.monotonic() - began, problem
        time.sleep(0.3)


def address(pair):
    return f"{pair[0]}:{pair[1]}"
