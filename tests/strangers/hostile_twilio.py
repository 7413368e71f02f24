"""A Twilio of raw sockets, for hostile.py: honest until a test deforms an answer, and with a note of every request.

It has one account with its numbers, calls, alerts, an application and a Messaging Service, takes updates of numbers,
and asks for the Auth Token. `deforms` are asked for each request first; what they give is sent instead: a `Reply`, or
an iterator of bytes that go out as they are.
"""

import base64
import collections
import dataclasses
import email.utils
import json
import socket
import threading
import time
import urllib.parse

ACCOUNT = "AC00000000000000000000000000000001"
TOKEN = "c0ffee00c0ffee00c0ffee00c0ffee00"
APP = "https://app.example.com/voice"
BIN = "https://handler.twilio.com/twiml/EH00000000000000000000000000000001"
TWIML = b"<?xml version=\"1.0\"?><Response><%b>Please leave a message.</%b></Response>"


@dataclasses.dataclass
class Request:
    at: float
    method: str
    target: str
    headers: dict
    body: bytes

    @property
    def path(self):
        return self.target.split("?")[0]

    @property
    def query(self):
        return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.target).query, keep_blank_values=True))

    @property
    def form(self):
        return dict(urllib.parse.parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))

    def whole(self):
        """All that somebody who listens gets to know."""
        said = self.target + repr(self.headers) + self.body.decode("latin-1")
        basic = self.headers.get("authorization", "").removeprefix("Basic ")
        with_basic = base64.b64decode(basic + "==", validate=False) if basic else b""
        return said + with_basic.decode("latin-1")


@dataclasses.dataclass
class Reply:
    status: int = 200
    body: object = b""
    headers: dict = dataclasses.field(default_factory=dict)

    def bytes(self):
        body = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        headers = {"Content-Type": "application/json", "Date": email.utils.formatdate(usegmt=True),
                   "Content-Length": len(body), **self.headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"HTTP/1.1 {self.status} So\r\n{lines}\r\n".encode() + body


class Listener:
    """Takes connections, each in a thread of its own, until the process ends. Notes how much it has sent."""

    def __init__(self, port, serve):
        self.serve, self.served, self.connections = serve, 0, 0
        self.socket = socket.create_server(("0.0.0.0", port), backlog=512)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            connection, _ = self.socket.accept()
            self.connections += 1
            threading.Thread(target=self.one, args=(connection,), daemon=True).start()

    def one(self, connection):
        try:
            with connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.serve(connection)
        except (OSError, ValueError):
            # Whoever asked has hung up, or speaks something else.
            pass

    def send(self, connection, data):
        connection.sendall(data)
        self.served += len(data)


def read_request(stream):
    """The next request of a connection; None at its end."""
    line = stream.readline(65536).decode("latin-1").split()
    if len(line) < 2:
        return None
    headers = {}
    while (header := stream.readline(65536).strip()):
        name, _, value = header.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    body = stream.read(int(headers.get("content-length", 0)))
    return Request(time.monotonic(), line[0], line[1], headers, body)


class HttpServer(Listener):
    """Answers each request with what `answer` makes of it, and keeps all of them."""

    def __init__(self, port, answer):
        self.asked, self.answer = [], answer
        super().__init__(port, self.speak)

    def speak(self, connection):
        stream = connection.makefile("rb")
        while (request := read_request(stream)):
            self.asked.append(request)
            reply = self.answer(request)
            if isinstance(reply, Reply):
                self.send(connection, reply.bytes())
                continue
            for piece in reply:
                self.send(connection, piece)
            return


def chunked(pieces):
    """An answer of pieces, however many."""
    yield b"HTTP/1.1 200 So\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    for piece in pieces:
        yield b"%x\r\n%s\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"


def not_found():
    return Reply(404, {"code": 20404, "message": "The requested resource was not found", "status": 404})


def sid(prefix, n):
    return f"{prefix}{n:032x}"


def rfc2822(t):
    return email.utils.formatdate(t, usegmt=True).replace("GMT", "+0000")


def iso(t):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(t))


