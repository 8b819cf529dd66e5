"""Processes that are killed, stopped cleanly, or stand still."""

from cluster import CONTROLLER
from fault import Fault, Impossible, everybody


class Kill(Fault):
    """SIGKILL to one node."""

    name = "kill"

    def inject(self):
        self.victims = self.choose()
        for name in self.victims:
            self.server(name).kill()
        return ", ".join(self.victims)

    def choose(self):
        return self.pick()

    def heal(self):
        self.rng.shuffle(self.victims)
        for name in self.victims:
            self.server(name).start()


class KillSeveral(Kill):
    name = "kill-several"

    def choose(self):
        return self.pick(self.rng.choice((2, 2, 3)))


class KillController(Kill):
    name = "kill-controller"

    def choose(self):
        return self.pick(among=[CONTROLLER])


class KillAll(Kill):
    """Everything at once, as when the power fails."""

    name = "kill-all"

    def choose(self):
        return self.pick(len(everybody(self.cluster)), everybody(self.cluster))


class Restart(Fault):
    """A clean stop and a new start."""

    name = "restart"

    def inject(self):
        (self.victim,) = self.pick(among=everybody(self.cluster))
        status = self.server(self.victim).stop()
        if status not in (0, -15):
            return f"{self.victim}, which did not stop cleanly: status {status}"
        return self.victim

    def heal(self):
        self.server(self.victim).start()


class Pause(Fault):
    """SIGSTOP: the process stands still and its connections stay open."""

    name = "pause"

    def inject(self):
        self.victims = self.pick(self.rng.choice((1, 1, 2)), everybody(self.cluster))
        if not all(self.server(name).runs for name in self.victims):
            raise Impossible
        for name in self.victims:
            self.server(name).pause()
        return ", ".join(self.victims)

    def heal(self):
        for name in self.victims:
            self.server(name).resume()


FAULTS = (Kill, KillSeveral, KillController, KillAll, Restart, Pause)
