"""Runs `kv bench cluster` and doubts what it says."""

import json
import os
import subprocess
import tempfile
import threading
import time

from machine import BenchError, connections, cpu_seconds

CONNECTIONS = 64
SETTLE = 1.0
"""Seconds without load, at the least, before the servers' processor time is read: work put off is not left out."""

TIMEOUT = 20
"""Seconds after which the generator gives an answer up."""

PATIENCE = 60
"""Seconds that the generator may need beside those that it measures and waits, before it is killed."""

generator = None
"""The executable `kv`; whoever measures sets it."""


def run(cluster, what, keys, seconds, check=False, count=CONNECTIONS, value_bytes=100, rate=None, allowed=()):
    """One run of the mix `what` (put, get, ...), of random keys among `keys`, spread over all members.

    As many connections to each member, at least `count` in all. With `rate` so many operations a second are due at fixed
    times. Returns when the servers have no backlog any more; `drain_seconds` says how long that took after the load.
    Latencies are None where a percentile falls among operations that were never sent. Raises BenchError when an operation
    fails for a reason that is not `allowed`, or the load was not spread evenly."""
    members = len(cluster.ports)
    count = -(-count // members) * members
    place = f"{cluster.name}, {what}"
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        command = [
            generator, "bench", "cluster", *(f"127.0.0.1:{port}" for port in cluster.ports), "--target", cluster.kind,
            "--mix", what, "--distribution", "uniform", "--connections", str(count), "--records", str(keys),
            "--value-bytes", str(value_bytes), "--seconds", str(seconds), "--warm-up", "0", "--no-load",
            "--seed", str(time.monotonic_ns() % 1_000_000), "--timeout", str(TIMEOUT), "--json", file.name]
        command += ["--check"] if check else []
        command += ["--rate", str(rate)] if rate else []
        before = cpu_seconds(cluster.pids)
        status, output, spread, generator_seconds = _generate(command, cluster.ports, count, seconds)
        drained = cluster.drain()
        time.sleep(max(0, SETTLE - drained))
        used = cpu_seconds(cluster.pids) - before
        if status != 0:
            raise BenchError(f"{place}: the generator ended with {status}:\n{output}")
        with open(file.name) as text:
            result = json.load(text)
    failed = {name: number for name, number in result["failed"].items() if name not in allowed}
    if failed or result["missing"]:
        raise BenchError(f"{place}: of {result['count']} operations {failed} failed, {result['missing']} met no key")
    expected = count // members
    if set(spread.values()) != {expected} or min(result["sent"]) == 0:
        raise BenchError(f"{place}: connections per port are {spread}, not {expected} each; sent {result['sent']}")
    requests = result["count"] + sum(result["failed"].values())
    return {
        "requests": requests,
        "per_second": result["per_second"],
        "drain_seconds": drained,
        "latency_micros": {
            name: None if value is None else value / 1000 for name, value in result["latency_ns"].items()},
        "server_cpu_micros_per_operation": used * 1e6 / requests,
        "generator_cpu_micros_per_operation": generator_seconds * 1e6 / requests,
        "connections": count,
        "value_bytes": value_bytes,
        "rate": rate,
        "never_sent": result["never_sent"],
        "failed": result["failed"],
        "sent_per_member": result["sent"],
    }


def _generate(command, ports, count, seconds):
    """Runs the generator: its exit status, what it printed, its connections by port, its processor time in seconds."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    patience = seconds + TIMEOUT + PATIENCE
    late = threading.Event()

    def give_up():
        late.set()
        process.kill()

    deadline = threading.Timer(patience, give_up)
    deadline.start()
    try:
        spread = _spread(process, ports, count)
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    finally:
        deadline.cancel()
        if process.returncode is None:
            process.kill()
            process.wait()
        process.stdout.close()
    if late.is_set():
        raise BenchError(f"the generator had not ended after {patience} s: {' '.join(command)}")
    return process.returncode, output, spread, usage.ru_utime + usage.ru_stime


def _spread(process, ports, count):
    """Connections by port, as soon as all are there; what there was last when the generator ends before."""
    found = dict.fromkeys(ports, 0)
    # Without waiting for it: its processor time is asked for when it is waited for.
    while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        try:
            found = connections(process.pid, ports)
        except OSError:
            # It has just ended.
            break
        if sum(found.values()) >= count:
            break
        time.sleep(0.02)
    return found
