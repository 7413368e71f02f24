"""For hostile.py: what an attack finds inside its namespace. A hostile Twilio, agents with a limited address space,
and the judge, who says what of an attack has succeeded.
"""

import fcntl
import json
import os
import pathlib
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request

from hostile_twilio import ACCOUNT, BIN, TOKEN, Twilio

# An honest agent has 360 MB of address space (stacks of threads, reserves of the allocator) and 25 MB of memory with
# five numbers. 512 MB is what is promised, and leaves 150 MB for what others send.
ADDRESS_SPACE_MB = 512
# Ten times what is honest: eight of the largest bodies at once. What takes more has no bound but the limit above.
PEAK_MB = 256
# How long anybody may wait for the agent's face, on a machine with other work to do.
FACE_S = 5
BASE, TWILIO_PORT, OTHER_PORT, AGENT_PORT = "http://127.0.0.1:4010", 4010, 4011, 9466
# The operator's.
PASS = "Zk3v9QhT7nXw2LpR8bYd5MfC1sGj6aWe"

CONFIG = """
[twilio]
account_sid = "{account}"
base_url    = "{base}"
timeout     = "{timeout}"
{twilio}
[agent]
mode   = "auto"
listen = "127.0.0.1:{port}"
{agent}
[poll]
active      = "1s"
passive     = "1s"
full        = "1s"
settle      = "5s"
blind_after = "5s"
[[group]]
name     = "support"
channels = ["{channel}"]
{numbers}
[group.fallback]
voice_url = "{fallback}"
sms_url   = "{fallback}"
{more}
"""


def some(n):
    return [f"+1500555{1000 + i}" for i in range(n)]


def ask(url, seconds=FACE_S, headers=(), body=None):
    """Status, text and how long it took; status 0 is no answer."""
    began = time.monotonic()
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **dict(headers)})
    try:
        with urllib.request.urlopen(request, timeout=seconds) as answer:
            status, text = answer.status, answer.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read().decode("utf-8", "replace")
    except OSError as error:
        status, text = 0, str(error)
    return status, text, time.monotonic() - began


class Agent:
    """The whole binary in a folder, with `ulimit -v`, watched from the outside all the time."""

    def __init__(self, ringback, folder, port=AGENT_PORT, environment=(), files=None, is_read=True, **config):
        self.ringback, self.folder, self.port = ringback, pathlib.Path(folder), port
        self.folder.mkdir(exist_ok=True)
        self.config, self.log = self.folder / "ringback.toml", self.folder / f"log.{port}"
        numbers = config.pop("numbers")
        # Or the name of a file.
        key = "numbers" if isinstance(numbers, list) else "numbers_file"
        values = {"twilio": "", "agent": "", "more": "", "fallback": BIN, "base": BASE, "account": ACCOUNT,
                  "port": port, "timeout": "2s", "channel": "voice", "numbers": f"{key} = {json.dumps(numbers)}"}
        self.config.write_text(CONFIG.format(**{**values, **config}))
        self.environment = {"TWILIO_AUTH_TOKEN": TOKEN, "RINGBACK_TOKEN": PASS, **dict(environment)}
        self.is_read = is_read
        self.files = f"ulimit -n {files};" if files else ""
        self.peak, self.worst, self.readiness = 0, 0.0, []
        self.start()

    def command(self, *arguments):
        limited = f'ulimit -v {ADDRESS_SPACE_MB * 1024}; {self.files} exec "$@"'
        return ["bash", "-c", limited, "limited", self.ringback, *map(str, arguments)]

    def variables(self):
        return {**os.environ, **self.environment}

    def start(self):
        with open(self.log, "a") if self.is_read else self.pipe() as log:
            self.process = subprocess.Popen(
                self.command("run", "--config", self.config), env=self.variables(), stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, cwd=self.folder)
        threading.Thread(target=self.watch_memory, args=(self.process,), daemon=True).start()
        threading.Thread(target=self.watch_face, args=(self.process,), daemon=True).start()

    def pipe(self):
        """A log of one page, which nobody reads."""
        self.unread, log = os.pipe()
        fcntl.fcntl(log, fcntl.F_SETPIPE_SZ, 4096)
        return os.fdopen(log, "wb")

    def run(self, *arguments, seconds=60, **variables):
        """Another command of the same configuration, to its end."""
        return subprocess.run(
            self.command(*arguments, "--config", self.config), env={**self.variables(), **variables}, text=True,
            errors="replace", capture_output=True, timeout=seconds, cwd=self.folder, stdin=subprocess.DEVNULL)

    def watch_memory(self, process):
        while process.poll() is None:
            try:
                lines = pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines()
                self.peak = max([self.peak] + [int(l.split()[1]) // 1024 for l in lines if l.startswith("VmHWM")])
            except (OSError, ValueError):
                pass
            time.sleep(0.05)

    def watch_face(self, process):
        has_answered = False
        while process.poll() is None:
            status, _, took = ask(f"{self.url}/-/ready", 30)
            has_answered |= status != 0
            if has_answered and process.poll() is None:
                self.worst = max(self.worst, took)
                self.readiness.append((time.monotonic(), status))
            time.sleep(0.2)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def said(self):
        return self.log.read_text(errors="replace") if self.is_read else "(nobody reads its log)"

    def is_alive(self):
        return self.process.poll() is None

    def is_ready(self):
        return ask(f"{self.url}/-/ready")[0] == 200

    def is_blind(self):
        return ask(f"{self.url}/-/ready")[0] == 503

    def get(self, path, seconds=FACE_S, **headers):
        return ask(self.url + path, seconds, headers)

    def post(self, verb, within=FACE_S, token=PASS, **body):
        return ask(f"{self.url}/api/v1/{verb}", within, {"Authorization": f"Bearer {token}"},
                   {"reason": "hostile", "author": "test", **body})

    def channels(self):
        """Number and its voice channel, as the status has them."""
        text = self.get("/api/v1/status", 20)[1]
        try:
            return {n["number"]: n["channels"][0] for g in json.loads(text)["groups"] for n in g["numbers"]}
        except (ValueError, KeyError):
            return {}

    def verdicts(self):
        return {channel["verdict"] for channel in self.channels().values()}

    def metric(self, name):
        """The sum of the samples whose name and labels begin so."""
        lines = self.get("/metrics", 20)[1].splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))

    def stop(self):
        if self.is_alive():
            self.process.terminate()
        try:
            return self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


