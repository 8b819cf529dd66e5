"""The contestants: clusters of servers on this machine, and what all of them can be asked."""

import http.client
import json
import os
import random
import re
import threading
import time

from machine import BenchError
from serving import Client, Server, free_ports


def key_name(number):
    """As `kv bench cluster` calls its records."""
    return f"bench/{number:012d}"


def random_value(count):
    return random.randbytes((count + 1) // 2).hex()[:count]


class Cluster:
    """What all contestants share. `ports` are where clients ask; `servers` are all processes, `members` those that
    store data, in the order of `ports`."""

    name = kind = durability = ""
    batch = 1

    def __init__(self, folder):
        self.folder = folder
        os.makedirs(folder)
        self.servers, self.members, self.ports = [], [], []

    @property
    def pids(self):
        return [server.pid for server in self.servers]

    def start(self, patience=90):
        for server in self.servers:
            server.start()
        self.await_healthy(patience)

    def stop(self, patience=300):
        for server in self.servers:
            server.terminate()
        for server in self.servers:
            server.await_end(patience)

    def backlog(self):
        """Bytes that members have acknowledged and still have to move to where they stay."""
        return 0

    def drain(self, patience=300):
        """Waits until there is no backlog: the seconds that took."""
        began = time.monotonic()
        while self.backlog() > 0:
            for server in self.servers:
                server.check()
            if time.monotonic() - began > patience:
                raise BenchError(f"{self.name} still has a backlog after {patience} s without load")
            time.sleep(0.05)
        return time.monotonic() - began

    def await_healthy(self, patience=120, problem=None):
        """Until every member serves and every key has all its replicas in step; or until there is no other `problem`."""
        deadline = time.monotonic() + patience
        while True:
            for server in self.servers:
                server.check()
            found = self.problem(problem)
            if found is None:
                return
            if time.monotonic() > deadline:
                raise BenchError(f"{self.name} is not healthy after {patience} s: {found}")
            time.sleep(0.05)

    def problem(self, find=None):
        """Why the cluster isn't healthy, or None."""
        try:
            return (find or self.find_problem)()
        except (OSError, http.client.HTTPException, BenchError) as error:
            return str(error)

    def load(self, count, value_bytes=100):
        """Puts keys 0 to count - 1 in batches, through all members, and checks that each was accepted."""
        batch = max(1, min(self.batch, (1 << 20) // value_bytes))
        batches = iter(range(0, count, batch))
        lock, problems = threading.Lock(), []

        def work(port):
            client = Client(port)
            try:
                while not problems:
                    with lock:
                        first = next(batches, None)
                    if first is None:
                        break
                    self.put_batch(client, range(first, min(first + batch, count)), value_bytes)
            except (OSError, http.client.HTTPException, BenchError) as error:
                problems.append(error)
            finally:
                client.close()

        threads = [threading.Thread(target=work, args=(port,)) for port in self.ports]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if problems:
            raise BenchError(f"{self.name}: loading keys failed: {problems[0]}")

    def verify(self, count, samples=50):
        """Reads a few keys through every member: each must have a value of 100 bytes."""
        for port in self.ports:
            client = Client(port)
            for _ in range(samples):
                number = random.randrange(count)
                length = len(self.get(client, number))
                if length != 100:
                    raise BenchError(f"{self.name}: {key_name(number)} has {length} bytes instead of 100")
            client.close()


class Store(Cluster):
    """This store: a controller and four nodes, three replicas, one kind of backend."""

    kind, batch = "kv", 1_000
    durability = (
        "a put is answered when 2 of 3 replicas have it in their journals, synced with fdatasync; "
        "a get asks the leader, which confirms with a majority that it still leads")

    def __init__(self, executable, backend, folder, nodes=4, partitions=64):
        super().__init__(folder)
        self.name = backend
        ports = free_ports(1 + 2 * nodes)
        self.controller_port, self.ports, peers = ports[0], ports[1:nodes + 1], ports[nodes + 1:]
        names = [f"worker{n}" for n in range(1, nodes + 1)]
        replicas = min(3, nodes)
        configuration = {
            "cluster": {
                "name": "bench", "partitions": partitions,
                "replication": {
                    "replicas": replicas, "write_quorum": replicas // 2 + 1, "read_quorum": replicas // 2 + 1}},
            "controller": {
                "listen": f"127.0.0.1:{self.controller_port}",
                "backend": {"type": backend, "path": os.path.join(folder, "controller")}},
            "nodes": [
                {"name": name, "listen": f"127.0.0.1:{port}", "peer_listen": f"127.0.0.1:{peer}",
                 "backend": {"type": backend, "path": os.path.join(folder, name)}}
                for name, port, peer in zip(names, self.ports, peers)]}
        path = os.path.join(folder, "cluster.json")
        with open(path, "w") as file:
            json.dump(configuration, file, indent=2)
        controller = Server("controller", [executable, "controller", "--config", path], folder)
        self.members = [
            Server(name, [executable, "node", "--config", path, "--name", name], folder) for name in names]
        self.servers = [controller, *self.members]
        self.controller = Client(self.controller_port)

    def find_problem(self):
        health = self.controller.json("GET", "/health")
        if health["verdict"] != "ok" or health["nodes"]["up"] != len(self.members):
            return "; ".join(health["reasons"]) or f"the verdict is {health['verdict']}"
        for partition in self.controller.json("GET", "/partitions")["partitions"]:
            if partition["state"] != "ok" or partition["lagging"] or not partition["synced"]:
                return f"partition {partition['partition']} is {partition['state']}, or not synced yet"
            if partition["leader"] != partition["members"][0]:
                return f"partition {partition['partition']} is not led by its preferred leader yet"
        for server, port in zip(self.members, self.ports):
            client = Client(port, timeout=5)
            try:
                own = client.json("GET", "/health")
            finally:
                client.close()
            if own["verdict"] != "ok" or own["partitions"]["leaderless"]:
                return f"{server.name}: {own['reasons'] or 'partitions without a leader'}"
            if own["peers"]["connected"] != own["peers"]["total"]:
                return f"{server.name} is not connected to all peers"
        return None

    def backlog(self):
        return sum(self.metric(port, "kv_overlay_bytes") for port in self.ports)

    def metric(self, port, name):
        client = Client(port)
        try:
            status, _, text = client.ask("GET", "/metrics")
        finally:
            client.close()
        found = re.search(rf"^{name} (\d+)".encode(), text, re.MULTILINE)
        if status != 200 or found is None:
            raise BenchError(f"port {port} has no {name} in its metrics")
        return int(found[1])

    def put_batch(self, client, numbers, value_bytes):
        refused = self.try_batch(client, numbers, value_bytes)
        if refused:
            raise BenchError(f"batch: {len(refused)} of {len(numbers)} not accepted: {refused[0][1]}")

    def try_batch(self, client, numbers, value_bytes):
        """The numbers whose keys were not put, each with what was answered."""
        operations = ",".join(
            f'{{"op":"put","key":"{key_name(number)}","value":"{random_value(value_bytes)}"}}' for number in numbers)
        status, _, answer = client.ask("POST", "/batch", f'{{"operations":[{operations}]}}')
        if status == 200 and answer.count(b'"status":200') == len(numbers):
            return []
        if status != 200:
            raise BenchError(f"batch: status {status}: {answer[:300]!r}")
        results = json.loads(answer)["results"]
        return [pair for pair in zip(numbers, results, strict=True) if pair[1]["status"] != 200]

    def get(self, client, number):
        return client.json("GET", f"/kv/{key_name(number)}")["value"]

    def leader(self):
        """The member that leads most partitions, and keys that it leads, each of another partition."""
        partitions = self.controller.json("GET", "/partitions")["partitions"]
        leaders = [partition["leader"] for partition in partitions]
        index = max(range(len(self.members)), key=lambda n: (leaders.count(self.members[n].name), random.random()))
        keys, seen = [], set()
        for number in random.sample(range(1_000), 1_000):
            place = self.controller.json("GET", f"/map?key={key_name(number)}")
            if place["leader"] == self.members[index].name and place["partition"] not in seen:
                seen.add(place["partition"])
                keys.append(number)
                if len(keys) == 4:
                    return index, keys
        raise BenchError(f"{self.members[index].name} leads too few partitions")

    def put_once(self, client, number):
        """Puts once, as fast as can be: (status, which leader decided)."""
        status, headers, _ = client.ask("PUT", f"/kv/{key_name(number)}", f'{{"value":"{"v" * 100}"}}')
        return status, headers.get("KV-Leader")
