"""What is compared, how, and within which bounds.

p50 and bytes are judged: what is simulated has to be within 5% of what is real. Where the measurement's own noise is
larger than that, the bound is the noise: the interval in which the real p50 lies with a confidence of 99.9%, found by a
bootstrap over whole connections, whose samples depend on each other. p99 is shown and judged by nobody: there are too
few samples beyond it.

A real delay has the machine's own time in it, for kernels, forwarder and programs, which a simulated one has not. It is
measured over the same way without latency; a cell of which it takes more than half the bound says more of the machine
than of the model, and is shown and not judged.
"""

import random

TOLERANCE = 0.05
OWN_MAX = TOLERANCE / 2
CONFIDENCE = 0.999
RESAMPLES = 2000
# What a forwarder that gets no turn makes of every figure: above this share of late packets they say nothing. A machine with
# time to spare has 0.2%; one with 2.4% took 9 ms too long for 90 kB, which is twice the bound.
LATE_MAX = 0.01
HEADER = ("| | p50, ms or bytes | off by | bound | p99, ms or bytes | off by | noise | n |\n"
          "|---|---|---|---|---|---|---|---|")


def title(link):
    delay_ms, loss_ppm, rate = link
    return f"{delay_ms} ms, {loss_ppm / 10_000:g}% lost" + (f", {rate / 1e6:g} Mbit/s" if rate else "")


def quantile(samples, share):
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def flat(clusters):
    return [sample for cluster in clusters for sample in cluster]


def interval(clusters, share):
    """Where the quantile lies, by resampling whole connections; always the same for the same samples."""
    if len(set(flat(clusters))) == 1:
        return clusters[0][0], clusters[0][0]
    dice = random.Random(1)
    found = sorted(quantile(flat(dice.choices(clusters, k=len(clusters))), share) for _ in range(RESAMPLES))
    cut = int(RESAMPLES * (1 - CONFIDENCE) / 2)
    return found[cut], found[-1 - cut]


def cells(figures):
    """Connecting is the same in the clear and over TLS."""
    merged = {}
    for cell, clusters in sorted(figures.items()):
        merged.setdefault("connect" if cell.endswith(": connect") else cell, []).extend(clusters)
    return merged


def together(repetitions):
    all_of_them = {}
    for figures in repetitions:
        for cell, clusters in cells(figures).items():
            all_of_them.setdefault(cell, []).extend(clusters)
    return all_of_them


def compare(simulated, repetitions, own, say=print):
    """Says one row for each cell; the cells that are off, those that are not judged, and how many were."""
    simulated, real, own = cells(simulated), together(repetitions), cells(own)
    off, unjudged = [], []
    say(HEADER)
    for cell in sorted(simulated.keys() | real.keys()):
        if cell not in simulated or cell not in real or cell.endswith("failed"):
            say(f"| {cell} | only on one side, or a connection failed: **OFF** | | | | | | |")
            off.append(cell)
            continue
        row = Row(cell, simulated[cell], real[cell], own.get(cell))
        say(row.shown())
        if not row.is_judged:
            unjudged.append(f"{cell}: {row.own / 1000:.1f} ms of {row.p50[1] / 1000:.1f} ms")
        elif not row.good:
            off.append(cell)
    return off, unjudged, len(simulated.keys() | real.keys()) - len(unjudged)


class Row:
    """One cell on both sides."""

    def __init__(self, cell, simulated, real, own):
        self.cell, self.is_bytes = cell, "bytes" in cell
        self.n = len(flat(real))
        self.p50, self.p99 = ((quantile(flat(simulated), share), quantile(flat(real), share)) for share in (0.5, 0.99))
        self.noise_99 = interval(real, 0.99)
        low, high = interval(real, 0.5)
        least, most = (self.p50[1] * (1 + way * TOLERANCE) for way in (-1, 1))
        self.is_noisy = low < least or high > most
        self.bounds = min(low, least), max(high, most)
        self.good = self.bounds[0] <= self.p50[0] <= self.bounds[1]
        self.own = 0 if self.is_bytes or not own else quantile(flat(own), 0.5)
        self.is_judged = self.own <= OWN_MAX * self.p50[1]

    def shown(self):
        bound = f"{TOLERANCE:.0%}"
        if self.is_noisy:
            bound = " … ".join(change(end, self.p50[1]) for end in self.bounds)
        noise = " … ".join(change(end, self.p99[1]) for end in self.noise_99)
        verdict = " not judged" if not self.is_judged else "" if self.good else " **OFF**"
        return (f"| {self.cell} | {self.pair(self.p50)} | {change(*self.p50)}{verdict} | {bound} "
                f"| {self.pair(self.p99)} | {change(*self.p99)} | {noise} | {self.n} |")

    def pair(self, values):
        return " / ".join(f"{value:,.0f}" if self.is_bytes else f"{value / 1000:,.1f}" for value in values)


def change(found, wanted):
    return f"{(found - wanted) / wanted:+.1%}"

