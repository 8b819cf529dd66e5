"""The contestants: clusters of servers on this machine, and what all of them can be asked."""

import base64
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
        total = 0
        for port in self.ports:
            client = Client(port)
            status, _, text = client.ask("GET", "/metrics")
            client.close()
            found = re.search(rb"^kv_overlay_bytes (\d+)", text, re.MULTILINE)
            if status != 200 or found is None:
                raise BenchError(f"port {port} has no kv_overlay_bytes in its metrics")
            total += int(found[1])
        return total

    def put_batch(self, client, numbers, value_bytes):
        operations = ",".join(
            f'{{"op":"put","key":"{key_name(number)}","value":"{random_value(value_bytes)}"}}' for number in numbers)
        status, _, answer = client.ask("POST", "/batch", f'{{"operations":[{operations}]}}')
        accepted = answer.count(b'"status":200')
        if status != 200 or accepted != len(numbers):
            raise BenchError(f"batch: status {status}, {accepted} of {len(numbers)} accepted: {answer[:300]!r}")

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


class Etcd(Cluster):
    """etcd: three members, each with a replica of everything, through its JSON gateway. Default durability."""

    name = kind = "etcd"
    batch = 100
    durability = (
        "default: a put is answered when 2 of 3 members have it in their write-ahead logs, synced with fdatasync; "
        "a get is linearizable (serializable=false), its leader confirmed with a majority")

    def __init__(self, executable, folder):
        super().__init__(folder)
        ports = free_ports(6, first=22_000)
        self.ports, peers = ports[:3], ports[3:]
        names = [f"member{n}" for n in range(1, 4)]
        cluster = ",".join(f"{name}=http://127.0.0.1:{peer}" for name, peer in zip(names, peers))
        for name, port, peer in zip(names, self.ports, peers):
            client_url, peer_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peer}"
            self.members.append(Server(name, [
                executable, "--name", name, "--data-dir", os.path.join(folder, name),
                "--listen-client-urls", client_url, "--advertise-client-urls", client_url,
                "--listen-peer-urls", peer_url, "--initial-advertise-peer-urls", peer_url,
                "--initial-cluster", cluster, "--initial-cluster-token", "bench", "--log-level", "warn"], folder))
        self.servers = self.members

    def status(self, port):
        client = Client(port, timeout=5)
        try:
            return client.json("POST", "/v3/maintenance/status", {})
        finally:
            client.close()

    def find_problem(self):
        indices = []
        for port in self.ports:
            status = self.status(port)
            if int(status.get("leader", 0)) == 0:
                return "no leader"
            indices.append(int(status["raftIndex"]))
        return None if max(indices) - min(indices) < 10 else "a member lags behind"

    def put_batch(self, client, numbers, value_bytes):
        operations = [
            {"requestPut": {"key": encoded(key_name(number)), "value": encoded(random_value(value_bytes))}}
            for number in numbers]
        answer = client.json("POST", "/v3/kv/txn", {"success": operations})
        if not answer.get("succeeded") or len(answer["responses"]) != len(numbers):
            raise BenchError(f"transaction not accepted: {str(answer)[:300]}")

    def get(self, client, number):
        answer = client.json("POST", "/v3/kv/range", {"key": encoded(key_name(number))})
        return base64.b64decode(answer["kvs"][0]["value"]) if "kvs" in answer else b""

    def leader(self):
        """The member that leads; any keys, because it leads all."""
        for index, port in enumerate(self.ports):
            status = self.status(port)
            if status["leader"] == status["header"]["member_id"]:
                return index, random.sample(range(1_000), 4)
        raise BenchError("no etcd member leads")

    def put_once(self, client, number):
        body = f'{{"key":"{encoded(key_name(number))}","value":"{encoded("v" * 100)}"}}'
        status, _, answer = client.ask("POST", "/v3/kv/put", body)
        return status, json.loads(answer)["header"]["raft_term"] if status == 200 else None


def encoded(text):
    return base64.b64encode(text.encode()).decode()
