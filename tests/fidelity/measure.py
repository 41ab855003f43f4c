"""Has the same conversations over real kernels and over the simulated network, and compares. Started by `run`."""

import argparse
import concurrent.futures
import json
import os
import pathlib
import platform
import signal
import socket
import subprocess
import sys
import time

import verdict
from world import PATIENCE_S, SERVER, World

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOL = ROOT / "target/release/examples/fidelity"
SIDECAR = ROOT / "target/release/outrigger"
CERTIFICATES = ROOT / "simulator/src/crypto"
PLAIN, TLS, APP = f"{SERVER}:8080", f"{SERVER}:8443", "127.0.0.1:3000"
# As in simulator/examples/fidelity/simulated.rs.
SETTINGS = ["--listen", f"http://{PLAIN}", "--listen", f"https://{TLS}", "--upstream", APP,
            "--tls-cert", CERTIFICATES / "test-cert.pem", "--tls-key", CERTIFICATES / "test-key.pem",
            "--keepalive", "off", "--proxy-read-timeout", "15m", "--keepalive-timeout", "15m"]
# One way in milliseconds, loss per million in both directions, bits per second.
LINKS = [(40, 0, 0), (40, 20_000, 0), (120, 0, 0), (120, 20_000, 0), (40, 0, 10_000_000)]
# 100 kB over TLS lie on the edge of a window: a record more or less is a round trip more or less.
LARGE_BYTES = 90_000
CLIENT_LIMIT_S = 300
# Worlds whose figures are taken together: the simulated side shall have no noise of its own.
SIMULATED_RUNS = 20


def plan(link, short):
    """Without loss there is nothing to average over, so few connections do, and cannot disturb each other."""
    lossy, limited = link[1] > 0, link[2] > 0
    messages = 30 if short else 60
    wanted = {"stagger_ms": 97, "pause_ms": 100, "spacing_ms": 500 if short else 1000, "quiet_ms": 1500,
              "large_bytes": LARGE_BYTES, "pushes": (1, messages), "polls": (1, messages)}
    if limited:
        # They share the link: one after the other, or each would be in the other's way.
        return wanted | {"stagger_ms": 4000, "small": (2, 10), "large": (4, 6), "pushes": (0, 0), "polls": (0, 0)}
    if not lossy:
        return wanted | {"small": (4, 20), "large": (3, 8)}
    return wanted | {"small": (20, 20), "large": (24, 6 if short else 10), "pushes": (8, messages), "polls": (8, messages)}


def wait_for_port(world, address):
    """Looks from outside whether something listens in the server's namespace."""
    port = f":{int(address.rsplit(':', 1)[1]):04X} "
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        seen = subprocess.run(["ip", "netns", "exec", world.names[1], "cat", "/proc/net/tcp"], capture_output=True, text=True)
        if any(port in line and " 0A " in line for line in seen.stdout.splitlines()):
            return
        time.sleep(0.05)
    raise RuntimeError(f"nothing listens on {address}")


def real(number, link, short, seed):
    world = World(number, *link, seed)
    try:
        world.start(1, TOOL, "app", APP)
        wait_for_port(world, APP)
        world.start(1, SIDECAR, "run", *SETTINGS, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        wait_for_port(world, PLAIN)
        wait_for_port(world, TLS)
        client = world.start(0, TOOL, "client", json.dumps(plan(link, short)), PLAIN, TLS, world.meter, stdout=subprocess.PIPE)
        told, _ = client.communicate(timeout=CLIENT_LIMIT_S)
        if client.returncode != 0:
            raise RuntimeError(f"the client ended with {client.returncode}")
        return json.loads(told), world.lateness()
    finally:
        world.close()


def simulated(link, short):
    delay_ms, loss_ppm, rate = link
    runs = SIMULATED_RUNS if loss_ppm else 1
    done = subprocess.run([TOOL, "simulated", json.dumps(plan(link, short)), str(delay_ms * 1000), str(loss_ppm), str(rate), str(runs)],
                          stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def measure(options):
    """The real side: for each link the figures of each repetition."""
    found = {json.dumps(link): [] for link in LINKS}
    for repetition in range(options.repetitions):
        for first in range(0, len(LINKS), options.at_once):
            links = LINKS[first:first + options.at_once]
            print(f"measuring, {repetition + 1} of {options.repetitions}: {', '.join(map(verdict.title, links))}", file=sys.stderr)
            with concurrent.futures.ThreadPoolExecutor() as pool:
                runs = [pool.submit(real, number, link, options.short, 1000 * repetition + first + number)
                        for number, link in enumerate(links)]
                for link, run in zip(links, runs):
                    figures, late = run.result()
                    found[json.dumps(link)].append(figures)
                    print(f"  {verdict.title(link)}: {late['packets']} packets, {late['late_1ms']:.2%} forwarded more than "
                          f"1 ms late, {late['late_4ms']:.2%} more than 4 ms", file=sys.stderr)
    return {"kernel": platform.release(), "short": options.short, "links": found}


def main():
    parser = argparse.ArgumentParser(prog="tests/fidelity/run", description=__doc__)
    parser.add_argument("--short", action="store_true", help="one repetition with half the messages: under three minutes")
    parser.add_argument("--repetitions", type=int, default=0, metavar="N", help="of the real side (default: 3, or 1 with --short)")
    parser.add_argument("--at-once", type=int, default=2, metavar="N", help="links measured at the same time (default: 2)")
    parser.add_argument("--save", metavar="FILE", help="keeps what was measured")
    parser.add_argument("--against", metavar="FILE", help="measures nothing, and compares with what was kept")
    options = parser.parse_args()
    options.repetitions = options.repetitions or (1 if options.short else 3)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if options.against:
        measured = json.loads(pathlib.Path(options.against).read_text())
    else:
        measured = measure(options)
        if options.save:
            pathlib.Path(options.save).write_text(json.dumps(measured))
    print(f"Linux {measured['kernel']} (cubic, initial window 10) against the simulator; one way, loss in both directions")
    off = 0
    for link in LINKS:
        repetitions = measured["links"][json.dumps(link)]
        off += verdict.compare(link, simulated(link, measured["short"]), repetitions)
    print("everything judged is within its bounds" if off == 0 else f"{off} figures are off")
    sys.exit(0 if off == 0 else 1)


if __name__ == "__main__":
    main()
