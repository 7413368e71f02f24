#!/usr/bin/env python3
"""A real Alertmanager with our example's configuration: which alert keeps back which.

The alerts have the labels that their rules' tests expect, so an inhibition that needs a label which a rule does
not give shows here.

    inhibitions.py
"""

import datetime
import glob
import json
import os
import re
import socket
import subprocess
import tempfile
import time
import urllib.request

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
# What stands, as changes to the labels of its test; what that keeps back; and what it does not.
CASES = [
    ({"RingbackBlind": {"channel": "voice"}},
     [("RingbackNumberFailing", {}), ("RingbackGroupFailing", {}), ("RingbackSilent", {}), ("RingbackPollStale", {}),
      ("RingbackFewCallersAllFail", {}), ("RingbackQuieterThanLastWeek", {}), ("RingbackNumberQuieterThanLastWeek", {})],
     [("RingbackNumberFailing", {"channel": "messaging"}), ("RingbackRolledBack", {}), ("RingbackDrift", {})]),
    # Two agents with a state each: what one cannot see says nothing of the other's numbers.
    ({"RingbackBlind": {"channel": "voice", "cluster": "a"}},
     [("RingbackNumberFailing", {"cluster": "a"}), ("RingbackPollStale", {"cluster": "a"})],
     [("RingbackNumberFailing", {"cluster": "b"}), ("RingbackPollStale", {"cluster": "b"})]),
    ({"RingbackDown": {"cluster": "a"}},
     [("RingbackAbsent", {}), ("RingbackBlind", {"cluster": "a"}), ("RingbackLeaseLost", {"cluster": "a"})],
     [("RingbackBlind", {"cluster": "b"}), ("RingbackLeaseLost", {"cluster": "b"}), ("RingbackAgentDown", {"cluster": "b"})]),
    ({"RingbackGroupFailing": {}},
     [("RingbackNumberFailing", {}), ("RingbackErrorBudgetFast", {}), ("RingbackErrorBudgetSlow", {}),
      ("RingbackErrorBudgetTicket", {}), ("RingbackFewCallersAllFail", {})],
     [("RingbackNumberFailing", {"group": "sales"}), ("RingbackNumberFailing", {"channel": "messaging"}),
      ("RingbackSuppressed", {}), ("RingbackRollbackUnproven", {})]),
    ({"RingbackQuieterThanLastWeek": {}},
     [("RingbackNumberQuieterThanLastWeek", {})],
     [("RingbackNumberQuieterThanLastWeek", {"group": "sales"}), ("RingbackSilent", {})]),
    ({"RingbackErrorBudgetFast": {}},
     [("RingbackErrorBudgetSlow", {}), ("RingbackErrorBudgetTicket", {})],
     [("RingbackErrorBudgetSlow", {"group": "sales"}), ("RingbackNumberFailing", {})]),
    ({"RingbackDown": {}},
     [("RingbackAbsent", {}), ("RingbackEngineStuck", {}), ("RingbackBlind", {}), ("RingbackLeaseLost", {})],
     [("RingbackWatchdog", {}), ("RingbackRolledBack", {})]),
]


def labels_of_tests():
    """Each alert's labels, from its firing case."""
    found = {}
    for path in glob.glob(os.path.join(ROOT, "alerts/tests/*.yml")):
        for case in open(path).read().split("  - name: '")[1:]:
            name, what = case.split("'", 1)[0].split(": ", 1)
            expected = re.search(r"exp_labels:\n((?: {14}\w+: .*\n)+)", case)
            if what == "firing" and expected:
                pairs = (line.strip().split(": ", 1) for line in expected[1].splitlines())
                found[name] = {"alertname": name} | {k: v.strip("'") for k, v in pairs}
    return found


def ask(base, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(base + path, data, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        text = answer.read()
        return json.loads(text) if text else None


def states(base):
    """Every alert's labels, with its state."""
    return {frozenset(a["labels"].items()): a["status"]["state"] for a in ask(base, "/api/v2/alerts")}


def post(base, alerts, end):
    at = (datetime.datetime.now(datetime.timezone.utc) + end).isoformat()
    ask(base, "/api/v2/alerts", [{"labels": dict(a), "endsAt": at} for a in alerts])


def play(base, labels):
    kept = passed = 0
    for standing, back, through in CASES:
        def of(name, change):
            # A change that a rule could not make would prove nothing; every rule keeps the cluster of its targets.
            assert set(change) <= {*labels[name], "cluster"}, f"{name} has no such label: {change}"
            return frozenset((labels[name] | change).items())
        sources = [of(*s) for s in standing.items()]
        back, through = [of(*a) for a in back], [of(*a) for a in through]
        everything = sources + back + through
        post(base, everything, datetime.timedelta(hours=1))
        name = ", ".join(standing)
        for _ in range(100):
            is_ = states(base)
            late = [dict(a) for a in back if is_.get(a) != "suppressed"]
            if not late:
                break
            time.sleep(0.1)
        assert not late, f"{name} does not keep back {late}"
        for alert in sources + through:
            assert alert in is_ and is_[alert] != "suppressed", f"{name}: {dict(alert)} is {is_.get(alert)}"
        kept, passed = kept + len(back), passed + len(through)
        post(base, everything, datetime.timedelta(0))
        for _ in range(100):
            if not states(base):
                break
            time.sleep(0.1)
        assert not states(base), f"{name} is not over"
    return kept, passed


def main():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{s.getsockname()[1]}"
    with tempfile.TemporaryDirectory() as work, open(os.path.join(work, "log"), "w+") as log:
        # Nobody listens at the receivers' addresses; what is sent is another test's matter.
        server = subprocess.Popen(
            ["prometheus-alertmanager", f"--config.file={ROOT}/alerts/alertmanager.example.yml",
             f"--storage.path={work}/am", f"--web.listen-address={address}", "--cluster.listen-address=",
             "--log.level=error"], stdout=log, stderr=log)
        try:
            base = f"http://{address}"
            for _ in range(200):
                try:
                    states(base)
                    break
                except OSError:
                    time.sleep(0.1)
            kept, passed = play(base, labels_of_tests())
        finally:
            server.terminate()
            server.wait()
    print(f"{kept} alerts are kept back by {len(CASES)} others, and {passed} are not")


main()
