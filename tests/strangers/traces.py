#!/usr/bin/env python3
"""An OTLP collector of a few lines takes the agent's traces, from a build with the feature `otel`.

    traces.py RINGBACK

Starts the simulator and the agent with OTEL_EXPORTER_OTLP_ENDPOINT, and stops the agent once its spans have
arrived; no secret and no caller's number may be among them.
"""
import http.server
import re
import sys
import threading

from serve import agent, simulator, until

ringback = sys.argv[1]
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

WANTED = [b"poll", b"send", b"endpoint", b"calls", b"alerts", b"numbers"]
CONFIG = """
[agent]
listen = "127.0.0.1:0"
[poll]
active = "1s"
[[group]]
name     = "support"
numbers  = ["+15005550100"]
channels = ["voice"]
"""


def missing():
    body = b"".join(body for _, _, body in taken)
    return [name.decode() for name in WANTED if name not in body]


with simulator(ringback) as twilio:
    endpoint = f"http://127.0.0.1:{collector.server_port}"
    with agent(ringback, twilio, CONFIG, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint) as running:
        until(60, "not all traces", lambda: not missing(), lambda: f"there is no {missing()}; {running.said()}")
        if (code := running.stop()) != 0:
            sys.exit(f"FAILED: the agent ended with {code}: {running.said()}")

for path, kind, _ in taken:
    if (path, kind) != ("/v1/traces", "application/x-protobuf"):
        sys.exit(f"FAILED: {path} {kind} is not OTLP over HTTP")
body = b"".join(body for _, _, body in taken)
if twilio.token.encode() in body or re.search(rb"\+1(?!500555)[0-9]{10}", body):
    sys.exit("FAILED: a secret or a caller's number is among the traces")
print(f"{len(taken)} batches, {body.count(b'poll')} polls traced; no secret and no caller among them")
