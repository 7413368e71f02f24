"""Attacks by those on the same machine: clients that do not read, pages that guess tokens, files that do not end, a
stranger at the agent's own port.
"""

import concurrent.futures
import os
import resource
import socket
import struct
import subprocess
import sys
import threading
import time

from hostile_agent import AGENT_PORT, PASS, PEAK_MB, Agent, some
from hostile_twilio import TOKEN, HttpServer, Reply

# How long an operator may wait among those who hold up the door: less than it takes until they are ended for being
# slow, since who is let in then is a lottery.
BESIEGED_S = 4


def connect(sends, receive_buffer=None):
    """A connection that has said this, and does no more."""
    client = socket.socket()
    client.settimeout(5)
    if receive_buffer:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    try:
        client.connect(("127.0.0.1", AGENT_PORT))
        client.sendall(sends)
    except OSError:
        # Refused, which is the agent's right.
        pass
    return client


def deaf_clients(w):
    """140 clients ask for the metrics, the status and both again and again, and read nothing."""
    agent = w.healthy(numbers=some(1500), more='[metrics]\nper_number = "all"', timeout="20s")
    size = len(agent.get("/metrics", 20)[1])
    wish = b"".join(b"GET %s HTTP/1.1\r\nHost: 127.0.0.1:9466\r\n\r\n" % p for p in (b"/metrics", b"/api/v1/status"))
    clients = []

    def come(_):
        clients.append(connect(wish * 50, 4096))

    with concurrent.futures.ThreadPoolExecutor(35) as many:
        list(many.map(come, range(140)))
    time.sleep(15)
    w.lives(agent)
    if agent.is_alive():
        theirs = {f"{client.getsockname()[1]:04X}" for client in clients}
        w.until(25, lambda: not agent.is_alive() or not established(agent) & theirs)
        left = len(established(agent) & theirs)
        w.must(left <= 10, f"{left} of 140 clients that do not read are waited for after 40 s")
        w.lives(agent)
    return f"140 clients that do not read {size // 1000} KB of metrics, nor a status"


def established(agent):
    """The ports, in hexadecimal, of those whom the agent still writes to."""
    found = set()
    for line in open("/proc/net/tcp"):
        words = line.split()
        if words[1].endswith(f":{agent.port:04X}") and words[3] == "01":
            found.add(words[2].split(":")[1])
    return found


def half_requests(w):
    """1,000 connections with half a request, begun again whenever they are ended, to an agent with 256 files at most."""
    agent = w.healthy(5, files=256)
    halves = (b"", b"GET /metr", b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:9466\r\nX-A: ")
    stop = threading.Event()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 4096), most))

    def besiege(kind):
        while not stop.is_set():
            client = connect(halves[kind % 3])
            client.settimeout(60)
            try:
                while client.recv(4096):
                    pass
            except OSError:
                pass
            client.close()

    for kind in range(1000):
        threading.Thread(target=besiege, args=(kind,), daemon=True).start()
    time.sleep(2)
    w.twilio.callers(some(5), True)
    w.must(w.until(25, lambda: len(w.twilio.swapped()) == 5), "the numbers were not swapped meanwhile")

    def ask():
        """How long until an answer came, asking again as a person does: a first packet that finds the queue of
        connections full is dropped, and sent again after one, three and seven seconds."""
        began = time.monotonic()
        while (left := began + BESIEGED_S - time.monotonic()) > 0:
            if agent.get("/-/ready", min(left, 1.5))[0]:
                return time.monotonic() - began
            time.sleep(0.05)
        return None

    answered = [took for took in (ask() for _ in range(5)) if took is not None]
    w.must(len(answered) == 5, f"{len(answered)} of 5 whole requests were answered within {BESIEGED_S} s")
    held = agent.post("hold", BESIEGED_S, all=True)
    w.must(held[0] == 200, f"a hold among them: {held}")
    stop.set()
    w.must(agent.is_alive() and agent.peak <= PEAK_MB, f"it died, or took {agent.peak} MB")
    longest = max(answered, default=0)
    return f"1,000 half requests at any time; {len(answered)} of 5 whole ones answered, after {longest:.1f} s at most"


