"""Server processes on this machine, started and stopped by process id; their ports; and a client over HTTP."""

import ctypes
import http.client
import json
import os
import signal
import socket
import subprocess
import time

from machine import BenchError

LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG = 1
started = []
"""Every process that runs."""


def _ends_with_parent():
    """In the child: dies with the benchmark, whatever ends it, and leaves the terminal's Ctrl-C to it."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setsid()


class Server:
    """One server process, with a log file of its own."""

    def __init__(self, name, command, folder):
        self.name, self.command, self.folder = name, command, folder
        self.log = os.path.join(folder, f"{name}.log")
        self.process = None

    @property
    def pid(self):
        return self.process.pid

    def start(self):
        # What the environment would configure is not what is measured.
        environment = {name: text for name, text in os.environ.items() if not name.startswith(("KV_", "ETCD_"))}
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.command, cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                preexec_fn=_ends_with_parent)
        started.append(self.process)

    def check(self):
        status = self.process.poll()
        if status is not None:
            raise BenchError(f"{self.name} ended with status {status}; the end of its log:\n{self.log_end()}")

    def log_end(self):
        with open(self.log, errors="replace") as file:
            return "".join(file.readlines()[-15:])

    def kill(self):
        """SIGKILL. `start` may follow."""
        self.process.kill()
        self.process.wait()
        started.remove(self.process)

    def terminate(self):
        """SIGTERM, if it runs."""
        if self.process in started and self.process.poll() is None:
            self.process.terminate()

    def await_end(self, patience):
        """After `terminate`. Raises BenchError when it takes longer, or when it was no clean stop."""
        if self.process not in started:
            return
        try:
            status = self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.kill()
            raise BenchError(f"{self.name} did not stop within {patience} s of SIGTERM") from None
        started.remove(self.process)
        if status not in (0, -signal.SIGTERM):
            raise BenchError(f"{self.name} ended with status {status}; the end of its log:\n{self.log_end()}")


def kill_all():
    """Ends what still runs: the last resort of every way out."""
    for process in started:
        process.kill()
    for process in started:
        process.wait()
    started.clear()


def free_ports(count, first=21_000):
    """Ports that nobody listens on, below those that outgoing connections get."""
    found = []
    for port in range(first, 32_000):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise BenchError(f"fewer than {count} free ports")


LONGEST_IDLE = 5
"""Seconds after which a connection is not used again: servers close one on which nothing happens, some after 15."""


class Client:
    """One connection, kept open; it is opened again after an error, or when nothing was asked for a while."""

    def __init__(self, port, timeout=30):
        self.port, self.timeout, self.connection, self.used_at = port, timeout, None, 0

    def ask(self, method, path, body=None):
        """(status, headers, body). Raises OSError or HTTPException when there is no answer."""
        if time.monotonic() - self.used_at > LONGEST_IDLE:
            self.close()
        if self.connection is None:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.timeout)
            self.connection.connect()
            self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            headers = {"Content-Type": "application/json"} if body is not None else {}
            self.connection.request(method, path, body, headers)
            answer = self.connection.getresponse()
            content = answer.read()
            self.used_at = time.monotonic()
            return answer.status, answer.headers, content
        except (OSError, http.client.HTTPException):
            self.close()
            raise

    def json(self, method, path, body=None):
        """The answer's JSON; BenchError unless the status is 200."""
        text = None if body is None else json.dumps(body)
        status, _, answer = self.ask(method, path, text)
        if status != 200:
            raise BenchError(f"{method} {path} on port {self.port}: status {status}: {answer[:300]!r}")
        return json.loads(answer)

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None
