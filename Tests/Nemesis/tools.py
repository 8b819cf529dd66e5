"""What this machine offers for injecting faults; what is missing is skipped with a word."""

import os
import shutil
import struct
import subprocess
import tempfile

import network

HERE = os.path.dirname(os.path.abspath(__file__))


class Control:
    """The file through which disturb.c is told what to do in one server."""

    FAILING, SLOW_MILLISECONDS, CLOCK_SECONDS = range(3)

    def __init__(self, path):
        self.path = path
        with open(path, "wb") as file:
            file.write(bytes(24))

    def set(self, which, value):
        with open(self.path, "r+b", buffering=0) as file:
            file.seek(8 * which)
            file.write(struct.pack("=q", value))


class Tools:
    """`shim` is a library to preload, or None; `small_disks` whether they can be had. `missing` says why not."""

    def __init__(self, folder):
        self.missing = {}
        self.shim = self.build_shim(folder)
        self.small_disks = self.try_small_disk(folder)

    def build_shim(self, folder):
        compiler = shutil.which("cc")
        if compiler is None:
            self.missing["shim"] = "no C compiler (cc)"
            return None
        library = os.path.join(folder, "disturb.so")
        built = subprocess.run(
            [compiler, "-O1", "-shared", "-fPIC", "-o", library, os.path.join(HERE, "disturb.c"), "-ldl"],
            capture_output=True, text=True)
        if built.returncode != 0:
            self.missing["shim"] = f"disturb.c does not compile: {built.stderr.strip()}"
            return None
        return library

    def try_small_disk(self, folder):
        """Whether a disk in memory can be mounted and takes extended attributes."""
        place = tempfile.mkdtemp(dir=folder)
        try:
            if not network.is_root():
                raise OSError("only root may mount")
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", place], check=True, capture_output=True)
            try:
                os.setxattr(place, "user.nemesis", b"1")
            finally:
                subprocess.run(["umount", place], check=True, capture_output=True)
            return True
        except (OSError, subprocess.CalledProcessError) as error:
            self.missing["disks"] = f"no small disk: {error}"
            return False
        finally:
            os.rmdir(place)