def endless_requests(w):
    """Sixteen posts without end, with and without the token, and headers without end."""
    agent = w.healthy()
    stop, sent = threading.Event(), []

    def flood(kind):
        head = b"POST /api/v1/hold HTTP/1.1\r\nHost: 127.0.0.1:9466\r\nContent-Type: application/json\r\n"
        head += b"Authorization: Bearer %s\r\n" % (PASS.encode() if kind % 2 else b"x")
        piece = b"x" * 65536
        if kind % 4 < 2:
            head, piece = head + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"[" * 65536 + b"\r\n"
        elif kind % 8 < 4:
            head += b"Content-Length: 9000000000000\r\n\r\n"
        else:
            piece = b"X-More: " + b"x" * 1000 + b"\r\n"
        while not stop.is_set():
            client = connect(head)
            try:
                while not stop.is_set():
                    client.sendall(piece)
                    sent.append(len(piece))
            except OSError:
                client.close()

    floods = [threading.Thread(target=flood, args=(i,), daemon=True) for i in range(16)]
    for one in floods:
        one.start()
    time.sleep(6)
    w.lives(agent)
    stop.set()
    w.must(agent.is_ready(), "it is not ready")
    return f"posts and headers without end, of which it took {sum(sent) / 1e6:.0f} MB"


def wrong_tokens(w):
    """A web page posts without a token as fast as it can; the right one has to pass, every time."""
    agent = w.healthy()
    stop, wrong = threading.Event(), []

    def guess(token):
        while not stop.is_set():
            wrong.append(agent.post("hold", token=token, all=True)[0])

    guesses = ("", "x", PASS[:-1], PASS + "x")
    guessers = [threading.Thread(target=guess, args=(token,), daemon=True) for token in guesses]
    for guesser in guessers:
        guesser.start()
    time.sleep(3)
    right = [agent.post("hold", all=True, seconds=3600 + i) for i in range(5)]
    by_command = agent.run("hold", "--all", "--reason", "let me in", "--for", "3h")
    stop.set()
    for guesser in guessers:
        guesser.join(10)
    w.must(200 not in wrong, "a wrong token passed")
    passed = [status for status, _, took in right if status == 200 and took < 3]
    w.must(len(passed) == 5, f"the right token was refused: {[(s, text[:60]) for s, text, _ in right if s != 200][:2]}")
    w.must(by_command.returncode == 0, f"ringback hold: {by_command.stderr.strip()[-200:]}")
    w.lives(agent)
    w.must(len(agent.said()) < 1 << 20, f"its log has {len(agent.said()) >> 20} MB of refusals")
    return f"{len(wrong)} wrong tokens in some seconds, and {len(passed)} of 5 right ones beside them passed"


def foreign_hosts(w):
    """Requests whose Host is not the agent's, as a page sends them after rebinding its name to this machine."""
    agent = w.healthy(agent='public_url = "https://ringback.example.com"')
    body = b'{"all":true,"reason":"x","author":"x"}'

    def status(target, host, method=b"GET", more=b""):
        with socket.create_connection(("127.0.0.1", AGENT_PORT), timeout=5) as client:
            lines = b"%s %s HTTP/1.1\r\n" % (method, target) + b"".join(b"Host: %s\r\n" % h for h in host)
            client.sendall(lines + b"Connection: close\r\n" + more + b"\r\n" + (body if method == b"POST" else b""))
            answer = client.makefile("rb").readline().split()
        return int(answer[1]) if len(answer) > 1 else 0

    more = b"Content-Type: application/json\r\nAuthorization: Bearer %s\r\n" % PASS.encode()
    more += b"Content-Length: %d\r\n" % len(body)
    foreign = [b"evil.example", b"evil.example:9466", b"127.0.0.1.evil.example:9466", b"localhost.evil.example:9466",
               b"evil@evil.example:9466", b"10.0.0.1:9466", b"[2001:db8::1]:9466", b"127.0.0.1:9466@evil.example"]
    passed = []
    for host in foreign:
        for target in (b"/api/v1/status", b"/metrics", b"/api/v1/decisions"):
            if status(target, [host]) == 200:
                passed.append(f"GET {target.decode()} of {host.decode()}")
        if status(b"/api/v1/hold", [host], b"POST", more) == 200:
            passed.append(f"POST of {host.decode()}")
    if status(b"http://evil.example/api/v1/status", [b"127.0.0.1:9466"]) == 200:
        passed.append("GET http://evil.example/api/v1/status")
    if status(b"/api/v1/status", [b"127.0.0.1:9466", b"evil.example"]) == 200:
        passed.append("two Hosts")
    w.must(not passed, f"{len(passed)} passed: {passed[:4]}")
    for host in (b"127.0.0.1:9466", b"localhost:9466", b"127.0.0.1", b"LOCALHOST:9466", b"ringback.example.com"):
        w.must(status(b"/-/ready", [host]) == 200, f"{host.decode()} is refused, which is ours")
    w.lives(agent)
    return f"{len(foreign)} foreign names as Host: {len(passed)} requests passed"


