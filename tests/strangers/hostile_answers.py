"""Attacks by what Twilio answers, or somebody in its place: too much, too slow, without end, unreadable."""

import gzip
import itertools
import json
import struct
import threading
import time

from hostile_agent import AGENT_PORT, BASE, OTHER_PORT, some
from hostile_twilio import ACCOUNT, TOKEN, HttpServer, Reply, chunked, iso, rfc2822, sid

MB = 1 << 20
# As much as the agent reads of one answer, or a little less.
LARGE = 31 * MB


def is_list(request, name):
    return request.method == "GET" and request.path.endswith((f"/{name}.json", f"/v1/{name}"))


def of_lists(answer, *names):
    """Deforms these lists."""
    names = names or ("Calls", "Alerts", "IncomingPhoneNumbers")
    return lambda request: answer(request) if any(is_list(request, n) for n in names) else None


def drip():
    """One byte a second."""
    yield b"HTTP/1.1 200 So\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n"
    while True:
        yield b" "
        time.sleep(1)


def key_of(request):
    name = request.path.split("/")[-1].split(".")[0]
    return {"Calls": "calls", "Alerts": "alerts"}.get(name, "incoming_phone_numbers")


def honest(w):
    """No attack: an honest Twilio, healthy numbers, then failing callers, who are swapped to the fallback."""
    agent = w.healthy(5)
    w.twilio.callers(some(5), True)
    w.must(w.until(20, lambda: len(w.twilio.swapped()) == 5), "failing callers were not swapped")
    w.must(len(w.twilio.writes()) == 5, f"{len(w.twilio.writes())} writes")
    w.lives(agent, 64)
    w.must(agent.stop() == 0, "it did not end with 0")
    return "an honest Twilio: healthy, then five numbers swapped by five writes"


