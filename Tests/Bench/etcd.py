"""etcd as a contestant: three members on the loopback."""

import base64
import json
import os
import random

from machine import BenchError
from serving import Client, Server, free_ports
from servers import Cluster, key_name, random_value


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
