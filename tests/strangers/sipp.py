"""The example of an external origin, sipp-dial, calls another SIPp on loopback that answers, is busy, lets
it ring, does not know the number, fails, or is not there: first alone, then as the origin of an agent's test
calls. What is made of each has to be right.

    sipp.py RINGBACK
"""

import contextlib
import json
import pathlib
import re
import socket
import subprocess
import sys
import tempfile

from serve import agent, get, simulator, until

here = pathlib.Path(__file__).parent
HEAD = "[last_Via:]\n[last_From:]\n[last_To:];tag=there[call_number]\n[last_Call-ID:]\n[last_CSeq:]\nContact: <sip:[local_ip]:[local_port]>\nContent-Length: 0\n\n"


def answer(line):
    return f"<send><![CDATA[\n{line}\n{HEAD}]]></send>\n"


INVITED = '<recv request="INVITE"/>\n'
ANSWERS = (
    INVITED + answer("SIP/2.0 180 Ringing") + '<pause milliseconds="400"/>\n' + answer("SIP/2.0 200 OK")
    + '<recv request="ACK"/>\n<recv request="BYE"/>\n' + answer("SIP/2.0 200 OK").replace(";tag=there[call_number]", "")
)
RINGS = (
    INVITED.replace("/>", "><action><ereg regexp=\".*\" search_in=\"hdr\" header=\"CSeq:\" assign_to=\"asked\"/></action></recv>")
    + answer("SIP/2.0 180 Ringing") + '<recv request="CANCEL"/>\n' + answer("SIP/2.0 200 OK")
    + answer("SIP/2.0 487 Request Terminated").replace("[last_CSeq:]", "CSeq:[$asked]") + '<recv request="ACK"/>\n'
)