def gzip_bomb(w):
    """Lists of 31 KB of gzip that are 31 MB of nothing."""
    agent = w.healthy()
    bombs = {}
    for key in ("calls", "alerts", "incoming_phone_numbers"):
        for row in (b"0,", b"{},", b"[[]],", b'"",'):
            rows = row * (LARGE // len(row))
            bombs.setdefault(key, []).append(gzip.compress(b'{"%s":[' % key.encode() + rows + b"0]}"))
    turn = iter(range(10**6))

    def bomb(request):
        kind = bombs[key_of(request)]
        return Reply(200, kind[next(turn) // 3 % len(kind)], {"Content-Encoding": "gzip"})

    w.twilio.deforms.append(of_lists(bomb))
    w.blind(agent)
    time.sleep(8)
    w.lives(agent)
    w.recovers(agent)
    return f"{len(bombs['calls'][0]) // 1024} KB of gzip with 31 MB of [0,0,…], {{}}, [[]] and texts as every list"


def endless_answers(w):
    """Bodies, headers and provisional answers that do not end."""
    agent = w.healthy()
    turn = iter(range(10**6))

    def forever(piece):
        while True:
            yield piece

    def one(before, piece):
        yield before
        yield from forever(piece)

    def endless(_):
        head = b"HTTP/1.1 200 So\r\nContent-Type: application/json\r\n"
        kinds = [
            chunked(forever(b" " * 65536)),
            one(head + b"Content-Length: 9000000000000000\r\n\r\n", b"[" * 65536),
            one(head, b"X-More: " + b"x" * 4096 + b"\r\n"),
            forever(b"HTTP/1.1 102 Processing\r\n\r\n" * 100),
            chunked(forever(b'{"calls":[' + b'{"sid":"CA00000000000000000000000000000001"},' * 1000)),
            one(head + b"X-Long: ", b"x" * 65536),
        ]
        return kinds[next(turn) % len(kinds)]

    w.twilio.deforms.append(of_lists(endless))
    w.blind(agent)
    time.sleep(8)
    w.lives(agent)
    w.recovers(agent)
    return "bodies, headers, one header line and 102s without end, and a Content-Length of 9 PB"


def padded_answers(w):
    """Every answer to a rollback of 40 numbers is right, after 31 MB of spaces."""
    agent = w.healthy(40, timeout="20s")
    padding = b" " * LARGE

    def pad(request):
        if "/IncomingPhoneNumbers/PN" not in request.path:
            return None
        reply = w.twilio.honest(request)
        return Reply(reply.status, padding + json.dumps(reply.body).encode())

    w.twilio.deforms.append(pad)
    agent.post("rollback", all=True)
    time.sleep(12)
    w.lives(agent)
    w.twilio.deforms.clear()
    if agent.is_alive():
        w.must(w.until(20, agent.is_ready), "it does not see again")
    return f"31 MB of spaces before each answer about 40 numbers in a rollback, {len(w.twilio.swapped())} swapped"


def paging_loop(w):
    """Lists that go from A to B to A, and from A to ever new pages."""
    agent = w.healthy()
    names = iter(range(10**9))

    def loop(request):
        body = w.twilio.honest(request).body
        if key_of(request) == "calls":
            other = {"1": "2", "2": "1"}.get(request.query.get("Page"), "1")
            body["next_page_uri"] = f"{request.path}?Page={other}&PageToken=PA{other}"
        else:
            body["meta"]["next_page_url"] = f"{BASE}/v1/Alerts?LogLevel=error&PageToken={next(names)}"
        return Reply(200, body)

    before = len(w.twilio.asked)
    w.twilio.deforms.append(of_lists(loop, "Calls", "Alerts"))
    time.sleep(10)
    asked = w.twilio.asked[before:]
    calls, alerts = (sum(is_list(r, name) for r in asked) for name in ("Calls", "Alerts"))
    w.must(calls <= 150, f"A to B to A was followed: {calls} requests in 10 s")
    w.must(alerts <= 2000, f"ever new pages were followed: {alerts} requests in 10 s")
    w.blind(agent)
    w.lives(agent)
    w.recovers(agent)
    return f"in 10 s {calls} requests for A to B to A, {alerts} for ever new pages"


def next_page_elsewhere(w):
    """Next pages and redirects that lead to another host, in forty forms."""
    agent = w.healthy()
    other = HttpServer(OTHER_PORT, lambda _: Reply(200, {"calls": [], "alerts": [], "next_page_uri": None, "meta": {}}))
    there = f"127.0.0.2:{OTHER_PORT}"
    path = f"/2010-04-01/Accounts/{ACCOUNT}/Calls.json?Page=1"
    forms = [form + path for form in (
        f"x:@{there}", f"mailto:@{there}", f"x:0@{there}", f"x:.@{there}", f"http:@{there}", f"http://{there}",
        f"//{there}", f"@{there}", f":@{there}", f"\\\\{there}", f"/\\{there}",
        f"http:/@{there}", f"http:///{there}", f"http:\\\\{there}", f"http:{there}", f"HTTP:@{there}",
        f"https:@{there}",
        f"http://127.0.0.1:4010@{there}", f"http://127.0.0.1:4010\\@{there}", f"http://127.0.0.1:4010#@{there}",
        f"ftp://{there}", f"/@{there}", f"/..//{there}", f"/.//{there}", f".{there}", f":{OTHER_PORT}", f"?@{there}",
        f" http://{there}", f"\thttp:@{there}", f"ht\ntp://{there}", f"/\t/{there}", f"%2f%2f{there}",
        f"//user@{there}",
        f"http:@127.0.0.1:{OTHER_PORT}", f"http:%40{there}", f"//0x7f000002:{OTHER_PORT}",
    )]
    turn, given, lock = iter(range(10**9)), dict.fromkeys(forms, 0), threading.Lock()

    def lead(request):
        if "Page" in request.query:
            return None
        with lock:
            if (n := next(turn)) % 9 == 8:
                return Reply((301, 302, 307, 308)[n % 4], b"", {"Location": f"http://{there}{request.target}"})
            form = min(forms, key=given.get)
            given[form] += 1
        body = w.twilio.honest(request).body
        if "meta" in body:
            body["meta"]["next_page_url"] = form.replace(path, "/v1/Alerts?Page=1")
        else:
            body["next_page_uri"] = form
        return Reply(200, body)

    w.twilio.deforms.append(of_lists(lead, "Calls", "Alerts"))
    # Alone, one would need a minute.
    more = [w.agent(f"more-{i}", numbers=some(5), port=AGENT_PORT + i) for i in (1, 2, 3)]
    w.must(w.until(40, lambda: min(given.values()) >= 4), f"not all forms were tried: {given}")
    time.sleep(1)
    for one in more:
        w.must(one.is_alive() or one.process.poll() == 3, f"another died with {one.process.poll()}")
    told = [r for r in other.asked if TOKEN in r.whole() or ACCOUNT in r.whole()]
    w.must(not told, f"{len(told)} requests told another host the Auth Token or the account")
    w.must(other.connections == 0, f"{other.connections} connections to another host")
    w.lives(agent)
    w.recovers(agent)
    return f"{len(forms)} forms of next pages and four redirects to a host that had {other.connections} visitors"


def slow_fetches(w):
    """Twenty calls that only alerts name come at one byte a second, beside lists that are well."""
    agent = w.healthy(5, timeout="20s")
    numbers = some(5)
    hidden = {w.twilio.call(numbers[0], True, 60 + i) for i in range(20)}

    def slow(request):
        if is_list(request, "Calls"):
            reply = w.twilio.honest(request)
            reply.body["calls"] = [c for c in reply.body["calls"] if c["sid"] not in hidden]
            return reply
        if request.path.split("/")[-1].removesuffix(".json") in hidden:
            return drip()
        return None

    w.twilio.deforms.append(slow)
    fetched = w.until(15, lambda: any(r.path.split("/")[-1].removesuffix(".json") in hidden for r in w.twilio.asked))
    w.must(fetched, "it never fetched what an alert names")
    began = time.monotonic()
    time.sleep(10)
    blind = [at for at, status in agent.readiness if at > began and status != 200]
    w.must(not blind, f"a slow call made it blind for {len(blind)} of {len(agent.readiness)} looks")
    w.twilio.callers(numbers, True)
    in_time = w.until(20, lambda: len(w.twilio.swapped()) == 5)
    w.must(in_time, f"only {len(w.twilio.swapped())} of 5 failing numbers were swapped beside a slow call")
    w.lives(agent)
    return "20 calls that alerts name, at one byte a second; the lists are well"


def unreadable_rows(w):
    """A thousand calls to our numbers whose dates are none, then 92,000."""
    agent = w.healthy()
    numbers, pages, most = some(5), {}, [0]

    def page(n):
        rows = [
            {"sid": sid("CA", 10**6 + n * 1000 + i), "to": numbers[i % 5], "from": f"+1212555{i:04}", "duration": "2",
             "direction": "inbound", "status": "completed", "start_time": "yesterday", "date_created": "once"}
            for i in range(1000)
        ]
        following = f"/2010-04-01/Accounts/{ACCOUNT}/Calls.json?PageSize=1000&Page={n + 1}" if n < most[0] else None
        return json.dumps({"calls": rows, "next_page_uri": following}).encode()

    def rows(request):
        n = (int(request.query.get("Page", 0)), most[0])
        if n not in pages:
            pages[n] = page(n[0])
        return Reply(200, pages[n])

    w.twilio.deforms.append(of_lists(rows, "Calls"))
    w.blind(agent)
    w.must("start_time" in agent.said(), "its log does not say what kind of row it cannot read")
    w.lives(agent)
    most[0] = 91
    w.until(20, lambda: sum("Page=91" in r.target for r in w.twilio.asked) >= 3)
    w.must(len(agent.said()) < 2 * MB, f"its log has {len(agent.said()) // MB} MB")
    w.lives(agent)
    w.recovers(agent)
    return "1,000 and 92,000 rows a poll whose dates are none"


def flood_of_calls(w):
    """A hundred thousand calls of the last minutes to five numbers, each from somebody else."""
    agent = w.healthy(timeout="20s")
    numbers, now = some(5), time.time()

    def one(n):
        start = now - 60 - n % 600
        return {
            "sid": sid("CA", 10**7 + n), "to": numbers[n % 5], "from": f"+1{2_120_000_000 + n}", "duration": "50",
            "direction": "inbound", "status": "completed", "start_time": rfc2822(start),
            "end_time": rfc2822(start + 50),
        }

    pages = []
    for page in range(100):
        following = f"/2010-04-01/Accounts/{ACCOUNT}/Calls.json?Page={page + 1}" if page < 99 else None
        rows = [one(page * 1000 + i) for i in range(1000)]
        pages.append(json.dumps({"calls": rows, "next_page_uri": following}).encode())
    w.twilio.deforms.append(of_lists(lambda r: Reply(200, pages[int(r.query.get("Page", 0))]), "Calls"))
    w.until(20, lambda: sum(is_list(r, "Calls") for r in w.twilio.asked) > 220)
    time.sleep(5)
    w.lives(agent)
    w.must(not w.twilio.writes(), "it wrote")
    return f"100,000 calls, {sum(is_list(r, 'Calls') for r in w.twilio.asked)} pages of them read"


def half_unreadable(w):
    """Every other call to one of our numbers cannot be read: those that fail."""
    agent = w.healthy()
    numbers = some(5)

    def spoil(request):
        body = w.twilio.honest(request).body
        for call in body["calls"]:
            if call["duration"] == "2":
                call["direction"], call["duration"] = None, "x"
        return Reply(200, body)

    w.twilio.deforms += [of_lists(spoil, "Calls"), of_lists(lambda _: Reply(200, {"alerts": [], "meta": {}}), "Alerts")]
    w.twilio.calls = [dict(c) for c in w.twilio.calls]
    w.twilio.callers(numbers, True)
    w.blind(agent)
    w.lives(agent)
    return "of 120 calls the 60 that failed cannot be read"


def unreadable_alerts(w):
    """Calls are read, but no alert can be: nobody knows whether callers were served."""
    agent = w.healthy()

    def spoil(request):
        reply = w.twilio.honest(request)
        for alert in reply.body["alerts"]:
            alert.update({"error_code": "eleven", "date_created": "once", "date_generated": {}})
        return reply

    w.twilio.callers(some(5), True)
    w.twilio.deforms.append(of_lists(spoil, "Alerts"))
    w.blind(agent)
    w.lives(agent)
    return "60 alerts of calls of ours, none of which can be read"


def alert_codes(w):
    """60,000 alerts of calls of ours, each with a code of its own."""
    agent = w.healthy()
    call, now = w.twilio.calls[0]["sid"], time.time()

    def one(n):
        return {
            "sid": sid("NO", 10**7 + n), "account_sid": ACCOUNT, "log_level": "error", "error_code": str(10_000 + n),
            "resource_sid": call, "request_url": "https://app.example.com/voice", "date_created": iso(now - 30),
            "date_generated": iso(now - 30), "alert_text": "",
        }

    pages = []
    for page in range(60):
        following = f"{BASE}/v1/Alerts?LogLevel=error&Page={page + 1}" if page < 59 else None
        meta = {"key": "alerts", "next_page_url": following}
        pages.append(json.dumps({"alerts": [one(page * 1000 + i) for i in range(1000)], "meta": meta}).encode())

    def answer(request):
        if request.query.get("LogLevel") != "error":
            return None
        return Reply(200, pages[int(request.query.get("Page", 0))])

    w.twilio.deforms.append(of_lists(answer, "Alerts"))
    w.until(25, lambda: sum(is_list(r, "Alerts") for r in w.twilio.asked) > 130)
    time.sleep(3)
    w.lives(agent)
    text = agent.get("/metrics", 20)[1]
    series = sum(line.startswith("ringback_twilio_alerts_total") for line in text.splitlines())
    w.must(series <= 2000, f"{series} series, and {len(text) // 1000} KB of metrics")
    status = len(agent.get("/api/v1/status", 20)[1])
    w.must(status <= 2 * MB, f"a status of {status // 1000} KB")
    return f"60,000 alerts with as many codes made {series} series"


def large_recordings(w):
    """Test calls are recorded: 31 MB of sound each, or sound without end, beside recordings that are the customer's."""
    numbers, prober = some(12), "+15005559990"
    twilio = w.with_twilio([*numbers, prober])
    twilio.callers(numbers, False)
    made, turn, sound = {}, iter(range(10**6)), wave(LARGE)

    def forever():
        yield from chunked(itertools.chain([wave(MB)], itertools.repeat(b"\x7f" * 65536)))

    def answer(request):
        one = request.path.removesuffix(".json").split("/")
        if request.method == "POST" and one[-1] == "Calls":
            now, form = time.time(), request.form
            ca = sid("CA", 10**8 + next(turn))
            made[ca] = {
                "sid": ca, "account_sid": ACCOUNT, "from": form["From"], "to": form["To"], "status": "completed",
                "direction": "outbound-api", "start_time": rfc2822(now - 9), "end_time": rfc2822(now - 1),
                "date_created": rfc2822(now - 10), "duration": "8", "parent_call_sid": None,
            }
            return Reply(201, made[ca])
        if one[-1] == "Recordings":
            of = {"call_sid": one[-2], "account_sid": ACCOUNT, "status": "completed", "channels": 2, "duration": "8"}
            own = of | {"sid": one[-2].replace("CA", "RE"), "source": "OutboundAPI"}
            return Reply(200, {"recordings": [of | {"sid": sid("RE", 7), "source": "DialVerb"}, own]})
        if one[-1] == "Notifications":
            return Reply(200, {"notifications": []})
        if one[-2] == "Recordings" and request.method == "GET":
            return forever() if next(turn) % 3 == 2 else Reply(200, sound, {"Content-Type": "audio/x-wav"})
        if request.method == "DELETE":
            return Reply(204)
        return Reply(200, made[one[-1]]) if one[-1] in made else None

    twilio.deforms.append(answer)
    probe = f"""
[probes]
calls_per_second = 20
at_once          = 16
[group.probe]
from          = "{prober}"
every         = "10s"
passive_every = "10s"
fails_for     = "0s"
hear          = {{ speech = true, marker = "dtmf:42" }}
"""
    agent = w.healthy(numbers=numbers, more=probe, timeout="20s")
    fetched = w.until(25, lambda: sum("/Recordings/RE" in r.target for r in twilio.asked) >= 8)
    w.must(fetched, "no recording was fetched")
    time.sleep(10)
    w.lives(agent)
    deleted = [r.target for r in twilio.asked if r.method == "DELETE"]
    foreign = [target for target in deleted if "/Recordings/RE" not in target or sid("RE", 7) in target]
    w.must(not foreign, f"it deleted what is not its own: {foreign[:2]}")
    w.must(not twilio.swapped(), "numbers were swapped for recordings that cannot be heard")
    return f"{len(made)} test calls with 31 MB of sound, or sound without end, {len(deleted)} recordings deleted"


def wave(size):
    """Two channels of speech's bandwidth, 16 bits a sample."""
    form = struct.pack("<HHIIHH", 1, 2, 8000, 32000, 4, 16)
    return b"RIFF" + struct.pack("<I", size) + b"WAVEfmt " + struct.pack("<I", 16) + form + b"data" + struct.pack(
        "<I", size - 44) + b"\x01\x02" * ((size - 44) // 2)


def wrong_clock(w):
    """Twilio's clock is two hours ahead, or says nonsense."""
    agent = w.healthy()
    ahead = rfc2822(time.time() + 7200).replace("+0000", "GMT")

    def late(request):
        reply = w.twilio.honest(request)
        return Reply(reply.status, reply.body, {**reply.headers, "Date": ahead})

    w.twilio.deforms.append(late)
    w.blind(agent)
    w.twilio.callers(some(5), True)
    time.sleep(8)
    w.must(not w.twilio.writes(), "it wrote although nobody knows what time it is")
    w.twilio.deforms[:] = [lambda request: Reply(200, w.twilio.honest(request).body, {"Date": "yesterday\x7f"})]
    time.sleep(3)
    w.lives(agent)
    return "a Date of two hours from now, then one of nonsense"


ATTACKS = [
    alert_codes, unreadable_rows, gzip_bomb, endless_answers, next_page_elsewhere, slow_fetches, flood_of_calls,
    large_recordings, padded_answers,
    paging_loop, half_unreadable, unreadable_alerts, wrong_clock, honest,
]
