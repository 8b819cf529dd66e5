"""Data folders that come to harm while their node does not run. Each of these costs at most one node's data."""

import os
import shutil
import time

from cluster import CONTROLLER
from fault import Fault


class Damage(Fault):
    """The node is killed, its folder harmed, and it is started again at once."""

    damages = True
    lasts = False
    """Whether the folder has bytes afterwards that no engine wrote, which may be met much later."""

    def inject(self):
        (self.victim,) = self.pick()
        self.server(self.victim).kill()
        text = f"{self.victim}: {self.harm()}"
        self.server(self.victim).start()
        return text

    def files(self):
        """What holds bytes, in an order that does not depend on the file system."""
        found = []
        for folder, _, names in os.walk(self.cluster.data(self.victim)):
            paths = [os.path.join(folder, name) for name in names if name != "lock"]
            found += [path for path in paths if os.path.isfile(path) and os.path.getsize(path) > 0]
        # Files of a line say what the folder is. Harming them proves little; it must not be all that happens.
        long = [path for path in found if os.path.getsize(path) > 64]
        return sorted(long if long and self.rng.random() < 0.9 else found)

    def label(self, path):
        return os.path.relpath(path, self.cluster.data(self.victim))

    def heal(self):
        """The cluster does, or the operator that empties the folder of a node that can't start."""


class FlipBits(Damage):
    name = "flip-bits"
    lasts = True

    def harm(self):
        touched = []
        for path in self.rng.choices(self.files(), k=self.rng.choice((1, 3, 20))):
            touched.append(f"{self.label(path)}@{self.flip(path)}")
        return " ".join(touched)

    def flip(self, path):
        """Most of a preallocated file was never used: looks a while for a byte that was."""
        size = os.path.getsize(path)
        with open(path, "r+b") as file:
            for _ in range(50):
                place = self.rng.randrange(size)
                file.seek(place)
                byte = file.read(1)[0]
                if byte != 0:
                    break
            file.seek(place)
            file.write(bytes([byte ^ 1 << self.rng.randrange(8)]))
        return place


class Truncate(Damage):
    name = "truncate"
    lasts = True

    def harm(self):
        path = self.rng.choice(self.files())
        size = os.path.getsize(path)
        kept = self.rng.choice((0, size // 2, self.rng.randrange(size)))
        os.truncate(path, kept)
        return f"{self.label(path)} to {kept} of {size}"


class Wipe(Damage):
    name = "wipe"

    def harm(self):
        self.cluster.wipe(self.victim)
        return "everything"


class RollBack(Damage):
    """A copy of the folder is taken while the node stands still, and put back some time later."""

    name = "roll-back"

    def inject(self):
        (self.victim,) = self.pick()
        self.busy |= self.claims
        server, copy = self.server(self.victim), os.path.join(self.cluster.folder, "copy")
        server.pause()
        self.cluster.copy_data(self.victim, copy)
        server.resume()
        time.sleep(self.rng.uniform(0.5, 4))
        restarts = self.rng.random() < 0.5
        if restarts:
            server.kill()
            server.start()
            time.sleep(self.rng.uniform(0.5, 3))
        server.kill()
        self.before_return()
        self.cluster.restore_data(self.victim, copy)
        shutil.rmtree(copy)
        server.start()
        return f"{self.victim}{', across a restart' if restarts else ''}"

    def before_return(self):
        """What happens while the node is away."""


class RollBackUnseen(RollBack):
    """While the copy grows old a second node hears nobody, so that the first and a third acknowledge alone. The first
    comes back as it was when the controller, which would notice, and the third are away. More than the store promises:
    only by name, never among `all`."""

    name = "roll-back-unseen"

    def inject(self):
        (self.deaf,) = self.pick()
        for name in self.cluster.present:
            if name != self.deaf:
                self.cluster.cut(name, self.deaf)
        self.busy |= self.claims
        return super().inject()

    def before_return(self):
        for name in self.cluster.present:
            if name != self.victim:
                self.server(name).kill()
        self.server(CONTROLLER).kill()
        for name in self.cluster.present:
            if name != self.deaf:
                self.cluster.mend(name, self.deaf)
        self.server(self.deaf).start()

    def heal(self):
        for name in (*self.cluster.present, CONTROLLER):
            self.server(name).start()


FAULTS = (FlipBits, Truncate, Wipe, RollBack)
UNPROMISED = (RollBackUnseen,)
