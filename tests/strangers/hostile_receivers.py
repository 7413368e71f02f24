"""Attacks by those who are told: receivers of notices that answer without end, commands that do not end or say too
much; and by texts that are meant for them: secrets in addresses, an audit log that writes to terminals.
"""

import email
import email.policy
import json
import os
import pathlib
import time

from hostile_agent import PASS, some
from hostile_answers import MB, is_list
from hostile_twilio import APP, TOKEN, HttpServer, Listener, Reply, chunked, iso

HOOK_PORT, MAIL_PORT = 4012, 4025
HOOK = f"http://127.0.0.1:{HOOK_PORT}"
# One of each kind that posts to an address.
POSTS = f"""
[[notify]]
name = "hook"
kind = "webhook"
url  = "{HOOK}/hook"
[[notify]]
name = "manager"
kind = "alertmanager"
url  = "{HOOK}/manager"
[[notify]]
name    = "duty"
kind    = "pagerduty"
url     = "{HOOK}/duty"
key_env = "DUTY_KEY"
[[notify]]
name    = "genie"
kind    = "opsgenie"
url     = "{HOOK}/genie"
key_env = "DUTY_KEY"
[[notify]]
name    = "slack"
kind    = "slack"
url_env = "SLACK"
[[notify]]
name    = "teams"
kind    = "teams"
url_env = "SLACK"
"""
MAIL = f"""
[[notify]]
name = "mail"
kind = "email"
url  = "smtp://127.0.0.1:{MAIL_PORT}"
from = "ringback@example.com"
to   = ["ops@example.com"]
"""
HEARTBEAT = f'[heartbeat]\nurl = "{HOOK}/heartbeat"\nevery = "10s"\n'
ENVIRONMENT = {"DUTY_KEY": "a-key-of-duty-0123456789", "SLACK": f"{HOOK}/slack"}


def command(script, more='timeout = "3s"'):
    return f'\n[[notify]]\nname = "command"\nkind = "command"\nargv = ["sh", "-c", {json.dumps(script)}]\n{more}\n'


def processes(*name):
    """The command lines on this machine, which is ours alone."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
            except OSError:
                continue
            if line[:len(name)] == list(name):
                found.append(int(entry.name))
    return found


def seconds_of_work(agent):
    """How long a core has worked for the agent."""
    fields = pathlib.Path(f"/proc/{agent.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def endless_receivers(w):
    """Webhook, Alertmanager, PagerDuty, Opsgenie, Slack, Teams, heartbeat and a fallback answer without end."""
    turn = iter(range(10**6))

    def forever(head, piece):
        yield head
        while True:
            yield piece

    def endless(_):
        head = b"HTTP/1.1 %d So\r\nContent-Type: text/plain\r\n" % (200, 500, 429)[(n := next(turn)) % 3]
        return (
            forever(head + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"x" * 65536 + b"\r\n"),
            forever(head + b"\r\n", b"x" * 65536),
            forever(head, b"X-More: " + b"x" * 4096 + b"\r\n"),
        )[n // 3 % 3]

    hook = HttpServer(HOOK_PORT, endless)
    agent = w.healthy(5, more=POSTS + HEARTBEAT, environment=ENVIRONMENT)
    w.twilio.callers(some(5), True)
    w.until(20, lambda: len(w.twilio.swapped()) == 5)
    time.sleep(15)
    w.must(len(w.twilio.swapped()) == 5, "the numbers were not swapped")
    w.lives(agent)
    per_request = hook.served / max(1, len(hook.asked)) / 1e6
    w.must(per_request <= 8, f"each answer was read for {per_request:.0f} MB")
    return f"{len(hook.asked)} notices and heartbeats answered without end, {hook.served / 1e6:.0f} MB taken"


def endless_interim(w):
    """Receivers that answer `100 Continue` without end: their requests' own time ends them, and nothing stands still."""

    def forever():
        while True:
            yield b"HTTP/1.1 100 Continue\r\n\r\n" * 2000

    hook = HttpServer(HOOK_PORT, lambda _: forever())
    agent = w.healthy(5, more=POSTS + HEARTBEAT, environment=ENVIRONMENT)
    w.twilio.callers(some(5), True)
    w.until(20, lambda: len(w.twilio.swapped()) == 5)
    before = seconds_of_work(agent)
    time.sleep(15)
    worked = seconds_of_work(agent) - before
    w.must(len(w.twilio.swapped()) == 5, "the numbers were not swapped")
    w.lives(agent)
    return f"{len(hook.asked)} notices answered by interim answers, {worked:.0f} of 15 s of a core"


