#!/usr/bin/env python3
"""Google Benchmark's JSON as a table of ratios and of fractions of the machine's limit.

    bench_table.py [--json] RESULTS.json
    bench_table.py RESULTS.json --against OTHER.json

Names are <component>/<implementation>/<f32|f64>/<shape>. One row per component, type and shape: the
time of temper; for every peer its time divided by temper's (above 1: temper is faster); and the share
of the limit that temper reaches. The limit of a row is the time in which this machine can move the
row's bytes (a triad over as many bytes), or compute its products (at the rate of Eigen's products of
as many operations) and exponentials, whichever is longer; all of them measured in the same run. Rows
with a target (TARGETS) show it, and whether it is met. Repetitions are represented by their median.
Markdown, or with --json all of it as JSON.
"""

import argparse
import bisect
import json
import math
import re
import statistics
import sys

PEERS = ["eigen", "xtensor", "dlib", "torch"]
NANOSECONDS = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}
COUNTERS = ["bytes", "flops", "exps"]

# Against libtorch 1.13, forward and backward, in f32; half of it in f64.
TARGETS = {
    "barlow_twins": {"256x8192": 40, "256x2048": 12, "1024x1024": 1.4, "2048x256": 2.5},
    "softmax_cross_entropy": {"4096x10": 6, "256x1000": 6, "64x32000": 4},
    "softmax_cross_entropy_soft": {"256x1000": 6, "64x32000": 8},
    "distillation_kl": {"256x1000": 6, "64x32000": 8},
    "robust_loss": {"256x3072": 6},
    "robust_loss_sample": {"256x3072": 2.5},
    "nt_xent": {"1024x128": 3, "2048x256": 2.5},
    "cosine_alignment": {"4096x768": 4},
    "trepa": {"4096x768": 4},
    "soft_orthogonality_columns": {"256x2048": 15, "2048x256": 2.5},
    "nuclear_norm": {"512x256": 1.5},
    "group_lasso": {"1024x1024": 3},
    "group_lasso_prox": {"1024x1024": 1.2},
    "total_variation": {"1024x1024": 8},
    "mixup": {"256x3072": 2, "256x12288": 4},
    "sinkhorn": {"512x512": 2},
    "adamw": {"1048576": 1.1},
    "perpendicular_gradient": {"1048576": 1.1},
    "stablemax_cross_entropy": {"4096x113": 20},
}


def read_rows(results):
    """{(component, dtype, shape): {implementation: (nanoseconds, {counter: amount})}}, in order."""
    repetitions = {}
    for run in results["benchmarks"]:
        if run.get("run_type", "iteration") != "iteration":
            continue
        if run.get("error_occurred"):
            print(f"{run['name']}: {run.get('error_message', 'failed')}", file=sys.stderr)
            continue
        parts = run.get("run_name", run["name"]).split("/")
        if len(parts) < 4:
            sys.exit(f"{run['name']}: must be <component>/<implementation>/<f32|f64>/<shape>")
        component, implementation, dtype, shape = parts[:4]
        time = run["real_time"] * NANOSECONDS[run["time_unit"]]
        work = {counter: run.get(counter, 0) for counter in COUNTERS}
        row = repetitions.setdefault((component, dtype, shape), {})
        row.setdefault(implementation, []).append((time, work))
    return {
        key: {
            name: (statistics.median(time for time, _ in runs), runs[0][1])
            for name, runs in row.items()
        }
        for key, row in repetitions.items()
    }


class Limits:
    """The machine's rates per nanosecond, each by the amount of work it was measured with."""

    MEASURES = {"triad": "bytes", "eigen": "flops", "blas": "flops", "exp": "exps"}

    def __init__(self, rows):
        self.rates = {}
        for (component, dtype, _), row in rows.items():
            if component != "limit":
                continue
            for name, (time, work) in row.items():
                amount = work[self.MEASURES[name]]
                self.rates.setdefault((name, dtype), []).append((amount, amount / time))
        for rates in self.rates.values():
            rates.sort()

    def rate(self, name, dtype, amount):
        """Between two measured amounts, on log axes; beyond them, the last one's."""
        rates = self.rates.get((name, dtype))
        if not rates:
            return None
        place = bisect.bisect(rates, (amount,))
        if place == 0 or place == len(rates):
            return rates[min(place, len(rates) - 1)][1]
        (a, low), (b, high) = rates[place - 1 : place + 1]
        along = math.log(amount / a) / math.log(b / a)
        return low * (high / low) ** along

    def time(self, dtype, work):
        """Nanoseconds that the work takes at least, or None where nothing is known of it."""
        parts = []
        for name, counter in (("triad", "bytes"), ("eigen", "flops"), ("exp", "exps")):
            rate = self.rate(name, dtype, work[counter]) if work[counter] else None
            parts.append(work[counter] / rate if rate else 0)
        memory, products, exponentials = parts
        return max(memory, products + exponentials) or None


