"""What the kernel knows: processor time, memory, connections, the machine itself."""

import os
import platform
import time

TICK = 1 / os.sysconf("SC_CLK_TCK")


class BenchError(Exception):
    """Why the benchmark can't go on, or must not be believed."""


def cpu_seconds(pids):
    """User and system time that the processes have used, all their threads included."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total * TICK


def memory(pid):
    """Resident bytes of a process: `anon` is its own, `file` is mapped and can be dropped by the kernel."""
    found = {}
    with open(f"/proc/{pid}/status") as file:
        for line in file:
            name, _, rest = line.partition(":")
            if name in ("VmRSS", "RssAnon", "RssFile", "VmHWM"):
                found[name] = int(rest.split()[0]) * 1024
    return {"resident": found["VmRSS"], "anon": found["RssAnon"], "file": found["RssFile"], "peak": found["VmHWM"]}


def connections(pid, ports):
    """Established TCP connections of one process to each of the ports of this machine."""
    sockets = set()
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{name}")
        except FileNotFoundError:
            continue
        if target.startswith("socket:["):
            sockets.add(target[8:-1])
    counts = dict.fromkeys(ports, 0)
    with open("/proc/net/tcp") as file:
        next(file)
        for line in file:
            fields = line.split()
            port = int(fields[2].rpartition(":")[2], 16)
            if fields[3] == "01" and port in counts and fields[9] in sockets:
                counts[port] += 1
    return counts


def folder_bytes(path):
    """Bytes that the files below a folder take on the disk."""
    total = 0
    for parent, _, names in os.walk(path):
        for name in names:
            total += os.lstat(os.path.join(parent, name)).st_blocks * 512
    return total


def file_system(path):
    """Type of the file system that a folder is on."""
    path, best, found = os.path.realpath(path), "", "unknown"
    with open("/proc/self/mounts") as file:
        for line in file:
            _, point, kind, *_ = line.split()
            inside = path == point or path.startswith(point.rstrip("/") + "/")
            if inside and len(point) >= len(best):
                best, found = point, kind
    return found


def sync_micros(folder, count=200):
    """Median time of a 4 KiB append and fdatasync: what one durable write costs here at the least."""
    path = os.path.join(folder, "probe")
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
    times = []
    try:
        os.posix_fallocate(descriptor, 0, count * 4096)
        os.fsync(descriptor)
        for _ in range(count):
            started = time.perf_counter()
            os.write(descriptor, b"\x55" * 4096)
            os.fdatasync(descriptor)
            times.append(time.perf_counter() - started)
    finally:
        os.close(descriptor)
        os.unlink(path)
    return round(sorted(times)[count // 2] * 1e6)


def describe(folder):
    """The machine, for the head of a report."""
    model = "unknown"
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    with open("/proc/meminfo") as file:
        total = int(next(file).split()[1]) * 1024
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": total,
        "kernel": platform.release(),
        "file_system": file_system(folder),
        "fdatasync_micros": sync_micros(folder),
        "load_average": [round(load, 2) for load in os.getloadavg()],
    }
