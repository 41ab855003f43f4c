"""Has the same conversations over real kernels and over the simulated network, and compares. Started by `run`."""

import argparse
import concurrent.futures
import json
import pathlib
import platform
import signal
import subprocess
import sys
import time

import verdict
from world import PATIENCE_S, SERVER, World

ROOT = pathlib.Path(__file__).resolve().parents[2]
CERTIFICATES = ROOT / "simulator/src/crypto"
PLAIN, TLS, APP = f"{SERVER}:8080", f"{SERVER}:8443", "127.0.0.1:3000"
# As in simulator/examples/fidelity/simulated.rs.
SETTINGS = ["--listen", f"http://{PLAIN}", "--listen", f"https://{TLS}", "--upstream", APP,
            "--tls-cert", CERTIFICATES / "test-cert.pem", "--tls-key", CERTIFICATES / "test-key.pem",
            "--keepalive", "off", "--proxy-read-timeout", "15m", "--keepalive-timeout", "15m"]
# One way in milliseconds, loss per million in both directions, bits per second.
LINKS = [(40, 0, 0), (40, 20_000, 0), (120, 0, 0), (120, 20_000, 0), (40, 0, 10_000_000)]
SHORT_LINKS = [(40, 0, 0), (120, 0, 0), (40, 20_000, 0)]
# What is left of every delay there is the machine's own time.
NO_LATENCY = (0, 0, 0)
# 100 kB lie on the edge of the third window, 70 segments: one that has to wait makes the echo later. 90 kB do not.
LARGE_KB, SHORT_LARGE_KB = (100, 90), (90, 90)
CLIENT_LIMIT_S = 300
# Worlds whose figures are taken together: the simulated side shall have no noise of its own.
SIMULATED_RUNS = 20


def plan(link, short):
    """Without loss there is nothing to average over, so few connections do, and cannot disturb each other."""
    lossy, limited = link[1] > 0, link[2] > 0
    messages = 15 if short else 60
    wanted = {"stagger_ms": 97, "pause_ms": 100, "spacing_ms": 500 if short else 1000, "quiet_ms": 1500,
              "large_kb": SHORT_LARGE_KB if short else LARGE_KB, "pushes": (1, messages), "polls": (1, messages)}
    if limited:
        # They share the link: one after the other, or each would be in the other's way.
        return wanted | {"stagger_ms": 4000, "small": (2, 10), "large": (2, 6), "pushes": (0, 0), "polls": (0, 0)}
    if not lossy:
        return wanted | {"small": (4, 20), "large": (3, 8)}
    if short:
        return wanted | {"small": (20, 20), "large": (0, 0), "pushes": (0, 0), "polls": (0, 0)}
    return wanted | {"small": (20, 20), "large": (24, 10), "pushes": (8, messages), "polls": (8, messages)}


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


