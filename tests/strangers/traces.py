#!/usr/bin/env python3
"""An OTLP collector of a few lines takes the agent's traces, from a build with the feature `otel`.

    traces.py RINGBACK

Starts the simulator and the agent with OTEL_EXPORTER_OTLP_ENDPOINT, stops the agent, and looks for its spans in
what arrived; no secret and no caller's number may be among them.
"""
import http.server
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

ringback = os.path.abspath(sys.argv[1])
taken = []


class Collector(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        taken.append((self.path, self.headers["Content-Type"], self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


collector = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
threading.Thread(target=collector.serve_forever, daemon=True).start()

with tempfile.TemporaryDirectory() as work:
    log = open(f"{work}/sim.log", "w+")
    sim = subprocess.Popen([ringback, "sim", "--listen", "127.0.0.1:0"], stdout=log, stderr=subprocess.STDOUT)
    try:
        for _ in range(300):
            text = open(f"{work}/sim.log").read()
            if "/_sim/truth" in text:
                break
            time.sleep(0.1)
        base = re.search(r"http://127[0-9.:]*", text).group()
        account = re.search(r"AC[0-9a-f]{32}", text).group()
        token = re.search(r"(?i)auth[_ ]token\W+([0-9a-f]{32})", text).group(1)
        with open(f"{work}/ringback.toml", "w") as f:
            f.write(
                f'[twilio]\naccount_sid = "{account}"\nbase_url = "{base}"\n'
                '[agent]\nlisten = "127.0.0.1:0"\nstate = "sqlite:state.db"\n[poll]\nactive = "1s"\n'
                '[[group]]\nname = "support"\nnumbers = ["+15005550100"]\nchannels = ["voice"]\n'
            )
        environment = dict(
            os.environ,
            TWILIO_AUTH_TOKEN=token,
            OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{collector.server_port}",
        )
        agent = subprocess.Popen(
            [ringback, "run", "--config", f"{work}/ringback.toml"], env=environment, stderr=subprocess.PIPE, text=True
        )
        time.sleep(8)
        agent.send_signal(signal.SIGTERM)
        _, said = agent.communicate(timeout=30)
    finally:
        sim.kill()

if agent.returncode != 0:
    sys.exit(f"FAILED: the agent ended with {agent.returncode}: {said}")
if not taken:
    sys.exit(f"FAILED: no traces arrived: {said}")
body = b"".join(body for _, _, body in taken)
for path, kind, _ in taken:
    if (path, kind) != ("/v1/traces", "application/x-protobuf"):
        sys.exit(f"FAILED: {path} {kind} is not OTLP over HTTP")
for name in [b"poll", b"send", b"endpoint", b"calls", b"alerts", b"numbers"]:
    if name not in body:
        sys.exit(f"FAILED: no {name.decode()} among the traces")
if token.encode() in body or re.search(rb"\+1(?!500555)[0-9]{10}", body):
    sys.exit("FAILED: a secret or a caller's number is among the traces")
print(f"{len(taken)} batches, {body.count(b'poll')} polls traced; no secret and no caller among them")
