"""What all faults share."""

import cluster as clusters


class Impossible(Exception):
    """The fault has no target now."""


class Fault:
    """Something that goes wrong, and is put right again by `heal`. `claims` are servers that no other fault of
    processes or data may touch meanwhile; `busy` are those claimed by others.

    `damages` says that data is lost or spoiled: never on two nodes at once, never before everything is whole again."""

    name = ""
    damages = False

    def __init__(self, cluster, rng, busy):
        self.cluster, self.rng, self.busy = cluster, rng, busy
        self.claims = set()

    def inject(self):
        """Makes it happen; a sentence about what was done. Raises Impossible before anything was done."""
        raise NotImplementedError

    def heal(self):
        """Puts it right; a sentence, or None. Raises Impossible when it must be tried again later."""
        raise NotImplementedError

    def pick(self, count=1, among=None):
        """Claims so many nodes that are present and not busy."""
        free = [name for name in (among or self.cluster.present) if name not in self.busy]
        if len(free) < count:
            raise Impossible
        chosen = self.rng.sample(free, count)
        self.claims |= set(chosen)
        return chosen

    def server(self, name):
        return self.cluster.servers[name]


def everybody(cluster):
    return [clusters.CONTROLLER, *cluster.present]
