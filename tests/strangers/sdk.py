#!/usr/bin/env python3
"""Twilio's official Python SDK against the simulator: it lists, pages, filters, fetches and updates.

    sdk.py RINGBACK

The SDK knows nothing of us. What it gets must be what it would get from Twilio, so this checks the
simulator; the agent is checked against the simulator elsewhere.
"""
import contextlib
import json
import re
import subprocess
import sys
import urllib.request
from datetime import datetime, timedelta, timezone
from urllib.parse import urlsplit

from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

BIN = "https://handler.twilio.com/twiml/EH5e1f0000000000000000000000000001"
checks = 0


def check(name, truth):
    global checks
    checks += 1
    if not truth:
        sys.exit(f"FAILED: {name}")


class Local(TwilioHttpClient):
    """Sends what is meant for any Twilio host to one address."""

    def __init__(self, base):
        super().__init__()
        self.base = base

    def request(self, method, url, **more):
        parts = urlsplit(url)
        return super().request(method, self.base + parts.path + (f"?{parts.query}" if parts.query else ""), **more)


@contextlib.contextmanager
def simulator(ringback):
    """A simulator of the demo's day whose time stands still until it is moved."""
    process = subprocess.Popen([ringback, "sim", "--manual", "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True)
    try:
        said = ""
        while "/_sim/truth" not in said:
            line = process.stdout.readline()
            if not line:
                sys.exit(f"the simulator ended: {said}")
            said += line
        base = re.search(r"http://127\.0\.0\.1:\d+", said)[0]
        yield base, re.search(r"AC[0-9a-f]{32}", said)[0], re.search(r"TWILIO_AUTH_TOKEN=(\w+)", said)[1]
    finally:
        process.terminate()
        process.wait()


def control(base, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{base}/_sim/{path}", data=data)) as answer:
        return json.load(answer)


def refused(call, status, code):
    try:
        call()
    except TwilioRestException as e:
        check(f"refusal {status}/{code}, got {e.status}/{e.code}", (e.status, e.code) == (status, code))
    else:
        check(f"refusal {status}/{code}", False)


def reads(client, now):
    calls = client.calls.list(page_size=37)
    sids = [c.sid for c in calls]
    check("many pages of calls, none twice", len(calls) > 200 and len(set(sids)) == len(sids))
    check("newest first", all(a.start_time >= b.start_time for a, b in zip(calls, calls[1:])))
    check("the same calls on larger pages", [c.sid for c in client.calls.list(page_size=1000)] == sids)
    number = next(c.to for c in calls if c.direction == "inbound")
    to = client.calls.list(to=number, page_size=20)
    check("filter by To", [c.sid for c in to] == [c.sid for c in calls if c.to == number])
    busy = client.calls.list(status="busy")
    check("filter by Status", [c.sid for c in busy] == [c.sid for c in calls if c.status == "busy"])
    midnight = now.replace(hour=0, minute=0, second=0)
    check("StartTime> is the day", [c.sid for c in client.calls.list(start_time_after=now)] == [
        c.sid for c in calls if c.start_time >= midnight])
    check("StartTime< stops at midnight", all(c.start_time < midnight for c in client.calls.list(start_time_before=now)))
    child = next(c for c in calls if c.parent_call_sid)
    legs = client.calls.list(parent_call_sid=child.parent_call_sid)
    check("filter by ParentCallSid", [c.sid for c in legs] == [child.sid])
    check("fetch", client.calls(child.sid).fetch().parent_call_sid == child.parent_call_sid)
    check("duration is text", all(isinstance(c.duration, str) for c in calls if c.status == "completed"))

    messages = client.messages.list(page_size=50)
    check("messages", {"inbound", "outbound-reply"} <= {m.direction for m in messages})
    check("fetch a message", client.messages(messages[0].sid).fetch().sid == messages[0].sid)
    check("message error codes are numbers", all(m.error_code is None or isinstance(m.error_code, int) for m in messages))

    alerts = client.monitor.v1.alerts.list(page_size=50)
    check("alert codes are text", alerts and all(isinstance(a.error_code, str) for a in alerts))
    warnings = client.monitor.v1.alerts.list(log_level="warning")
    check("filter by LogLevel", [a.sid for a in warnings] == [a.sid for a in alerts if a.log_level == "warning"])
    since = now - timedelta(minutes=10)
    late = client.monitor.v1.alerts.list(start_date=since)
    check("StartDate to the second", len(late) == sum(a.date_created >= since for a in alerts))
    of_call = next(a for a in alerts if a.resource_sid.startswith("CA"))
    check("the call's own notifications", of_call.sid in [n.sid for n in client.calls(of_call.resource_sid).notifications.list()])
    check("an alert's variables", "CallSid" in client.monitor.v1.alerts(of_call.sid).fetch().request_variables)

    services = client.messaging.v1.services.list()
    members = [n.phone_number for n in services[0].phone_numbers.list()]
    check("a messaging service and its numbers", sorted(members) == ["+12125550400", "+12125550401"])


def writes(client, base):
    numbers = client.incoming_phone_numbers.list()
    check("all numbers", len(numbers) == 15)
    [one] = client.incoming_phone_numbers.list(phone_number="+12125550100")
    changed = one.update(voice_url=BIN, voice_application_sid="", trunk_sid="")
    check("an update answers the new record", changed.voice_url == BIN)
    check("an update lasts", client.incoming_phone_numbers(one.sid).fetch().voice_url == BIN)
    check("what was not sent is not changed", (changed.sms_url, changed.friendly_name) == (one.sms_url, one.friendly_name))
    [event] = client.monitor.v1.events.list(resource_sid=one.sid, limit=1)
    check("the change is in the audit log", event.event_type == "phone-number.updated")
    refused(lambda: one.update(voice_url="not-a-url"), 400, 21402)
    refused(lambda: one.update(voice_method="FROB"), 400, 21403)
    refused(lambda: one.update(voice_url="", voice_fallback_url="https://x.example.com"), 400, 21405)
    refused(lambda: one.update(sms_url="", sms_fallback_url="https://x.example.com"), 400, 21406)
    refused(lambda: client.incoming_phone_numbers("PN" + "9" * 32).fetch(), 404, 20404)
    refused(lambda: client.calls("CA" + "9" * 32).fetch(), 404, 20404)
    control(base, "clock", {"advance": "5m"})
    check("callers are served by the bin", control(base, "truth")["groups"]["support"]["by_bin"] > 0)
    fault = {"kind": "too-many", "on": "any", "for": "1m"}
    control(base, "fault", fault)
    refused(lambda: client.incoming_phone_numbers(one.sid).fetch(), 429, 20429)


def main(ringback):
    with simulator(ringback) as (base, account, token):
        control(base, "clock", {"advance": "2h 10m"})
        now = datetime.fromisoformat(control(base, "clock")["now"].replace("Z", "+00:00")).astimezone(timezone.utc)
        client = Client(account, token, http_client=Local(base))
        reads(client, now)
        writes(client, base)
        control(base, "calm", {})
        refused(lambda: Client(account, "wrong", http_client=Local(base)).incoming_phone_numbers("PN" + "0" * 32).fetch(), 401, 20003)
    print(f"{checks} checks passed")


if __name__ == "__main__":
    main(sys.argv[1])