def real(options, number, link, seed):
    built = ROOT / "target" / options.built
    tool, sidecar = built / "examples/fidelity", built / "outrigger"
    world = World(number, *link, seed)
    try:
        world.start(1, tool, "app", APP)
        wait_for_port(world, APP)
        world.start(1, sidecar, "run", *SETTINGS, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        wait_for_port(world, PLAIN)
        wait_for_port(world, TLS)
        client = world.start(0, tool, "client", json.dumps(plan(link, options.short)), PLAIN, TLS, world.meter, stdout=subprocess.PIPE)
        told, _ = client.communicate(timeout=CLIENT_LIMIT_S)
        if client.returncode != 0:
            raise RuntimeError(f"the client ended with {client.returncode}")
        return json.loads(told), world.lateness()
    finally:
        world.close()


def simulated(tool, link, short, slower=1.0):
    delay_ms, loss_ppm, rate = link
    runs = (SIMULATED_RUNS // 4 if short else SIMULATED_RUNS) if loss_ppm else 1
    latency_us = round(delay_ms * 1000 * slower)
    done = subprocess.run([tool, "simulated", json.dumps(plan(link, short)), str(latency_us), str(loss_ppm), str(rate), str(runs)],
                          stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def measure(options):
    """The real side: for each link the figures of each repetition."""
    links = SHORT_LINKS if options.short else LINKS
    found = {json.dumps(link): [] for link in links}
    late = []
    for repetition in range(options.repetitions):
        for first in range(0, len(links), options.at_once):
            now = links[first:first + options.at_once]
            print(f"measuring, {repetition + 1} of {options.repetitions}: {'; '.join(map(verdict.title, now))}", file=sys.stderr)
            with concurrent.futures.ThreadPoolExecutor() as pool:
                runs = [pool.submit(real, options, number, link, 1000 * repetition + first + number)
                        for number, link in enumerate(now)]
                for link, run in zip(now, runs):
                    figures, lateness = run.result()
                    found[json.dumps(link)].append(figures)
                    late.append(lateness)
    print("measuring what this machine needs by itself", file=sys.stderr)
    own, _ = real(options, 0, NO_LATENCY, 0)
    return {"kernel": platform.release(), "short": options.short, "build": options.built, "repetitions": options.repetitions,
            "packets": sum(run["packets"] for run in late), "late": max(run["late_1ms"] for run in late), "links": found, "own": own}


def report(measured, tool):
    """Prints the tables; true if all that is judged is within its bounds, and would not be on a slower link."""
    print(f"Linux {measured['kernel']}, cubic, initial window 10; {measured['build']} build; {measured['repetitions']} repetitions, "
          f"{measured['packets']:,} packets, at most {measured['late']:.2%} of a run forwarded more than 1 ms late.\n"
          "Latency is one way; loss is in both directions. Simulated / real.")
    off, unjudged, judged = [], [], 0
    # What was kept before this was measured has none.
    own = measured.get("own", {})
    for key, repetitions in measured["links"].items():
        link = json.loads(key)
        print(f"\n### {verdict.title(link)}\n")
        wrong, left_out, count = verdict.compare(simulated(tool, link, measured["short"]), repetitions, own)
        off += [f"{verdict.title(link)}: {cell}" for cell in wrong]
        unjudged += [f"{verdict.title(link)}: {cell}" for cell in left_out]
        judged += count
        if not (link[1] or link[2]):
            off += missed(tool, link, measured["short"], repetitions, own)
    print(f"\n{judged - len(off)} of {judged} cells are within their bounds." if off else f"\nAll {judged} cells are within their bounds.")
    for cell in off:
        print(f"- OFF: {cell}")
    for cell in unjudged:
        print(f"- NOT JUDGED: {cell} are this machine's own")
    return not off


def missed(tool, link, short, repetitions, own):
    """Held against a link that is a tenth slower, each delay has to be off, or the comparison proves nothing."""
    slower = verdict.cells(simulated(tool, link, short, slower=1.1))
    held = verdict.together(repetitions)
    own = verdict.cells(own)
    rows = [verdict.Row(cell, slower[cell], held[cell], own.get(cell)) for cell in sorted(slower.keys() & held.keys())]
    return [f"{verdict.title(link)}: {row.cell}, which does not notice a link that is slower by a tenth"
            for row in rows if row.good and row.is_judged and not (row.is_bytes or row.is_noisy)]


def leave(number, _):
    """Ends what was started; whoever waits for it then removes the rest."""
    for world in World.all:
        world.stop()
    sys.exit(128 + number)


def main():
    parser = argparse.ArgumentParser(prog="tests/fidelity/run", description="The released sidecar between real kernels, beside "
                                     "the simulated one: what takes how long, and what it costs on the wire, cell by cell. "
                                     "Exit code 1 when a cell is off, 75 when this machine was too busy to measure, 77 when it cannot be done here.")
    parser.add_argument("--short", action="store_true", help="one repetition, fewer messages, and with loss only what takes few of them: half a minute")
    parser.add_argument("--repetitions", type=int, default=0, metavar="N", help="of the real side (default: 5, or 1 with --short)")
    parser.add_argument("--at-once", type=int, default=0, metavar="N", help="links measured at the same time (default: 2, or all with --short)")
    parser.add_argument("--built", choices=("release", "debug"), default="release",
                        help="release is built here; debug is taken as tests/run has left it (default: release)")
    parser.add_argument("--save", metavar="FILE", help="keeps what was measured")
    parser.add_argument("--against", metavar="FILE", help="measures nothing, and compares with what was kept")
    options = parser.parse_args()
    options.repetitions = options.repetitions or (1 if options.short else 5)
    options.at_once = options.at_once or (len(SHORT_LINKS) if options.short else 2)
    tool = ROOT / "target" / options.built / "examples/fidelity"
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, leave)
    if options.against:
        measured = json.loads(pathlib.Path(options.against).read_text())
    else:
        measured = measure(options)
        if options.save:
            pathlib.Path(options.save).write_text(json.dumps(measured))
    good = report(measured, tool)
    if measured["late"] > verdict.LATE_MAX:
        print("This machine was too busy: its own delays are in these figures, and they say nothing.")
        sys.exit(75)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
