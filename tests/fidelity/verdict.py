"""What is compared, how, and within which bounds.

Without loss, p50 and bytes have to be within 5%. With loss, a measurement has noise: a simulated p50 has to be within 5%
of the interval in which the real one lies with a confidence of 99.9%, as the bootstrap over whole connections (whose
samples depend on each other) finds it. p99 is shown with its interval and judged by nobody: there are too few samples
beyond it.
"""

import random

TOLERANCE = 0.05
CONFIDENCE = 0.999
RESAMPLES = 2000
# Below this, in microseconds, a delay says more about the machine than about the network.
LEAST_JUDGED_US = 20_000


def title(link):
    delay_ms, loss_ppm, rate = link
    return f"{delay_ms} ms, {loss_ppm / 10_000:g}%" + (f", {rate / 1e6:g} Mbit/s" if rate else "")


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
        cell = "connect" if cell.endswith(": connect") else cell
        merged.setdefault(cell, []).extend(clusters)
    return merged


def shown(value, is_bytes):
    return f"{value:,.0f} B" if is_bytes else f"{value / 1000:,.1f}"


def compare(link, simulated, repetitions):
    """Prints the link's table; how many figures are off."""
    simulated = cells(simulated)
    real = {}
    for figures in repetitions:
        for cell, clusters in cells(figures).items():
            real.setdefault(cell, []).extend(clusters)
    lossy = link[1] > 0
    print(f"\n{title(link)}  (ms; sim / real; 99.9% interval of the real one; n real)")
    off = 0
    for cell in sorted(simulated.keys() | real.keys()):
        if cell not in simulated or cell not in real or cell.endswith("failed"):
            print(f"  {cell}: only on one side, or failed")
            off += 1
            continue
        is_bytes = "bytes" in cell
        line = f"  {cell:24}"
        for share in (0.5, 0.99):
            found, wanted = (quantile(flat(side[cell]), share) for side in (simulated, real))
            low, high = interval(real[cell], share)
            line += (f"  p{share * 100:g} {shown(found, is_bytes):>9} / {shown(wanted, is_bytes):<9} {(found - wanted) / wanted:+7.1%}"
                     f"  {'[' + shown(low, is_bytes) + ' .. ' + shown(high, is_bytes) + ']':22}")
            if share != 0.5 or not (is_bytes or wanted >= LEAST_JUDGED_US):
                continue
            if not lossy:
                low = high = wanted
            if not low * (1 - TOLERANCE) <= found <= high * (1 + TOLERANCE):
                line += "OFF "
                off += 1
        print(f"{line} {len(flat(real[cell]))}")
    return off
