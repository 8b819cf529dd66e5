"""Runs wrk and doubts what it says."""

import json
import os
import subprocess
import time

from machine import BenchError, connections, cpu_seconds

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "load.lua")
CONNECTIONS = 64
SETTLE = 1.0
"""Seconds without load, at the least, before the servers' processor time is read: work put off is not left out."""


def run(cluster, what, keys, seconds, check=False):
    """One run of wrk: `what` is put or get, of random keys among `keys`, spread over all members.

    One thread of wrk per member and as many connections each, at least 64 in all. Returns when the servers have no
    backlog any more; `drain_seconds` says how long that took after the load. Raises BenchError when an answer is
    not 2xx, a connection fails, or the load was not spread evenly."""
    members = len(cluster.ports)
    count = -(-CONNECTIONS // members) * members
    environment = dict(
        os.environ, BENCH_KIND=cluster.kind, BENCH_WHAT=what, BENCH_KEYS=str(keys),
        BENCH_PORTS=",".join(map(str, cluster.ports)))
    environment.pop("BENCH_CHECK", None)
    if check:
        environment["BENCH_CHECK"] = "1"
    command = [
        "wrk", f"-t{members}", f"-c{count}", f"-d{seconds}s", "--timeout", "20s", "-s", SCRIPT,
        f"http://127.0.0.1:{cluster.ports[0]}"]
    before = cpu_seconds(cluster.pids)
    wrk = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        time.sleep(seconds / 2)
        spread = connections(wrk.pid, cluster.ports)
        output = wrk.stdout.read()
        _, status, usage = os.wait4(wrk.pid, 0)
        wrk.returncode = os.waitstatus_to_exitcode(status)
    finally:
        if wrk.returncode is None:
            wrk.kill()
            wrk.wait()
    drained = cluster.drain()
    time.sleep(max(0, SETTLE - drained))
    used = cpu_seconds(cluster.pids) - before
    found = [line[6:] for line in output.splitlines() if line.startswith("BENCH ")]
    if wrk.returncode != 0 or len(found) != 1:
        raise BenchError(f"wrk failed with status {wrk.returncode}:\n{output}")
    result = json.loads(found[0])
    place = f"{cluster.name}, {what}"
    if result["not_2xx"] or result["failed"] or result["wrong"]:
        raise BenchError(
            f"{place}: of {result['requests']} answers {result['not_2xx']} had an error status and {result['wrong']} "
            f"were wrong; {result['failed']} connections failed or timed out")
    if result["requests"] == 0:
        raise BenchError(f"{place}: no answers")
    expected = count // members
    if set(spread.values()) != {expected} or min(result["sent"]) == 0:
        raise BenchError(f"{place}: connections per port are {spread}, not {expected} each; sent {result['sent']}")
    requests = result["requests"]
    return {
        "requests": requests,
        "per_second": requests / (result["micros"] / 1e6),
        "drain_seconds": drained,
        "latency_micros": {name: result[name] for name in ("p50", "p90", "p99", "max")},
        "server_cpu_micros_per_operation": used * 1e6 / requests,
        "generator_cpu_micros_per_operation": (usage.ru_utime + usage.ru_stime) * 1e6 / requests,
        "connections": count,
        "sent_per_member": result["sent"],
    }