class Twilio(HttpServer):
    def __init__(self, port, numbers):
        self.lock = threading.Lock()
        self.deforms, self.calls, self.alerts, self.made = [], [], [], 0
        self.events, self.services, self.applications = [], {}, {}
        self.numbers = {sid("PN", i): self.number(sid("PN", i), e164) for i, e164 in enumerate(numbers, 1)}
        super().__init__(port, self.reply)

    @staticmethod
    def number(pn, e164):
        return {
            "sid": pn, "account_sid": ACCOUNT, "phone_number": e164, "friendly_name": e164, "voice_url": APP,
            "voice_method": "POST", "voice_fallback_url": "", "voice_fallback_method": "POST",
            "voice_application_sid": "", "voice_receive_mode": "voice", "trunk_sid": None, "status_callback": "",
            "status_callback_method": "POST", "voice_caller_id_lookup": False, "sms_url": APP, "sms_method": "POST",
            "sms_fallback_url": "", "sms_fallback_method": "POST", "sms_application_sid": "", "origin": "twilio",
            "capabilities": {"voice": True, "sms": True, "mms": False, "fax": False}, "status": "in-use",
            "date_created": rfc2822(time.time() - 86400), "date_updated": rfc2822(time.time() - 86400),
            "uri": f"/2010-04-01/Accounts/{ACCOUNT}/IncomingPhoneNumbers/{pn}.json",
        }

    # What happens.

    def call(self, e164, fails, ago=0.0):
        """A caller, who is served for a minute or meets an error of the number's webhook."""
        with self.lock:
            self.made += 1
            n, start = self.made, time.time() - ago
            ca, lasted = sid("CA", n), 2 if fails else 60
            self.calls.insert(0, {
                "sid": ca, "account_sid": ACCOUNT, "to": e164, "from": f"+1212555{n % 10000:04}", "status": "completed",
                "direction": "inbound", "start_time": rfc2822(start), "end_time": rfc2822(start + lasted),
                "date_created": rfc2822(start), "date_updated": rfc2822(start + lasted), "duration": str(lasted),
                "parent_call_sid": None, "price": None, "caller_name": None, "answered_by": None, "queue_time": "0",
            })
            if fails:
                self.alert(11200, start, ca)
        return ca

    def alert(self, code, at, resource, url=APP):
        self.alerts.insert(0, {
            "sid": sid("NO", self.made * 100_000 + len(self.alerts)), "account_sid": ACCOUNT, "log_level": "error",
            "error_code": str(code), "resource_sid": resource, "request_url": url, "request_method": "POST",
            "date_created": iso(at), "date_generated": iso(at), "date_updated": iso(at), "alert_text": "Msg",
            "more_info": f"https://www.twilio.com/docs/errors/{code}", "service_sid": None,
        })

    def callers(self, e164s, fails, each=12):
        """Callers of the last minutes: those who are served were there before those who are not."""
        for e164 in e164s:
            for i in range(each):
                self.call(e164, fails, 40 + 4 * i if fails else 180 + 20 * i)

    # What was asked.

    def writes(self):
        """Everything that would have changed something."""
        return [r for r in self.asked if r.method != "GET" and "/twiml/" not in r.target]

    def swapped(self, field="voice_url"):
        """Numbers that point at the fallback."""
        return [n["phone_number"] for n in self.numbers.values() if n[field] == BIN]

    def requests(self, part):
        return [r for r in self.asked if part in r.target]

    def counts(self):
        return collections.Counter(r.method + " " + r.path.split("/")[-1].split(".")[0][:12] for r in self.asked)

    # What it answers.

    def reply(self, request):
        for deform in self.deforms:
            if (reply := deform(request)) is not None:
                return reply
        return self.honest(request)

    def honest(self, request):
        path = request.path
        if path.startswith("/twiml/"):
            verb = b"Message" if "MessageSid" in request.query else b"Say"
            return Reply(200, TWIML % (verb, verb), {"Content-Type": "text/xml"})
        if f"{ACCOUNT}:{TOKEN}" not in request.whole():
            return Reply(401, {"code": 20003, "message": "Authenticate", "status": 401})
        rest = path.removeprefix(f"/2010-04-01/Accounts/{ACCOUNT}/").removesuffix(".json")
        kind, _, one = rest.partition("/")
        with self.lock:
            if one and kind == "IncomingPhoneNumbers":
                return self.one_number(request, one)
            if one and kind == "Calls":
                found = [c for c in self.calls if c["sid"] == one]
                return Reply(200, found[0]) if found else not_found()
            if one and kind == "Applications":
                return Reply(200, self.applications[one]) if one in self.applications else not_found()
            if kind == "IncomingPhoneNumbers":
                wanted = request.query.get("PhoneNumber")
                rows = [n for n in self.numbers.values() if wanted in (None, n["phone_number"])]
                return Reply(200, self.page(request, "incoming_phone_numbers", rows))
            if kind in ("Calls", "Messages"):
                return Reply(200, self.page(request, kind.lower(), self.calls if kind == "Calls" else []))
            if path == "/v1/Alerts":
                rows = [a for a in self.alerts if a["log_level"] == request.query.get("LogLevel", "error")]
                return Reply(200, self.meta(request, "alerts", rows))
            if path == "/v1/Events":
                return Reply(200, self.meta(request, "events", self.events))
            if path == "/v1/Services":
                return Reply(200, self.meta(request, "services", list(self.services.values())))
            if path.endswith("/PhoneNumbers"):
                return Reply(200, self.meta(request, "phone_numbers", self.of_service(path.split("/")[-2])))
        return not_found()

    def of_service(self, mg):
        numbers = self.services.get(mg, {}).get("of", ())
        return [{"sid": pn, "service_sid": mg, "account_sid": ACCOUNT} for pn in numbers]

    def one_number(self, request, pn):
        if pn not in self.numbers:
            return not_found()
        if request.method == "POST":
            words = {"VoiceUrl": "voice_url", "VoiceMethod": "voice_method", "VoiceFallbackUrl": "voice_fallback_url",
                     "VoiceApplicationSid": "voice_application_sid", "TrunkSid": "trunk_sid", "SmsUrl": "sms_url",
                     "VoiceFallbackMethod": "voice_fallback_method", "StatusCallback": "status_callback"}
            for name, value in request.form.items():
                self.numbers[pn][words.get(name, name)] = value
            self.numbers[pn]["date_updated"] = rfc2822(time.time())
        return Reply(200, dict(self.numbers[pn]))

    def part(self, request, rows):
        size, page = int(request.query.get("PageSize", 50)), int(request.query.get("Page", 0))
        following = {**request.query, "Page": str(page + 1)} if len(rows) > (page + 1) * size else None
        return rows[page * size:(page + 1) * size], following and f"{request.path}?{urllib.parse.urlencode(following)}"

    def page(self, request, key, rows):
        shown, following = self.part(request, rows)
        return {key: shown, "next_page_uri": following, "page_size": 50, "uri": request.target, "end": len(shown)}

    def meta(self, request, key, rows):
        shown, following = self.part(request, rows)
        host = request.headers["host"]
        return {key: shown, "meta": {"key": key, "page": 0, "next_page_url": following and f"http://{host}{following}"}}
