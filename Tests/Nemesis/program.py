"""The program under test, and what the test says while it runs."""

import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))


def say(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def executable():
    """The path of `kv`: KV_EXECUTABLE, or built for release now."""
    path = os.environ.get("KV_EXECUTABLE")
    if path is None:
        subprocess.run(["make", "-C", ROOT, "build"], check=True, stdout=sys.stderr)
        path = os.path.join(ROOT, ".build", "release", "kv")
    path = os.path.abspath(path)
    if not os.access(path, os.X_OK):
        raise OSError(f"{path} is not an executable")
    return path
