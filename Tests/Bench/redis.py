"""A Redis cluster, for a scale: what a store does that acknowledges before another node or the disk has a write."""

import os
import socket
import subprocess

import load
from machine import BenchError
from servers import Cluster, key_name, random_value
from serving import Server, free_ports


LOADING = 600
"""Seconds after which loading is given up."""


class Redis(Cluster):
    """Three masters, each with a replica; its log is synced once a second."""

    name = kind = "redis"
    durability = (
        "a put is answered before a replica or the disk has it (appendfsync everysec, asynchronous replication); a get asks "
        "one node, which answers even if it was replaced meanwhile")

    def __init__(self, executable, cli, folder):
        super().__init__(folder)
        self.cli = cli
        everyone = free_ports(6, first=13_000)
        # Its bus listens 10,000 above, which must not be among the ports that outgoing connections get.
        for port in everyone:
            data = os.path.join(folder, f"redis{port}")
            os.makedirs(data)
            self.servers.append(Server(f"redis{port}", [
                executable, "--port", str(port), "--bind", "127.0.0.1", "--dir", data, "--cluster-enabled", "yes",
                "--cluster-config-file", "nodes.conf", "--appendonly", "yes", "--appendfsync", "everysec", "--save", "",
                "--protected-mode", "yes", "--daemonize", "no"], folder))
        self.members = self.servers[:3]
        self.ports = everyone[:3]
        self.everyone = everyone
        self.is_made = False

    def start(self, patience=90):
        for server in self.servers:
            server.start()
        if not self.is_made:
            self.await_answers(patience)
            addresses = [f"127.0.0.1:{port}" for port in self.everyone]
            done = subprocess.run(
                [self.cli, "--cluster", "create", *addresses, "--cluster-replicas", "1", "--cluster-yes"],
                capture_output=True, text=True, timeout=patience)
            if done.returncode != 0:
                raise BenchError(f"the Redis cluster can't be made: {done.stdout[-500:]}{done.stderr[-500:]}")
            self.is_made = True
        self.await_healthy(patience)

    def await_answers(self, patience):
        self.await_healthy(patience, self.find_silence)

    def find_silence(self):
        return next((f"{port} is silent" for port in self.everyone if self.ask(port, "PING") != "+PONG"), None)

    def find_problem(self):
        for port in self.everyone:
            text = self.ask(port, "CLUSTER INFO")
            if "cluster_state:ok" not in text or "cluster_known_nodes:6" not in text:
                return f"{port} is not part of a working cluster"
        for port in self.ports:
            # An array, whose first element is the role: *3, its length, itself.
            lines = self.ask(port, "ROLE").split("\r\n")
            if len(lines) < 3 or lines[2] != "master":
                return f"{port}, one of the first three, is not a master"
        return None

    @staticmethod
    def ask(port, command):
        """The beginning of an answer, as it comes."""
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(command.encode() + b"\r\n")
            return connection.recv(65_536).decode(errors="replace").strip()

    def load(self, count, value_bytes=100):
        """By the generator, which knows which master holds which key."""
        done = subprocess.run([
            load.generator, "bench", "cluster", *(f"127.0.0.1:{port}" for port in self.ports), "--target", "redis",
            "--mix", "get", "--records", str(count), "--value-bytes", str(value_bytes), "--warm-up", "0", "--seconds", "1",
            "--check"], capture_output=True, text=True, timeout=LOADING)
        if done.returncode != 0:
            raise BenchError(f"redis: loading keys failed: {done.stdout}{done.stderr}")

    def get(self, client, number):
        """Of any master: the others answer MOVED, which the generator's check covers."""
        for port in self.ports:
            answer = self.ask(port, f"GET {key_name(number)}")
            if answer.startswith("$"):
                return answer.split("\r\n", 1)[1] if "\r\n" in answer else ""
        return random_value(0)