def finished(agent, seconds=10):
    """Exit code, memory and what it said, of an agent that has to refuse by itself."""
    try:
        code = agent.process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        code = None
    return code, agent.peak, agent.said()


def refused(w, cases):
    """Each of the configurations is refused, in time, in little memory, and with a word."""
    w.with_twilio(some(1))

    def one(case):
        name, settings = case
        agent = Agent(w.ringback, w.folder / name.replace(" ", "-"), port=AGENT_PORT + cases.index(case), **settings)
        w.agents.append(agent)
        code, peak, said = finished(agent)
        if code is None:
            agent.process.kill()
            return f"{name}: it did not end within 10 s ({'it runs' if 'watching' in said else 'it hangs'}), {peak} MB"
        if code not in (2, 3) or peak > PEAK_MB or len(said) > 100_000:
            return f"{name}: ended with {code}, {peak} MB, {len(said)} characters: {said.strip()[-100:]}"
        return None

    with concurrent.futures.ThreadPoolExecutor(6) as many:
        wrong = [fault for fault in many.map(one, cases) if fault]
    for fault in wrong:
        w.must(False, fault)
    return f"{len(cases)} configurations, {len(cases) - len(wrong)} refused"


def endless_files(w):
    """/dev/zero, a FIFO that nobody writes to and 4 GB of nothing, as every file that a configuration names."""
    fifo, large, deep = w.folder / "fifo", w.folder / "large", w.folder / "config"
    os.mkfifo(fifo)
    with open(large, "wb") as file:
        file.truncate(4 << 30)
    deep.mkdir()
    one, no_token, no_auth_token, cases = {"numbers": some(1)}, {"RINGBACK_TOKEN": ""}, {"TWILIO_AUTH_TOKEN": ""}, []
    for path in ("/dev/zero", fifo, large):
        what = str(path).split("/")[-1]
        hook = f'[[notify]]\nname = "hook"\nkind = "slack"\nurl_file = "{path}"'
        cases += [
            (f"numbers {what}", {"numbers": str(path)}),
            (f"auth token {what}", {**one, "twilio": f'auth_token_file = "{path}"', "environment": no_auth_token}),
            (f"token {what}", {**one, "agent": f'token_file = "{path}"', "environment": no_token}),
            (f"slack {what}", {**one, "more": hook}),
        ]
    became = refused(w, cases)
    for path in ("/dev/zero", fifo, large):
        agent = w.agents[0]
        began = time.monotonic()
        try:
            done = subprocess.run(agent.command("run", "--config", path), env=agent.variables(), capture_output=True,
                                  timeout=10, stdin=subprocess.DEVNULL)
            w.must(done.returncode == 2, f"--config {path}: ended with {done.returncode}: {done.stderr[-100:]}")
        except subprocess.TimeoutExpired:
            w.must(False, f"--config {path}: it hangs for {time.monotonic() - began:.0f} s")
    return f"/dev/zero, FIFO and 4 GB: {became}, and three as the configuration itself"


