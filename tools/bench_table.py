#!/usr/bin/env python3
"""Google Benchmark's JSON as a table of ratios and of fractions of the machine's limit.

    bench_table.py [--json] RESULTS.json

Names are <component>/<implementation>/<f32|f64>/<shape>. One row per component, type and shape: the
time of temper; for every peer its time divided by temper's (above 1: temper is faster); and the share
of the limit that temper reaches. The limit of a row is the time in which this machine can move the
row's bytes (a triad over as many bytes), or compute its products (at the rate of Eigen's products of
as many operations) and exponentials, whichever is longer; all of them measured in the same run.
Repetitions are represented by their median. Markdown, or with --json all of it as JSON.
"""

import argparse
import bisect
import json
import math
import statistics
import sys

PEERS = ["eigen", "xtensor", "dlib", "torch"]
NANOSECONDS = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}
COUNTERS = ["bytes", "flops", "exps"]


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
        out.append(entry)
    return out


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
    lines[0].append("of the limit")
    lines.append(["---"] * 3 + ["---:"] * (2 + len(peers)))
    for entry in entries:
        if "nanoseconds" not in entry:
            continue
        cells = [entry["component"], entry["shape"], entry["type"], readable(entry["nanoseconds"])]
        ratios = entry["ratios"]
        cells += [f"{ratios[p]:.2f}" if p in ratios else "-" for p in peers]
        share = entry.get("fraction_of_limit")
        cells.append(f"{100 * share:.0f} %" if share else "-")
        lines.append(cells)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--json", action="store_true", help="everything, as JSON")
    parser.add_argument("results", help="the output of temper_bench --benchmark_out_format=json")
    options = parser.parse_args()
    with open(options.results, encoding="utf-8") as file:
        results = json.load(file)
    rows = read_rows(results)
    if options.json:
        context = results.get("context", {})
        document = {
            "date": context.get("date"),
            "cpus": context.get("num_cpus"),
            "rows": measured(rows),
            "machine": machine(rows),
        }
        json.dump(document, sys.stdout, indent=1)
        print()
    else:
        print(table(measured(rows)))


if __name__ == "__main__":
    main()