def refuses(line):
    return INVITED + answer(f"SIP/2.0 {line}") + '<recv request="ACK"/>\n'


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def listens(port):
    """Whether somebody holds the port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.bind(("127.0.0.1", port))
            return False
        except OSError:
            return True


@contextlib.contextmanager
def there(scenario, *more):
    """The other end, if there is to be one: its port and its process."""
    port = free_port()
    if not scenario:
        yield port, None
        return
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "there.xml"
        path.write_text(f'<?xml version="1.0" encoding="UTF-8"?>\n<scenario name="there">\n{scenario}</scenario>\n')
        command = ["sipp", "-sf", path, "-i", "127.0.0.1", "-p", str(port), "-nostdin", *more]
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            until(30, "SIPp does not listen", lambda: listens(port))
            yield port, process
        finally:
            process.terminate()
            process.wait()


def dialling(port, *arguments):
    return [str(here / "sipp-dial"), *arguments, "--to", f"127.0.0.1:{port}", "--rings", "2", "--stays", "0.3"]


def dialled(scenario):
    """What it says of one call, and whether the other end saw the call go its way to the end."""
    with there(scenario, "-m", "1") as (port, process):
        said = subprocess.run(dialling(port, "+15005550100", "a1b2"), check=True, capture_output=True, text=True, timeout=60).stdout
        # It ends well once its scenario has been gone through: hung up, cancelled, acknowledged.
        with contextlib.suppress(subprocess.TimeoutExpired):
            if process:
                process.wait(timeout=5)
    return json.loads(said), not process or process.returncode == 0


# How the other end is, what sipp-dial has to say of it, and why.
CASES = [
    ("answers", ANSWERS, "success", None),
    ("busy", refuses("486 Busy Here"), "error", "busy"),
    ("unknown", refuses("404 Not Found"), "failure", "not_arriving"),
    ("gone", refuses("604 Does Not Exist Anywhere"), "failure", "not_arriving"),
    ("failing", refuses("503 Service Unavailable"), "error", "SIP 503"),
    ("forbidden", refuses("403 Forbidden"), "error", "the carrier does not let us call"),
    ("rings", RINGS, "error", "no answer"),
    ("away", None, "error", "nobody there answers SIP"),
]


def alone():
    """What sipp-dial says of each by itself."""
    wrong = []
    for name, scenario, result, reason in CASES:
        said, is_ended = dialled(scenario)
        after = said.get("answered_after_s")
        is_right = is_ended and (said["result"], said.get("reason")) == (result, reason) and (after is None) == (result != "success")
        if after is not None:
            is_right = is_right and 0.35 <= after <= 2 and "started_at" in said
        print(f"{name:10} {json.dumps(said)}{'' if is_right else '   WRONG'}")
        if not is_right:
            wrong.append(name)
    bad = subprocess.run([here / "sipp-dial", "100; reboot", "x", "--to", "127.0.0.1:1"], capture_output=True)
    if bad.returncode != 2:
        wrong.append("a number that is none")
    return wrong


BIN = "EH00000000000000000000000000000001"
APP = "https://app.example.com/voice"
# Nobody calls: all that is known of a number is what its test calls show.
DAY = f"""
name = "dialled"
seed = 3
lasts = "1h"
history = "0s"
[[bin]]
sid = "{BIN}"
does = "answer"
"""
QUIET = """
[[group]]
name = "{name}"
numbers = ["{number}"]
traffic = {{ calls_per_hour = 0, floor_per_hour = 0 }}
routing = {{ voice_url = "{url}" }}
"""
# The agent may act as much as it likes.
AGENT = """
[agent]
mode = "auto"
listen = "127.0.0.1:0"
[poll]
active = "1s"
[probes]
calls_per_second = 10
at_once = 8
"""
PROBED = """
[[group]]
name = "{name}"
numbers = ["{number}"]
channels = ["voice"]
fallback = {{ voice_url = "https://handler.twilio.com/twiml/{bin}" }}
[group.probe]
every = "10s"
fails_for = "0s"
[[group.probe.external]]
command = {command}
timeout = "60s"
"""


def samples(text, name):
    """Labels and value of each sample of this name that is not zero."""
    found = re.findall(rf"^{name}\{{(.*)\}} (\S+)$", text, flags=re.M)
    return [(dict(re.findall(r'(\w+)="([^"]*)"', labels)), float(value)) for labels, value in found if float(value)]


def decided(status):
    return sorted((d["group"], d["decision"], d.get("reason")) for d in status["decisions"])


def of_an_agent(ringback):
    """What an agent makes of each, having been told twice: the call that does not arrive is a page, for no swap would
    cure it, and what could not be measured is nothing.
    """
    expected = sorted((name, "page", reason) for name, _, result, reason in CASES if result == "failure")
    numbers = {name: f"+1500555010{i}" for i, (name, *_) in enumerate(CASES)}
    with contextlib.ExitStack() as stack:
        day = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory())) / "day.toml"
        day.write_text(DAY + "".join(QUIET.format(name=name, number=n, url=APP) for name, n in numbers.items()))
        config = AGENT
        for name, scenario, *_ in CASES:
            port, _ = stack.enter_context(there(scenario))
            dial = json.dumps(dialling(port, "{number}", "{nonce}"))
            config += PROBED.format(name=name, number=numbers[name], bin=BIN, command=dial)
        twilio = stack.enter_context(simulator(ringback, "--scenario", day))
        running = stack.enter_context(agent(ringback, twilio, config))

        def look():
            attempts = samples(get(f"{running.url}/metrics"), "ringback_probe_attempts_total")
            counts = {name: {l["result"]: int(n) for l, n in attempts if l["group"] == name} for name in numbers}
            return counts, json.loads(get(f"{running.url}/api/v1/status"))

        def is_told():
            counts, status = look()
            return all(sum(c.values()) >= 2 for c in counts.values()) and len(decided(status)) >= len(expected)

        until(120, "not every number was called twice and judged", is_told, lambda: f"{look()[0]}: {running.said()}")
        counts, status = look()
        failures = samples(get(f"{running.url}/metrics"), "ringback_probe_failures_total")
        asked = twilio.look("stats")["requests"]

    wrong = []
    for name, _, result, reason in CASES:
        [channel] = [n["channels"][0] for g in status["groups"] if g["group"] == name for n in g["numbers"]]
        probe = channel["last_probe"]
        shown = {"failure": reason} if result == "failure" else result
        why = {"success": set(), "failure": {("external", reason)}, "error": {("external", "command")}}[result]
        is_right = (
            set(counts[name]) == {result} and probe["result"] == shown and channel["verdict"] == "unknown"
            # Of a call between two numbers at Twilio, there is a word of caution.
            and probe["origin"] == "external" and "caution" not in probe
            and {(l["origin"], l["reason"]) for l, _ in failures if l["group"] == name} == why
        )
        print(f"{name:10} {counts[name]}, verdict {channel['verdict']}{'' if is_right else f'   WRONG {probe} {failures}'}")
        if not is_right:
            wrong.append(f"{name}, by an agent")
    if decided(status) != expected:
        wrong.append(f"decisions {decided(status)}")
    if any(not kind.startswith("GET ") for kind in asked):
        wrong.append(f"requests {asked}")
    print(f"decisions: {decided(status)}; nothing was written")
    return wrong


failed = alone() + of_an_agent(sys.argv[1])
if failed:
    raise SystemExit(f"FAILED: {', '.join(failed)}")
