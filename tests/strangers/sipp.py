"""The example of an external origin, sipp-dial, calls another SIPp on loopback that answers, is busy, lets
it ring, does not know the number, fails, or is not there. What it says of each has to be right.

    sipp.py
"""

import json
import pathlib
import socket
import subprocess
import tempfile
import time

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


def dialled(scenario, *more):
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        there = None
        if scenario:
            path = pathlib.Path(folder) / "there.xml"
            path.write_text(f'<?xml version="1.0" encoding="UTF-8"?>\n<scenario name="there">\n{scenario}</scenario>\n')
            command = ["sipp", "-sf", path, "-i", "127.0.0.1", "-p", str(port), "-m", "1", "-nostdin"]
            there = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for _ in range(100):
                if listens(port):
                    break
                time.sleep(0.05)
        try:
            command = [here / "sipp-dial", "+15005550100", "a1b2", "--to", f"127.0.0.1:{port}", "--rings", "2", "--stays", "0.3", *more]
            said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
        finally:
            if there:
                # It ends well once its scenario has been gone through: hung up, cancelled, acknowledged.
                try:
                    left = there.wait(timeout=5)
                except subprocess.TimeoutExpired:
                    there.terminate()
                    left = there.wait()
    return json.loads(said), not scenario or left == 0


failed = []
for name, scenario, result, reason in [
    ("answers", ANSWERS, "success", None),
    ("busy", refuses("486 Busy Here"), "error", "busy"),
    ("unknown number", refuses("404 Not Found"), "failure", "not_arriving"),
    ("gone number", refuses("604 Does Not Exist Anywhere"), "failure", "not_arriving"),
    ("carrier's failure", refuses("503 Service Unavailable"), "error", "SIP 503"),
    ("no permission", refuses("403 Forbidden"), "error", "the carrier does not let us call"),
    ("rings", RINGS, "error", "no answer"),
    ("not there", None, "error", "nobody there answers SIP"),
]:
    said, is_ended = dialled(scenario)
    after = said.get("answered_after_s")
    is_right = is_ended and (said["result"], said.get("reason")) == (result, reason) and (after is None) == (result != "success")
    if after is not None:
        is_right = is_right and 0.35 <= after <= 2 and "started_at" in said
    print(f"{name:18} {json.dumps(said)}{'' if is_right else '   WRONG'}")
    if not is_right:
        failed.append(name)
bad = subprocess.run([here / "sipp-dial", "100; reboot", "x", "--to", "127.0.0.1:1"], capture_output=True)
if bad.returncode != 2:
    failed.append("a number that is none")
if failed:
    raise SystemExit(f"FAILED: {', '.join(failed)}")