def one_bad_notifier(w):
    """Receivers that take the connection and say nothing, answer 500, rubbish or 429, or are not there; one is well."""
    heard, turn = w.folder / "heard", iter(range(10**6))

    def silent():
        time.sleep(600)
        yield b""

    def answer(request):
        kinds = {"/hook": silent, "/slack": lambda: Reply(500, b"x" * 100_000), "/duty": lambda: iter([b"rubbish\r\n"])}
        return kinds.get(request.path, lambda: Reply(429, b"", {"Retry-After": str(10**12 + next(turn))}))()

    HttpServer(HOOK_PORT, answer)
    more = POSTS + MAIL + HEARTBEAT + command(f"cat >>{heard}; echo >>{heard}")
    agent = w.healthy(5, more=more, environment=ENVIRONMENT)
    w.twilio.callers(some(5), True)
    w.must(w.until(20, lambda: len(w.twilio.swapped()) == 5), "the numbers were not swapped")
    w.must(w.until(10, lambda: heard.exists() and heard.read_text().strip()), "the one that is well was not told")
    w.lives(agent)
    began = time.monotonic()
    w.must(agent.stop() == 0 and time.monotonic() - began < 15, "bad notifiers hold up its end")
    return "seven notifiers that are silent, broken or away, and one that is well, which was told"


def endless_probe(w):
    """Commands of external origins that say `y` for ever, on either stream, and leave grandchildren."""
    origin = '[[group.probe.external]]\ncommand = ["sh", "-c", "sleep 601 & exec yes%s"]\ntimeout = "5s"\n'
    pace = '[probes]\ncalls_per_second = 10\n[group.probe]\nevery = "10s"\npassive_every = "10s"\nfails_for = "0s"\n'
    agent = w.healthy(5, more=pace + origin % "" + origin % " >&2")
    attempts = 'ringback_probe_attempts_total{group="support"'
    w.must(w.until(20, lambda: agent.metric(attempts) >= 3), "no test call was placed")
    time.sleep(8)
    w.lives(agent)
    left = len(processes("sleep", "601"))
    w.must(left <= 4, f"{left} grandchildren go on after their commands")
    made = agent.metric(attempts)
    agent.stop()
    w.must(w.until(5, lambda: not processes("yes") and not processes("sleep", "601")), "its children go on without it")
    return f"{made:.0f} test calls by commands that say y for ever"


def endless_fallback(w):
    """The fallback, asked for its TwiML, answers without end, and with a TwiML of a million verbs."""
    turn = iter(range(10**6))

    def endless():
        while True:
            yield b"<Say>" * 10_000

    entities = b"".join(b"<!ENTITY a%d '&a%d;&a%d;'>" % (i, i - 1, i - 1) for i in range(1, 30))
    documents = (
        b"<Response>" + b"<Gather>" * (3 * MB),
        b"<!DOCTYPE r [<!ENTITY a0 'aaaa'>" + entities + b"]><Response><Say>&a29;</Say></Response>",
    )

    def answer(request):
        if "/twiml/" not in request.target:
            return None
        n = next(turn) % 3
        return Reply(200, documents[n], {"Content-Type": "text/xml"}) if n < 2 else chunked(endless())

    numbers = some(12)
    w.with_twilio(numbers).callers(numbers, False)
    w.twilio.deforms.append(answer)
    agent = w.healthy(12, numbers=numbers)
    time.sleep(5)
    agent.stop()
    agent.start()
    w.until(15, agent.is_ready)
    w.twilio.callers(numbers, True)
    time.sleep(8)
    w.must(not w.twilio.writes(), "it swapped to a fallback that answers nonsense")
    w.lives(agent)
    return "a fallback of <Say><Say>… without end, of 24 MB, and of entities in entities"


def endless_greeting(w):
    """Mail servers whose greeting never ends: one line, ever more lines, and lines with nothing in them."""
    turn = iter(range(10**6))

    def greet(connection):
        piece = (b"220-" + b"x" * 65536, b"220-welcome\r\n" * 5000, b"220-\r\n" * 10000)[next(turn) % 3]
        while True:
            mail.send(connection, piece)

    mail = Listener(MAIL_PORT, greet)
    agent = w.healthy(5, more=MAIL)
    w.twilio.callers(some(5), True)
    w.until(8, lambda: mail.connections >= 2)
    before = seconds_of_work(agent)
    time.sleep(12)
    worked = seconds_of_work(agent) - before
    w.must(worked < 6, f"a core was busy for {worked:.1f} of 12 s")
    w.must(len(w.twilio.swapped()) == 5, "the numbers were not swapped")
    w.must(mail.connections > 0, "no mail was tried")
    w.lives(agent)
    return f"{mail.connections} greetings without end, {mail.served / 1e6:.0f} MB taken"