def hostile_settings(w):
    """States that are in memory, addresses that lead elsewhere, secrets in the clear, tokens that can be guessed."""
    one = {"numbers": some(1)}
    token = w.folder / "token"
    token.write_text(PASS)
    token.chmod(0o644)
    readable = {"agent": f'token_file = "{token}"', "environment": {"RINGBACK_TOKEN": ""}}
    cases = [(f"state {n}", {**one, "agent": f'state = "{state}"'}) for n, state in enumerate((
        "sqlite::memory:", "sqlite:x.db?mode=memory", "sqlite:file:x.db?mode=memory&cache=shared",
        "sqlite:file::memory:", "sqlite:x.db?immutable=1", "sqlite:/dev/null",
    ))] + [(f"base {n}", {**one, "base": base}) for n, base in enumerate((
        "http://127.0.0.1:4010/#@evil.example", "http://evil.example:4010", "http://192.0.2.1",
        "http://u:p@127.0.0.1:4010", "http://127.0.0.1.evil.example:4010", "http://localhost.evil.example",
        "http://127.0.0.1:4010/?x=/..", "https://api.twilio.com@127.0.0.1:4010", "https://api.twilio.com:443@127.0.0.1/",
    ))]
    became = refused(w, cases)
    guessable = {"weak": "x", "common": "password", "repeated": "changeme-ChangeMe-changeme", "a number": some(1)[0]}
    tokens = [(name, {"environment": {"RINGBACK_TOKEN": said}}) for name, said in guessable.items()]
    for name, settings in (*tokens, ("readable", readable)):
        agent = w.agent(name, port=AGENT_PORT + 30, **one, **settings)
        finished(agent, 4)
        lines = [line for line in agent.said().splitlines() if "oken" in line]
        told = [line for line in lines if '"level":"WARN"' in line or not line.startswith("{")]
        w.must(told, f"a token that is {name} is neither refused nor warned of")
        agent.stop()
    return f"states in memory, addresses elsewhere, tokens that are weak: {became}"


def stranger_at_the_port(w):
    """Somebody else listens at the agent's port and believes everything; commands with the token come to him."""
    truth = {"done": "held", "is_as_asked": True, "orders": [], "lines": [], "is_staged": False, "activated": 1}
    stranger = HttpServer(AGENT_PORT, lambda r: Reply(200, {**truth, **r.query, "proof": "0" * 64}))
    w.with_twilio(some(1))
    agent = w.agent(numbers=some(1))
    code, _, said = finished(agent)
    w.must(code not in (None, 0), f"the agent itself ended with {code}: {said[-200:]}")
    ends = []
    for words in (["hold", "--all"], ["rollback", "--all", "--yes"], ["mode", "auto"], ["release", "--all"],
                  ["approve", "D1"], ["ported", "--all"], ["restore", "--all", "--yes"], ["status"]):
        reason = [] if words == ["status"] else ["--reason", "x"]
        ends.append(agent.run(*words, *reason, seconds=30).returncode)
    told = [r.target for r in stranger.asked if PASS in r.whole() or TOKEN in r.whole()]
    w.must(not told, f"a secret came to a stranger: {told[:3]}")
    w.must(0 not in ends[:-1], f"commands believed a stranger: {ends}")
    w.must(not w.twilio.writes(), "something was written")
    return f"8 commands to a stranger at the agent's port, {len(stranger.asked)} requests of theirs, without a secret"


def unread_log(w):
    """Nobody reads the agent's log any more: Ctrl-S in a terminal, a log driver that hangs."""
    agent = w.healthy(is_read=False)
    # Each is a line of the log, and a page holds twenty.
    held = [agent.post("hold", numbers=some(1), seconds=600 + i, reason="x" * 200)[0] for i in range(60)]
    w.must(held == [200] * 60, f"{held.count(200)} of 60 holds were answered while nobody reads the log")
    w.must(agent.post("release", all=True)[0] == 200, "a release is not answered")
    w.twilio.callers(some(5), True)
    w.must(w.until(25, lambda: len(w.twilio.swapped()) == 5), "the numbers were not swapped meanwhile")
    w.lives(agent)
    agent.process.terminate()
    w.must(w.until(20, lambda: not agent.is_alive()), "it does not end when it is asked to")
    return f"a log that nobody reads, and {len(w.twilio.swapped())} of 5 failing numbers were swapped"


