"""Joins two TUN devices: every packet goes on after a delay, if it is not lost, at a rate.

    forwarder.py NAME_A NAME_B DELAY_MS LOSS_PPM BITS_PER_SECOND SEED METER

A is the clients' side. METER is a Unix socket: whoever writes a client's port to it is told how many bytes of IP that
port has cost so far, up and down, lost packets included. On SIGTERM it says how late it was itself.
"""

import collections
import fcntl
import gc
import json
import os
import random
import select
import signal
import socket
import struct
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TUN_WITHOUT_PACKET_INFO = 0x0001 | 0x1000
MAX_PACKET_BYTES = 65536
# As long as the simulator's links let a packet wait.
QUEUE_S = 0.2
# Packets of one device before the other one gets its turn.
MAX_READS = 64
TCP = 6


def device(name):
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN_WITHOUT_PACKET_INFO))
    return tun


class Way:
    """One direction."""

    def __init__(self, source, target, delay_s, loss_ppm, rate, dice, port_at):
        self.source, self.target = source, target
        self.delay_s, self.loss, self.rate, self.dice = delay_s, loss_ppm / 1e6, rate, dice
        self.waiting = collections.deque()
        self.busy_until = 0.0
        # Where in the TCP header the client's port is.
        self.port_at = port_at
        self.bytes_of = collections.Counter()

    def take(self):
        """Everything that the source has; true if it may have more."""
        for _ in range(MAX_READS):
            try:
                packet = os.read(self.source, MAX_PACKET_BYTES)
            except BlockingIOError:
                return
            now = time.monotonic()
            header = (packet[0] & 15) * 4
            if packet[0] >> 4 == 4 and packet[9] == TCP:
                at = header + self.port_at
                self.bytes_of[packet[at] << 8 | packet[at + 1]] += len(packet)
            if self.dice.random() < self.loss:
                continue
            start = now
            if self.rate:
                start = max(now, self.busy_until)
                if start - now > QUEUE_S:
                    continue
                start += len(packet) * 8 / self.rate
                self.busy_until = start
            self.waiting.append((start + self.delay_s, packet))

    def give(self, now, lateness):
        while self.waiting and self.waiting[0][0] <= now:
            due, packet = self.waiting.popleft()
            lateness[min(int((now - due) * 1000), 99)] += 1
            try:
                os.write(self.target, packet)
            except OSError:
                pass  # The device is full or down, as a network may be.

    def next_due(self):
        return self.waiting[0][0] if self.waiting else float("inf")


def main():
    name_a, name_b, delay_ms, loss_ppm, rate, seed, meter_path = sys.argv[1:]
    dice = random.Random(int(seed))
    a, b = device(name_a), device(name_b)
    common = (float(delay_ms) / 1000, int(loss_ppm), float(rate), dice)
    up, down = Way(a, b, *common, port_at=0), Way(b, a, *common, port_at=2)
    meter = socket.socket(socket.AF_UNIX)
    meter.bind(meter_path)
    meter.listen(64)
    lateness = [0] * 100

    def leave(*_):
        total = max(1, sum(lateness))
        share = lambda ms: sum(lateness[ms:]) / total
        print(json.dumps({"packets": total, "late_1ms": share(1), "late_4ms": share(4)}), flush=True)
        os._exit(0)

    signal.signal(signal.SIGTERM, leave)
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except OSError:
        os.nice(-20)
    gc.disable()
    print("ready", flush=True)
    asking = {}
    while True:
        wait = min(up.next_due(), down.next_due()) - time.monotonic()
        # Not epoll, which waits for whole milliseconds.
        ready, _, _ = select.select([a, b, meter.fileno(), *asking], [], [], max(0.0, min(wait, 1.0)))
        for fd in ready:
            if fd == a:
                up.take()
            elif fd == b:
                down.take()
            elif fd == meter.fileno():
                asker, _ = meter.accept()
                asking[asker.fileno()] = asker
            else:
                asker = asking.pop(fd)
                port = int(asker.recv(16) or 0)
                asker.sendall(b"%d %d\n" % (up.bytes_of[port], down.bytes_of[port]))
                asker.close()
        now = time.monotonic()
        up.give(now, lateness)
        down.give(now, lateness)


if __name__ == "__main__":
    main()
