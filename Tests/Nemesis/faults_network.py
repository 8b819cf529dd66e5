"""Links that are cut, in one direction or both, and links that a proxy spoils."""

import itertools

from cluster import CONTROLLER
from fault import Fault, everybody


class Cut(Fault):
    """Nothing passes from the first to the second of each pair that `pairs` names."""

    def inject(self):
        text, self.cuts = self.pairs()
        for source, target in self.cuts:
            self.cluster.cut(source, target)
        return text

    def heal(self):
        self.rng.shuffle(self.cuts)
        for source, target in self.cuts:
            self.cluster.mend(source, target)


def both_ways(left, right):
    return [pair for a, b in itertools.product(left, right) for pair in ((a, b), (b, a))]


class Isolate(Cut):
    """One node hears no peer and no controller. Clients still reach it."""

    name = "isolate"

    def pairs(self):
        victim = self.rng.choice(self.cluster.present)
        return victim, both_ways([victim], [name for name in everybody(self.cluster) if name != victim])


class Split(Cut):
    """Two halves that don't hear each other; the controller is in one of them."""

    name = "split"

    def pairs(self):
        servers = everybody(self.cluster)
        self.rng.shuffle(servers)
        half = self.rng.randrange(2, len(servers) - 1)
        return (f"{' '.join(sorted(servers[:half]))} | {' '.join(sorted(servers[half:]))}",
                both_ways(servers[:half], servers[half:]))


class OneWay(Cut):
    """One node is heard by nobody, or hears nobody, or one link is deaf in one direction."""

    name = "one-way"

    def pairs(self):
        servers = everybody(self.cluster)
        victim = self.rng.choice(self.cluster.present)
        others = [name for name in servers if name != victim]
        kind = self.rng.choice(("hears nobody", "is heard by nobody", "is not heard by"))
        if kind == "hears nobody":
            return f"{victim} {kind}", [(name, victim) for name in others]
        if kind == "is heard by nobody":
            return f"{victim} {kind}", [(victim, name) for name in others]
        other = self.rng.choice(others)
        return f"{victim} {kind} {other}", [(victim, other)]


class Ring(Cut):
    """Each node hears its two neighbours only; the controller hears all."""

    name = "ring"

    def pairs(self):
        nodes = self.cluster.present
        self.rng.shuffle(nodes)
        far = [(a, b) for a, b in itertools.combinations(range(len(nodes)), 2) if b - a not in (1, len(nodes) - 1)]
        return " ".join(nodes), [pair for a, b in far for pair in both_ways([nodes[a]], [nodes[b]])]


class LoseController(Cut):
    """Some nodes can't reach the controller, and the controller can't reach them, or only its answers are lost."""

    name = "lose-controller"

    def pairs(self):
        nodes = self.rng.sample(self.cluster.present, self.rng.randrange(1, len(self.cluster.present) + 1))
        if self.rng.random() < 0.5:
            return f"{' '.join(nodes)}: both ways", both_ways([CONTROLLER], nodes)
        return f"{' '.join(nodes)}: answers", [(CONTROLLER, name) for name in nodes]


class Spoil(Fault):
    """The proxy does something to some directions between nodes."""

    kind = ""

    def inject(self):
        links = list(itertools.permutations(self.cluster.present, 2))
        self.links = self.rng.sample(links, self.rng.randrange(1, len(links) + 1))
        self.set(self.value())
        return f"{len(self.links)} of {len(links)} directions, {self.value()}: " + " ".join(
            f"{a}>{b}" for a, b in self.links[:4])

    def set(self, value):
        for source, target in self.links:
            self.cluster.spoil(source, target, self.kind, value)

    def value(self):
        return 1

    def heal(self):
        self.set(0)


class Delay(Spoil):
    """Connections are late, each by another time: what was sent later arrives earlier."""

    name, kind = "delay", "delay"

    def value(self):
        self.delay = getattr(self, "delay", None) or self.rng.choice((0.02, 0.1, 0.5, 1.5))
        return self.delay


class Reset(Spoil):
    """Connections are reset in the middle of a frame."""

    name, kind = "reset", "reset"


class Clog(Spoil):
    """Bytes wait, in some directions, and all arrive when it is over: acknowledgements from long ago."""

    name = "clog"

    def set(self, value):
        for source, target in self.links:
            (self.cluster.cut if value else self.cluster.mend)(source, target)


CUTS = (Isolate, Split, OneWay, Ring, LoseController)
SPOILS = (Delay, Reset, Clog)