class World:
    """One attack's own machine, with a judge: `must` notes what has succeeded and should not have."""

    def __init__(self, ringback):
        self.ringback, self.faults, self.agents, self.twilio = ringback, [], [], None
        self.temporary = tempfile.TemporaryDirectory(prefix="hostile-")
        self.folder = pathlib.Path(self.temporary.name)

    def with_twilio(self, numbers):
        self.twilio = Twilio(TWILIO_PORT, numbers)
        return self.twilio

    def agent(self, name="agent", **settings):
        agent = Agent(self.ringback, self.folder / name, **settings)
        self.agents.append(agent)
        return agent

    def healthy(self, n=5, numbers=None, name="agent", **settings):
        """An agent with numbers whose callers are all served, once it is ready and says so."""
        numbers = numbers or some(n)
        if not self.twilio:
            self.with_twilio(numbers).callers(numbers[:20], False)
        agent = self.agent(name, numbers=numbers, **settings)
        is_well = self.until(30, lambda: agent.is_ready() and "healthy" in agent.verdicts())
        self.must(is_well, f"an honest beginning was not healthy: {agent.said()[-2000:]}")
        return agent

    def must(self, is_so, otherwise):
        if not is_so:
            self.faults.append(otherwise)
        return is_so

    @staticmethod
    def until(seconds, look):
        end = time.monotonic() + seconds
        while not (seen := look()):
            if time.monotonic() > end:
                return seen
            time.sleep(0.1)
        return seen

    def lives(self, agent, peak=PEAK_MB):
        """The agent is there, answers whoever asks, and has not grown."""
        if not agent.is_alive():
            why = [line for line in agent.said().splitlines() if "panicked" in line or "memory alloc" in line]
            why = why or [line for line in agent.said().splitlines() if line]
            return self.must(False, f"it DIED with {agent.process.returncode}: {' '.join(why[-1:])}"[:300])
        ready, _, took = agent.get("/-/ready")
        metrics = agent.get("/metrics")[0]
        self.must(ready in (200, 503), f"/-/ready does not answer within {FACE_S} s")
        self.must(metrics == 200, f"/metrics does not answer within {FACE_S} s: {metrics}")
        self.must(max(agent.worst, took) <= FACE_S, f"its face stood still for {agent.worst:.1f} s")
        return self.must(agent.peak <= peak, f"it took {agent.peak} MB")

    def blind(self, agent, seconds=15):
        """It says that it cannot see, within this time, and of no number that it is well."""
        is_said = self.until(seconds, lambda: not agent.is_alive() or agent.is_blind())
        if agent.is_alive():
            self.must(is_said, "it stays READY while it cannot see")
            self.must(self.until(3, lambda: "healthy" not in agent.verdicts()), "it says HEALTHY while it cannot see")

    def recovers(self, agent, seconds=30):
        """With an honest Twilio again."""
        self.twilio.deforms.clear()
        if agent.is_alive():
            self.must(self.until(seconds, agent.is_ready), "it does not see again when Twilio is honest")

    def figures(self):
        """What everybody wants to know of any attack."""
        peak = max([a.peak for a in self.agents], default=0)
        ends = ["alive" if a.is_alive() else f"ended {a.process.poll()}" for a in self.agents]
        asked, served = (len(self.twilio.asked), self.twilio.served / 1e6) if self.twilio else (0, 0)
        return f"{'/'.join(sorted(set(ends))) or 'no agent'}, peak {peak} MB, {asked} requests, {served:.1f} MB served"

    def end(self):
        for agent in self.agents:
            if agent.is_alive():
                agent.process.kill()
                agent.process.wait()
        self.temporary.cleanup()
