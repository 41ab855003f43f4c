"""Two network namespaces with the forwarder between them; all of it goes when the world is closed.

Run as a program it makes a world and removes it, to see whether it can be done here.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
CLIENT, SERVER = "10.213.0.1", "10.213.0.2"
PATIENCE_S = 20
# The defaults of Linux, since machines differ; none of what one connection learned is told to the next.
SYSCTLS = {
    "net.ipv4.tcp_no_metrics_save": "1",
    "net.ipv4.tcp_sack": "1",
    "net.ipv4.tcp_dsack": "1",
    "net.ipv4.tcp_timestamps": "1",
    "net.ipv4.tcp_window_scaling": "1",
    "net.ipv4.tcp_recovery": "1",
    "net.ipv4.tcp_early_retrans": "3",
    "net.ipv4.tcp_slow_start_after_idle": "1",
    "net.ipv4.tcp_moderate_rcvbuf": "1",
    "net.ipv4.tcp_rmem": "4096 131072 6291456",
    "net.ipv4.tcp_wmem": "4096 16384 4194304",
    "net.ipv4.tcp_ecn": "0",
    "net.ipv6.conf.all.disable_ipv6": "1",
}


def must(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")


def can(*command):
    return shutil.which(command[0]) is not None and subprocess.run([*command, "true"], capture_output=True).returncode == 0


# Whose turn comes at once: a busy machine would be taken for a slow network.
FIRST = next((way for way in (["chrt", "-f", "1"], ["nice", "-n", "-10"]) if can(*way)), [])
# What outlives its starter would live for ever.
MORTAL = ["setpriv", "--pdeathsig", "TERM"] if can("setpriv", "--pdeathsig", "TERM") else []


class World:
    """A pair of namespaces with a link between them."""

    all = []

    def __init__(self, number, delay_ms, loss_ppm, rate_bps, seed):
        name = f"fidelity-{os.getpid()}-{number}"
        self.names = [f"{name}-client", f"{name}-server"]
        devices = [f"fid{os.getpid() % 100000}{side}{number}" for side in "ab"]
        self.folder = tempfile.TemporaryDirectory(prefix="outrigger-fidelity-")
        self.meter = f"{self.folder.name}/meter"
        self.processes = []
        self.made = []
        World.all.append(self)
        try:
            self.forwarder = subprocess.Popen(
                [*MORTAL, sys.executable, HERE / "forwarder.py", *devices, str(delay_ms), str(loss_ppm), str(rate_bps),
                 str(seed), self.meter],
                stdout=subprocess.PIPE, text=True)
            self.processes.append(self.forwarder)
            if self.forwarder.stdout.readline() != "ready\n":
                raise RuntimeError("the forwarder does not start")
            for side, device, own, peer in zip(self.names, devices, (CLIENT, SERVER), (SERVER, CLIENT)):
                must("ip", "netns", "add", side)
                self.made.append(side)
                must("ip", "link", "set", device, "netns", side)
                for key, value in SYSCTLS.items():
                    must("ip", "netns", "exec", side, "sysctl", "-q", "-w", f"{key}={value}")
                must("ip", "-n", side, "link", "set", "lo", "up")
                # A namespace may not choose its default; its routes may.
                for loopback in ("127.0.0.0/8", "127.0.0.1"):
                    must("ip", "-n", side, "route", "replace", "local", loopback, "dev", "lo", "table", "local", "proto",
                         "kernel", "scope", "host", "src", "127.0.0.1", "congctl", "cubic")
                must("ip", "-n", side, "addr", "add", f"{own}/32", "dev", device)
                must("ip", "-n", side, "link", "set", device, "txqueuelen", "10000", "mtu", "1500", "up")
                must("ip", "-n", side, "route", "add", f"{peer}/32", "dev", device, "congctl", "cubic", "initcwnd", "10")
        except BaseException:
            self.close()
            raise

    def start(self, side, *command, **options):
        """A process in the namespace of the client (0) or of the server (1)."""
        wrapped = [*MORTAL, "ip", "netns", "exec", self.names[side], *FIRST, *map(str, command)]
        process = subprocess.Popen(wrapped, text=True, **options)
        self.processes.append(process)
        return process

    def lateness(self):
        """Ends the forwarder and returns its account."""
        self.forwarder.terminate()
        return json.loads(self.forwarder.communicate(timeout=PATIENCE_S)[0])

    def stop(self):
        for process in reversed(self.processes):
            process.terminate()

    def close(self):
        self.stop()
        for process in self.processes:
            try:
                process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for name in self.made:
            subprocess.run(["ip", "netns", "del", name], check=False)
        self.folder.cleanup()


if __name__ == "__main__":
    try:
        World(0, 1, 0, 0, 1).close()
    except (OSError, RuntimeError) as error:
        print(error)
        sys.exit(1)
