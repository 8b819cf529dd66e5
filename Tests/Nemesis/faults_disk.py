"""Disks that are full, fail or are slow, and clocks that jump."""

import errno
import os

from fault import Fault, everybody
from tools import Control


class FullDisk(Fault):
    """A file fills the small disk of a node."""

    name = "full-disk"

    def inject(self):
        (self.victim,) = self.pick(among=[name for name in self.cluster.present if name in self.cluster.small_disks])
        self.ballast = os.path.join(os.path.dirname(self.cluster.data(self.victim)), "ballast")
        size = 0
        with open(self.ballast, "wb", buffering=0) as file:
            for length in (65_536, 4_096):
                while True:
                    try:
                        size += file.write(b"\xff" * length)
                    except OSError as error:
                        if error.errno != errno.ENOSPC:
                            raise
                        break
        return f"{self.victim}, {size} bytes of ballast"

    def heal(self):
        os.unlink(self.ballast)


class Disturb(Fault):
    """What disturb.c does in one server."""

    def set(self, which, value):
        self.cluster.control[self.victim].set(which, value)


class FailingSync(Disturb):
    """fsync and the like fail; afterwards the node is started again, as an operator would."""

    name = "failing-sync"

    def inject(self):
        (self.victim,) = self.pick()
        self.set(Control.FAILING, 1)
        return self.victim

    def heal(self):
        self.server(self.victim).kill()
        self.set(Control.FAILING, 0)
        self.server(self.victim).start()


class SlowSync(Disturb):
    """Every sync takes long."""

    name = "slow-sync"

    def inject(self):
        (self.victim,) = self.pick()
        milliseconds = self.rng.choice((20, 200, 1_500))
        self.set(Control.SLOW_MILLISECONDS, milliseconds)
        return f"{self.victim}, {milliseconds} ms"

    def heal(self):
        self.set(Control.SLOW_MILLISECONDS, 0)


class ClockJump(Disturb):
    """The wall clock of a server jumps."""

    name = "clock-jump"

    def inject(self):
        (self.victim,) = self.pick(among=everybody(self.cluster))
        offset = self.rng.choice((86_400, -86_400, 30, -30, 31_536_000))
        self.set(Control.CLOCK_SECONDS, offset)
        return f"{self.victim}, {offset:+} s"

    def heal(self):
        self.set(Control.CLOCK_SECONDS, 0)


DISTURBANCES = (FailingSync, SlowSync, ClockJump)