def backups(w):
    """Others open the state with SQLite itself while the agent runs: a backup, a question, and they close it again."""
    agent = w.healthy()
    state = agent.folder / "ringback.db"
    copy = "a = sqlite3.connect(sys.argv[1]); b = sqlite3.connect(sys.argv[1] + '.copy'); a.backup(b)"
    ask = "print(sqlite3.connect(sys.argv[1]).execute('SELECT COUNT(*) FROM journal').fetchone())"
    for what in (copy, ask, copy):
        program = f"import sqlite3, sys; {what}"
        done = subprocess.run([sys.executable, "-c", program, state], capture_output=True, text=True, timeout=20)
        w.must(done.returncode == 0, f"the state cannot be read beside the agent: {done.stderr[-200:]}")
        time.sleep(3)
        w.lives(agent)
    w.must(agent.post("hold", all=True)[0] == 200, "a hold is refused")
    w.must(agent.is_ready(), "it is not ready")
    return "two backups and a question with SQLite's own library, and the agent goes on"


# The time of day, moved by as many seconds as a file has.
CLOCK = """
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *t) {
    static volatile long *moved;
    if (!moved) moved = mmap(0, 8, PROT_READ, MAP_SHARED, open(getenv("CLOCK_MOVED"), O_RDONLY), 0);
    int failed = syscall(SYS_clock_gettime, clock, t);
    if (clock == CLOCK_REALTIME) t->tv_sec += *moved;
    return failed;
}
"""


def moved_clock(w):
    """The machine's clock is set back by two hours under one agent, and forward under another; Twilio's is right."""
    source, library, numbers = w.folder / "clock.c", w.folder / "clock.so", some(8)
    source.write_text(CLOCK)
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-w", "-o", library, source], check=True)
    agents = {}

    def move(hours, by):
        with open(w.folder / f"moved{hours}", "r+b") as file:
            file.write(struct.pack("q", 3600 * by))

    for hours, theirs in ((-2, numbers[:4]), (2, numbers[4:])):
        moved = w.folder / f"moved{hours}"
        moved.write_bytes(struct.pack("q", 0))
        if not w.twilio:
            w.with_twilio(numbers).callers(numbers, False)
        agents[hours] = w.healthy(numbers=theirs, name=f"moved{hours}-agent", port=AGENT_PORT + hours, environment={
            "LD_PRELOAD": str(library), "CLOCK_MOVED": str(moved)})
    for hours in agents:
        move(hours, hours)
    time.sleep(12)
    w.twilio.callers(numbers, True)
    for hours, agent in agents.items():
        # It may know better what time it is, and act on that. What it may not is to know nothing, and say nothing.
        theirs = set(numbers[:4] if hours < 0 else numbers[4:])
        sees = lambda: agent.is_blind() or theirs <= set(w.twilio.swapped())
        w.must(w.until(20, sees), f"{hours:+} hours: ready while callers fail, and does nothing")
        w.must(w.until(3, lambda: "healthy" not in agent.verdicts()), f"{hours:+} hours: it says HEALTHY")
        move(hours, 0)
    for hours, agent in agents.items():
        w.must(w.until(30, agent.is_ready), f"{hours:+} hours, and back: it does not see again")
        w.must(agent.post("hold", all=True)[0] == 200, f"{hours:+} hours: a hold is refused")
        w.lives(agent)
    return f"two hours back, and two hours ahead; {len(w.twilio.swapped())} of 8 failing numbers were swapped"


ATTACKS = [
    moved_clock, deaf_clients, half_requests, endless_requests, endless_files, hostile_settings, stranger_at_the_port,
    wrong_tokens, foreign_hosts, unread_log, backups,
]
