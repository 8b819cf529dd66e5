"""Server processes, ended by process id, and never outliving the test."""

import ctypes
import os
import signal
import subprocess

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS, CLONE_NEWNET = 0x0002_0000, 0x4000_0000
_running = []


def check_call(result, what):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def spawn(command, namespace=None, **options):
    """Starts a program in a session of its own, inside a network namespace (a file) if one is given. It dies with the
    thread that called this. Its process id is that of the program: what comes before it is replaced by it."""
    before = ["setpriv", "--pdeathsig", "KILL"]
    if namespace is not None:
        before += ["nsenter", f"--net={namespace}"]
    process = subprocess.Popen([*before, *command], start_new_session=True, **options)
    _running.append(process)
    return process


def end(process):
    """SIGKILL, if it runs, and waits for its end."""
    if process in _running:
        process.kill()
        process.wait()
        _running.remove(process)


def end_all():
    for process in list(_running):
        end(process)


class Server:
    """A controller or a node. `environment` is added to what the test was given; `namespace` is a file to enter."""

    def __init__(self, name, command, log, environment=None, namespace=None):
        self.name, self.command, self.log = name, command, log
        self.environment, self.namespace = environment or {}, namespace
        self.process, self.is_paused, self.starts = None, False, 0

    @property
    def runs(self):
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self):
        return self.process.pid if self.runs else None

    def start(self):
        """Starts it unless it runs."""
        if self.runs:
            return
        self.forget()
        inherited = {name: text for name, text in os.environ.items() if not name.startswith("KV_")}
        with open(self.log, "ab") as log:
            self.process = spawn(
                self.command, self.namespace, env=inherited | self.environment, stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, cwd=os.path.dirname(self.log))
        self.starts += 1

    def ended_by_itself(self):
        """The exit status when it ended without being told to, else None."""
        return None if self.process is None else self.process.poll()

    def forget(self):
        """Takes note of its end."""
        if self.process is not None and not self.runs:
            end(self.process)
            self.process, self.is_paused = None, False

    def kill(self):
        """SIGKILL."""
        if self.process is not None:
            end(self.process)
            self.process, self.is_paused = None, False

    def pause(self):
        if self.runs:
            self.process.send_signal(signal.SIGSTOP)
            self.is_paused = True

    def resume(self):
        if self.runs and self.is_paused:
            self.process.send_signal(signal.SIGCONT)
            self.is_paused = False

    def stop(self, patience=30):
        """SIGTERM. The exit status; None when it had to be killed."""
        if not self.runs:
            self.forget()
            return 0
        self.resume()
        self.process.terminate()
        try:
            status = self.process.wait(patience)
        except subprocess.TimeoutExpired:
            status = None
        self.kill()
        return status

    def log_end(self, lines=12):
        with open(self.log, errors="replace") as file:
            return "".join(file.readlines()[-lines:])

    def last_words(self):
        """The line that says how it crashed, or the end of its log."""
        with open(self.log, errors="replace") as file:
            lines = file.readlines()[-400:]
        crashes = [line for line in lines if "Program crashed" in line or "Fatal error" in line]
        return "".join(crashes[-2:]) or "".join(lines[-12:])