def endless_stderr(w):
    """A notifier's command that says `y` on its error stream for ever."""
    agent = w.healthy(5, more=command("exec yes >&2"))
    w.twilio.callers(some(5), True)
    w.must(w.until(20, lambda: processes("yes")), "the command was not run")
    time.sleep(12)
    w.must(len(w.twilio.swapped()) == 5, "the numbers were not swapped")
    w.lives(agent)
    w.must(len(processes("yes")) <= 2, f"{len(processes('yes'))} of them run")
    agent.stop()
    w.must(w.until(5, lambda: not processes("yes")), "it goes on when the agent has ended")
    return "a command that says y for ever"


def grandchildren(w):
    """A notifier's command ends well and leaves a grandchild that holds its pipes."""
    heard = w.folder / "heard"
    agent = w.healthy(5, more=command(f"cat >>{heard}; echo >>{heard}; sleep 600 & exit 0"))
    w.twilio.callers(some(5), True)
    w.must(w.until(20, heard.exists), "the command was not run")
    time.sleep(20)
    notices = [json.loads(line) for line in heard.read_text().splitlines() if line.strip()]
    ids = [(n["key"], n["kind"], n["status"], json.dumps(n["at"])) for n in notices]
    again = len(ids) - len(set(ids))
    w.must(not again, f"{again} of {len(ids)} notices were given again although the command had ended with 0")
    delivered = agent.metric('ringback_notifications_total{notifier="command",result="success"}')
    w.must(delivered >= 1, f"none counts as delivered: {agent.metric('ringback_notifications_total')} in all")
    left = len(processes("sleep", "600"))
    w.must(left <= 1, f"{left} grandchildren go on after their commands")
    w.lives(agent)
    agent.stop()
    w.must(w.until(5, lambda: not processes("sleep", "600")), f"{len(processes('sleep', '600'))} go on after the agent")
    return f"{len(ids)} runs of a command that leaves a grandchild with its pipes"


def daemons(w):
    """A notifier's command leaves a daemon: in a session of its own, twice removed, deaf to signals."""
    heard = w.folder / "heard"
    daemon = "(setsid sh -c 'trap \"\" TERM HUP INT; setsid sleep 666 & exec sleep 777' &)"
    agent = w.healthy(5, more=command(f"cat >>{heard}; {daemon}; sleep 0.3; exit 0"))
    w.twilio.callers(some(5), True)
    w.must(w.until(20, heard.exists), "the command was not run")
    time.sleep(10)
    left = len(processes("sleep", "666")) + len(processes("sleep", "777"))
    w.must(left <= 2, f"{left} daemons go on after their commands")
    w.lives(agent)
    agent.stop()
    gone = lambda: not processes("sleep", "666") and not processes("sleep", "777")
    w.must(w.until(5, gone), "daemons go on after the agent")
    return "a command that leaves daemons in sessions of their own"


class Mailbox(Listener):
    """An honest mail server."""

    def __init__(self, port):
        self.mails = []
        super().__init__(port, self.speak)

    def speak(self, connection):
        stream = connection.makefile("rb")
        self.send(connection, b"220 here\r\n")
        while (line := stream.readline()):
            if line[:4].upper() == b"DATA":
                self.send(connection, b"354 go on\r\n")
                mail = b""
                while (line := stream.readline()) not in (b".\r\n", b""):
                    mail += line
                read = email.message_from_bytes(mail, policy=email.policy.default)
                self.mails.append(f"{read['Subject']}\n{read.get_body().get_content()}")
            self.send(connection, b"221 bye\r\n" if line[:4].upper() == b"QUIT" else b"250 fine\r\n")


def told(shown, agent, *words):
    """Notes what a command says on the terminal."""
    done = agent.run(*words)
    shown[" ".join(("ringback", *words))] = done.stdout + done.stderr


