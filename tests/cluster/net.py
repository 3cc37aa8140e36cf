"""A network on one machine: namespaces on a bridge, and a name service that says where the workers are."""

import ctypes
import os
import subprocess

libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
HUB = 1  # 10.99.0.1: bridge and name service


def sh(*arguments):
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(arguments)}: {done.stderr.strip()}"
    return done.stdout


class Net:
    def __init__(self, scratch):
        self.scratch, self.names, self.fds, self.hosts = scratch, [], {}, {}
        self.prefix = f"aisbx{os.getpid()}"
        self.hub = self.add_space("hub")
        sh("ip", "-n", self.hub, "link", "add", "name", "br0", "type", "bridge")
        sh("ip", "-n", self.hub, "addr", "add", f"10.99.0.{HUB}/24", "dev", "br0")
        sh("ip", "-n", self.hub, "link", "set", "br0", "up")
        self.resolv = f"{scratch}/resolv.conf"
        with open(self.resolv, "w", encoding="ascii") as file:
            file.write(f"nameserver 10.99.0.{HUB}\noptions timeout:1 attempts:2\n")
        self.hosts_file = f"{scratch}/hosts"
        self.write_hosts()
        self.dns = subprocess.Popen(["ip", "netns", "exec", self.hub, "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts",
                                     f"--addn-hosts={self.hosts_file}", "--local-ttl=1", "--bind-interfaces", f"--listen-address=10.99.0.{HUB}", "--user=root",
                                     "--pid-file=", "--log-facility=-"], stderr=open(f"{scratch}/dnsmasq.log", "wb"))

    def add_space(self, name):
        space = f"{self.prefix}{name}"
        sh("ip", "netns", "add", space)
        self.names.append(space)
        sh("ip", "-n", space, "link", "set", "lo", "up")
        self.fds[name] = os.open(f"/run/netns/{space}", os.O_RDONLY | os.O_CLOEXEC)
        return space

    def add(self, name, number):
        """A machine with an address. Returns that."""
        space, outer = self.add_space(name), f"v{number}"
        sh("ip", "-n", self.hub, "link", "add", outer, "type", "veth", "peer", "name", "eth0", "netns", space)
        sh("ip", "-n", self.hub, "link", "set", outer, "master", "br0", "up")
        sh("ip", "-n", space, "addr", "add", f"10.99.0.{number}/24", "dev", "eth0")
        sh("ip", "-n", space, "link", "set", "eth0", "up")
        return f"10.99.0.{number}"

    def within(self, name, *arguments):
        """The command that runs there, with that network's name service."""
        script = 'mount --bind "$1" "$(realpath /etc/resolv.conf)"; shift; exec "$@"'
        return ["ip", "netns", "exec", f"{self.prefix}{name}", "unshare", "--mount", "sh", "-c", script, "sh", self.resolv, *arguments]

    def enter(self, name):
        """This thread's next sockets are there."""
        if libc.setns(self.fds[name], CLONE_NEWNET) < 0:
            raise OSError(ctypes.get_errno(), "setns")

    # ---- names ----

    def write_hosts(self):
        with open(self.hosts_file, "w", encoding="ascii") as file:
            file.writelines(f"{address} workers\n" for address in self.hosts.values())

    def name(self, worker, address):
        """The headless service: the name has that address, too; None: no more."""
        self.hosts.pop(worker, None)
        if address is not None:
            self.hosts[worker] = address
        self.write_hosts()
        self.dns.send_signal(1)

    def close(self):
        self.dns.kill()
        self.dns.wait()
        for fd in self.fds.values():
            os.close(fd)
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], check=False)
