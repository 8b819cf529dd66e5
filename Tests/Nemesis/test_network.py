"""Where servers get networks of their own, and what is said where they can't."""

import errno
import unittest
from unittest import mock

import network


class ChoiceTests(unittest.TestCase):
    def choose(self, root=True, which=lambda command: f"/usr/bin/{command}", unshare=0):
        """What is chosen, and all that was said; nothing on this machine is changed."""
        said = []
        refusal = OSError(unshare, "enter private namespaces") if unshare else None
        with mock.patch.object(network, "is_root", lambda: root), \
                mock.patch.object(network, "say", said.append), \
                mock.patch.object(network.shutil, "which", which), \
                mock.patch.object(network.processes.LIBC, "unshare", lambda flags: 0), \
                mock.patch.object(network.processes, "check_call", side_effect=refusal), \
                mock.patch.object(network, "run"), \
                mock.patch.object(network.PrivateNetwork, "connect"):
            return network.private_or_loopback(["one", "two"]), said

    def test_root_gets_a_network_for_each_server(self):
        chosen, said = self.choose()
        self.assertIsInstance(chosen, network.PrivateNetwork)
        self.assertEqual(len(set(chosen.addresses.values())), 2)
        self.assertEqual(said, [])

    def test_a_user_is_told_that_links_are_not_cut(self):
        chosen, said = self.choose(root=False)
        self.assertIsInstance(chosen, network.Loopback)
        self.assertIn("links are not cut", said[0])

    def test_so_is_root_where_namespaces_are_forbidden(self):
        chosen, said = self.choose(unshare=errno.EPERM)
        self.assertIsInstance(chosen, network.Loopback)
        self.assertIn("links are not cut", said[0])

    def test_what_is_not_installed_is_named_with_its_package(self):
        with self.assertRaisesRegex(OSError, "no ip, iptables here.*apt-get install iproute2 iptables"):
            self.choose(which=lambda command: None if command in ("ip", "iptables") else command)

    def test_any_other_failure_is_one(self):
        with self.assertRaises(OSError):
            self.choose(unshare=errno.ENOSPC)


if __name__ == "__main__":
    unittest.main()
