"""Nodes that join, are drained and leave, through the controller's API."""

import time

from fault import Fault, Impossible


class Join(Fault):
    """A node that was never there comes."""

    name = "join"

    def inject(self):
        if not self.cluster.away:
            raise Impossible
        (victim,) = self.pick(among=sorted(self.cluster.away))
        self.cluster.away.discard(victim)
        self.server(victim).start()
        return victim

    def heal(self):
        pass


class Drain(Fault):
    """Everything moves away from a node, and later comes back."""

    name = "drain"

    def inject(self):
        (self.victim,) = self.pick()
        return self.victim + self.tell(f"/nodes/{self.victim}/drain", "POST")

    def tell(self, path, method):
        """"" when the controller took it, a remark when nobody knows. Raises Impossible when it refused."""
        self.is_sure = True
        try:
            self.cluster.ask(path, method)
        except OSError as error:
            if "status" in str(error) or "refused" in str(error):
                raise Impossible(str(error)) from None
            self.is_sure = False
            return f", perhaps: {error}"
        return ""

    def heal(self):
        self.settle()
        self.stay()

    def settle(self):
        """A controller that stood still may only now do what it was told."""
        if not self.is_sure:
            try:
                self.cluster.ask("/health")
            except OSError as error:
                raise Impossible(str(error)) from None
            time.sleep(1)
            self.is_sure = True

    def stay(self):
        """The node may keep what it has, whatever it was told. Raises Impossible while nobody answers."""
        try:
            self.cluster.ask(f"/nodes/{self.victim}/undrain", "POST")
        except OSError as error:
            # 409: it is not draining. The request may never have arrived.
            if "status 409" not in str(error):
                raise Impossible(str(error)) from None


class Leave(Drain):
    """A node is removed for good; its emptied folder joins again as a new member."""

    name = "leave"

    def inject(self):
        (self.victim,) = self.pick()
        text = self.victim + self.tell(f"/nodes/{self.victim}", "DELETE")
        self.cluster.away.add(self.victim)
        return text

    def heal(self):
        """A node that has left is emptied and joins anew; one that still holds replicas is told to stay."""
        self.settle()
        try:
            node = self.cluster.ask(f"/nodes/{self.victim}")
            has_left = node["id"] == 0
        except OSError as error:
            if "status 404" not in str(error):
                raise Impossible(str(error)) from None
            has_left = True
        if not has_left:
            self.stay()
            self.cluster.away.discard(self.victim)
            return f"was {node['state']}; told to stay"
        self.server(self.victim).kill()
        self.cluster.wipe(self.victim)
        self.server(self.victim).start()
        self.cluster.away.discard(self.victim)
        return "it left; emptied and started again"


FAULTS = (Join, Drain, Leave)
