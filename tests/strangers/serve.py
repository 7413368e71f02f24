"""For the strangers that are written in Python: a pretend Twilio and an agent, each a process of its own, ended
with the block that it serves. What they need is waited for by looking, and missed with a word after a limit.
"""

import contextlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import urllib.request


def until(seconds, wanted, look, said=lambda: ""):
    """What `look` gives as soon as it gives something."""
    end = time.monotonic() + seconds
    while not (seen := look()):
        if time.monotonic() > end:
            sys.exit(f"FAILED: {wanted} within {seconds} s\n{said()}")
        time.sleep(0.1)
    return seen


def get(url):
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.read().decode()


class Served:
    """A process that writes a log."""

    def __init__(self, command, log, environment):
        self.log = pathlib.Path(log)
        with open(log, "w") as file:
            self.process = subprocess.Popen(command, stdout=file, stderr=file, env={**os.environ, **environment})

    def said(self):
        return self.log.read_text()

    def finds(self, pattern, seconds=30):
        """The first group of the pattern in the log, once it is there."""
        def look():
            if self.process.poll() is not None:
                sys.exit(f"FAILED: it ended with {self.process.returncode}:\n{self.said()}")
            return re.search(pattern, self.said())
        return until(seconds, f"no {pattern}", look, self.said)[1]

    def stop(self):
        """Its exit code, asked to end."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(timeout=30)


@contextlib.contextmanager
def served(command, name, **environment):
    with tempfile.TemporaryDirectory() as folder:
        process = Served(command, f"{folder}/{name}.log", environment)
        try:
            yield process
        finally:
            process.stop()


class Twilio:
    """The simulator: its address, its account, and what only a simulator can be asked."""

    def __init__(self, process):
        # The last line that it says.
        process.finds("(/_sim/truth)")
        self.base = process.finds(r"(http://127\.0\.0\.1:\d+)")
        self.account = process.finds("(AC[0-9a-f]{32})")
        self.token = process.finds(r"TWILIO_AUTH_TOKEN=(\w+)")

    def look(self, what):
        return json.loads(get(f"{self.base}/_sim/{what}"))

    def control(self, what, body):
        with urllib.request.urlopen(f"{self.base}/_sim/{what}", data=json.dumps(body).encode(), timeout=60) as answer:
            return json.load(answer)


@contextlib.contextmanager
def simulator(ringback, *more):
    with served([ringback, "sim", "--listen", "127.0.0.1:0", *more], "sim") as process:
        yield Twilio(process)


@contextlib.contextmanager
def agent(ringback, twilio, config, **environment):
    """An agent of this configuration, before `twilio`, once it watches; its address is `url`."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "ringback.toml"
        path.write_text(f'[twilio]\naccount_sid = "{twilio.account}"\nbase_url = "{twilio.base}"\n{config}')
        with served([ringback, "run", "--config", path], "run", TWILIO_AUTH_TOKEN=twilio.token, **environment) as process:
            process.url = process.finds(r'watching; metrics at (http://127\.0\.0\.1:\d+)/')
            yield process