def drift(w, before, after, actor):
    """A change while no agent ran, a swap, another change under it, a refused restore: whatever was said of it all, by
    place.
    """
    numbers, heard = some(3), w.folder / "heard"
    hook, mail = HttpServer(HOOK_PORT, lambda _: Reply(200, {"status": "success", "ok": True})), Mailbox(MAIL_PORT)
    twilio = w.with_twilio(numbers)
    twilio.callers(numbers, False)
    for number in twilio.numbers.values():
        number["voice_url"] = before
    more = POSTS + MAIL + command(f"cat >>{heard}; echo >>{heard}")
    agent = w.healthy(3, numbers=numbers, more=more, environment=ENVIRONMENT)
    agent.stop()
    first = next(iter(twilio.numbers.values()))
    first.update({"voice_url": after, "voice_fallback_url": after + "&fallback", "status_callback": after + "&cb"})
    first["friendly_name"] = actor
    twilio.events = [
        {"resource_sid": first["sid"], "account_sid": first["account_sid"], "event_date": iso(time.time()),
         **dict.fromkeys(("actor_type", "actor_sid", "source", "event_type", "description"), actor)}
    ]
    agent.start()
    w.must(w.until(20, lambda: "somebody else changed" in agent.said()), "the change was not said")
    twilio.callers(numbers, True)
    # As alerts have it, with what a handler's address may hold.
    twilio.alerts = [alert | {"request_url": after, "alert_text": actor} for alert in twilio.alerts]
    if not w.until(12, lambda: len(twilio.swapped()) == 3):
        agent.post("rollback", 20, all=True)
        w.until(10, lambda: len(twilio.swapped()) == 3)
    for number in twilio.numbers.values():
        number["voice_url"] = after + "&later"
    shown = {}
    told(shown, agent, "restore", "--all", "--reason", "x", "--yes")
    agent.post("restore", 20, all=True, author="test")
    time.sleep(3)
    # What Twilio says of its errors is told as well.
    def refuse(request):
        if is_list(request, "Calls"):
            problem = {"code": 20001, "message": actor + after, "status": 400}
            return Reply(400, problem, {"Twilio-Request-Id": "RQ" + "7" * 5000})
        if "/v2/PhoneNumbers/" in request.path:
            return Reply(200, {"voice_region": actor, "phone_number": None})
        return None

    twilio.deforms.append(refuse)
    w.until(10, lambda: "cannot read this log" in agent.said())
    time.sleep(2)
    w.must(agent.is_alive(), f"it died: {agent.said()[-300:]}")
    shown["log"] = agent.said()
    for page in ("/metrics", "/api/v1/status", "/api/v1/numbers", "/api/v1/decisions", "/-/ready"):
        shown[page] = agent.get(page)[1]
    for order in ("D1", "D2", "D3"):
        shown[f"decision {order}"] = agent.get(f"/api/v1/decisions/{order}")[1]
        shown[f"order {order}"] = agent.get(f"/api/v1/orders/{order}")[1]
    for words in ("status", "status --json", "explain D1", "explain D2", "explain D2 --json", "notify --log"):
        told(shown, agent, *words.split())
    for request in hook.asked:
        shown[request.path] = shown.get(request.path, "") + request.body.decode("utf-8", "replace") + "\n"
    shown["command"] = heard.read_text(errors="replace") if heard.exists() else ""
    shown["mail"] = "\n".join(mail.mails)
    w.must(shown["command"] and shown["mail"] and shown.get("/hook"), f"nobody was told: {sorted(shown)}")
    w.lives(agent)
    return shown


def secrets_in_addresses(w):
    """Handlers https://user:password@host/path?token=… and ordinary changes of them."""
    before = "https://ringer:hunter2pass@app.example.com/voice?token=s3cr3ttoken&x=1"
    after = "https://other:hunter3pass@new.example.com/voice/s3cr3tpath?key=t0ps3cr3t#s3cr3tend"
    shown = drift(w, before, after, "user US1")
    secrets = ["hunter2pass", "hunter3pass", "s3cr3ttoken", "t0ps3cr3t", "s3cr3tend", TOKEN, PASS]
    secrets.append(ENVIRONMENT["DUTY_KEY"])
    own = {"/duty": [ENVIRONMENT["DUTY_KEY"]]}
    leaks = {place: [s for s in secrets if s in text and s not in own.get(place, [])] for place, text in shown.items()}
    leaks = {place: found for place, found in leaks.items() if found}
    w.must(not leaks, f"secrets are in {leaks}")
    return f"addresses with passwords and tokens, looked for in {len(shown)} places"


def audit_log(w):
    """Texts from Twilio and its audit log of 100 KB, with line breaks, ESC, OSC, C1 and bidirectional signs."""
    signs = "\x1b\x07\x08\x00\x9b\x85\u202e\u2066\u200f\u2028"
    actor = f"US1\x1b]0;owned\x07\x1b[2J\r\nFORGED\n{signs}31m [x](http://evil) <!channel> {'A' * 100_000}"
    shown = drift(w, APP, "https://new.example.com/voice?x=1", actor)
    wrong = {}
    for place, text in shown.items():
        # What is inside of JSON reaches a terminal, too.
        for sign in signs:
            escaped = json.dumps(sign)[1:-1]
            is_raw = sign in text
            is_in_json = escaped.startswith("\\u") and escaped in text.lower()
            if is_raw or is_in_json:
                wrong.setdefault(place, set()).add(escaped)
        if "A" * 5000 in text:
            wrong.setdefault(place, set()).add(f"{text.count('A' * 5000) * 5} KB of text")
        if any(line.startswith("FORGED") for line in text.splitlines()):
            wrong.setdefault(place, set()).add("forged lines")
    w.must(not wrong, f"{ {place: sorted(found) for place, found in wrong.items()} }")
    return f"actors, names and messages of 100 KB that write to terminals, looked for in {len(shown)} places"


ATTACKS = [
    secrets_in_addresses, audit_log, endless_receivers, endless_interim, grandchildren, daemons, one_bad_notifier, endless_probe,
    endless_fallback, endless_greeting, endless_stderr,
]