def measured(rows):
    limits = Limits(rows)
    out = []
    for (component, dtype, shape), row in rows.items():
        if component == "limit":
            continue
        entry = {"component": component, "shape": shape, "type": dtype}
        if "temper" in row:
            ours, work = row["temper"]
            entry["nanoseconds"] = ours
            entry["ratios"] = {
                name: time / ours for name, (time, _) in row.items() if name != "temper"
            }
            limit = limits.time(dtype, work)
            if limit:
                entry["fraction_of_limit"] = limit / ours
            target = TARGETS.get(component, {}).get(shape)
            if target and "torch" in entry["ratios"]:
                entry["target"] = target if dtype == "f32" else target / 2
        out.append(entry)
    return sorted(out, key=place)


def place(entry):
    """By component, type and size."""
    numbers = [int(n) for n in re.findall(r"\d+", entry["shape"])]
    return entry["component"], entry["type"], math.prod(numbers), numbers


def mean_ratios(entries):
    """{peer and type: (geometric mean of the peer's ratios, how many, the smallest of them)}."""
    found = {}
    for entry in entries:
        for peer, ratio in entry.get("ratios", {}).items():
            if peer in PEERS:
                found.setdefault(f"{peer} {entry['type']}", []).append(ratio)
    return {
        name: (math.exp(statistics.fmean(map(math.log, ratios))), len(ratios), min(ratios))
        for name, ratios in sorted(found.items())
    }


def machine(rows):
    return [
        {
            "limit": name,
            "type": dtype,
            "at": shape,
            "per_nanosecond": work[Limits.MEASURES[name]] / time,
        }
        for (component, dtype, shape), row in rows.items()
        if component == "limit"
        for name, (time, work) in row.items()
    ]


def readable(nanoseconds):
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if nanoseconds >= size:
            return f"{nanoseconds / size:.3g} {unit}"
    return f"{nanoseconds:.3g} ns"


def table(entries):
    peers = [p for p in PEERS if any(p in e.get("ratios", {}) for e in entries)]
    lines = [["component", "shape", "type", "temper"] + [f"{p} / temper" for p in peers]]
    lines[0] += ["target", "of the limit"]
    lines.append(["---"] * 3 + ["---:"] * (3 + len(peers)))
    for entry in entries:
        if "nanoseconds" not in entry:
            continue
        cells = [entry["component"], entry["shape"], entry["type"], readable(entry["nanoseconds"])]
        ratios = entry["ratios"]
        cells += [f"{ratios[p]:.2f}" if p in ratios else "-" for p in peers]
        target = entry.get("target")
        verdict = "met" if target and ratios["torch"] >= target else "missed"
        cells.append(f"{target:g} {verdict}" if target else "-")
        share = entry.get("fraction_of_limit")
        cells.append(f"{100 * share:.0f} %" if share else "-")
        lines.append(cells)
    lines = ["| " + " | ".join(cells) + " |" for cells in lines]
    lines += ["", "| peer / temper | geometric mean | rows | smallest |", "| --- | ---: | ---: | ---: |"]
    for peer, (mean, count, least) in mean_ratios(entries).items():
        lines.append(f"| {peer} | {mean:.2f} | {count} | {least:.2f} |")
    return "\n".join(lines)


def comparison(rows, others):
    lines = ["| component | shape | type | temper | the other | speed |", "| --- " * 3 + "| ---: " * 3 + "|"]
    for key in sorted(rows, key=lambda key: place(dict(zip(("component", "type", "shape"), key)))):
        if "temper" not in rows[key] or "temper" not in others.get(key, {}):
            continue
        ours, other = rows[key]["temper"][0], others[key]["temper"][0]
        component, dtype, shape = key
        cells = [component, shape, dtype, readable(ours), readable(other), f"{100 * other / ours:.0f} %"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--json", action="store_true", help="everything, as JSON")
    parser.add_argument("--against", metavar="OTHER.json", help="speeds of temper, RESULTS over OTHER")
    parser.add_argument("results", help="the output of temper_bench --benchmark_out_format=json")
    options = parser.parse_args()
    with open(options.results, encoding="utf-8") as file:
        results = json.load(file)
    rows = read_rows(results)
    if options.against:
        with open(options.against, encoding="utf-8") as file:
            print(comparison(rows, read_rows(json.load(file))))
    elif options.json:
        context = results.get("context", {})
        document = {
            "date": context.get("date"),
            "cpus": context.get("num_cpus"),
            "rows": measured(rows),
            "means": mean_ratios(measured(rows)),
            "machine": machine(rows),
        }
        json.dump(document, sys.stdout, indent=1)
        print()
    else:
        print(table(measured(rows)))


if __name__ == "__main__":
    main()
