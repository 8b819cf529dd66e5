"""Who is killed in `availability`: this store, and etcd beside it, behind the same few calls."""

import base64
import json
import os
import sys

import client
from cluster import NODES, Cluster

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "Bench"))


class Nothing:
    """Tools of a run that injects nothing but kills."""

    shim = None


class Store:
    """This store: a controller and five nodes. Any node may be killed."""

    def __init__(self, executable, folder, net, backend):
        self.name = backend
        self.cluster = Cluster(executable, folder, backend, net, Nothing, False, [])
        self.cluster.away.clear()
        self.members = list(NODES)
        self.addresses = {name: self.cluster.http[name] for name in NODES}

    def start(self):
        self.cluster.start()

    def problem(self):
        problem = self.cluster.problem()
        if problem is None:
            partitions = self.cluster.ask("/partitions")["partitions"]
            if any(partition["leader"] != partition["members"][0] for partition in partitions):
                return "a partition is not led by its preferred leader yet"
        return problem

    def leaders(self, keys):
        return {key: self.cluster.ask(f"/map?key={key}")["leader"] for key in keys}

    def victim(self, rng, leaders):
        return rng.choice(self.members)

    def kill(self, name):
        self.cluster.servers[name].kill()

    def revive(self, name):
        self.cluster.servers[name].start()

    def request(self, kind, key, patience_ms):
        if kind == "get":
            return "GET", f"/kv/{key}?timeout={patience_ms}", None, None
        return ("PUT", f"/kv/{key}?timeout={patience_ms}", {"Content-Type": "application/octet-stream"}, b"v" * 100)

    def stop(self):
        for server in self.cluster.servers.values():
            server.stop()


class Etcd:
    """Three members of etcd with its defaults, through the JSON gateway. The leader is killed."""

    name = "etcd"

    def __init__(self, executable, folder):
        import etcd
        import serving

        self.kill_all = serving.kill_all
        self.cluster = etcd.Etcd(executable, os.path.join(folder, "etcd"))
        self.members = [server.name for server in self.cluster.members]
        self.addresses = {name: ("127.0.0.1", port) for name, port in zip(self.members, self.cluster.ports)}

    def start(self):
        self.cluster.start()

    def problem(self):
        return self.cluster.problem()

    def leaders(self, keys):
        index, _ = self.cluster.leader()
        return dict.fromkeys(keys, self.members[index])

    def victim(self, rng, leaders):
        return next(iter(leaders.values()))

    def kill(self, name):
        self.cluster.members[self.members.index(name)].kill()

    def revive(self, name):
        self.cluster.members[self.members.index(name)].start()

    def request(self, kind, key, patience_ms):
        encoded = base64.b64encode(key.encode()).decode()
        if kind == "get":
            return "POST", "/v3/kv/range", {}, json.dumps({"key": encoded}).encode()
        value = base64.b64encode(b"v" * 100).decode()
        return "POST", "/v3/kv/put", {}, json.dumps({"key": encoded, "value": value}).encode()

    def stop(self):
        self.kill_all()


def succeeded(connection, request):
    """Whether there was a good answer."""
    try:
        return connection.ask(*request)[0] in (200, 201)
    except (client.NotSent, client.Lost):
        return False
