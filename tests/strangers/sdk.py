#!/usr/bin/env python3
"""Twilio's official Python SDK against the simulator: it lists, pages, filters, fetches and updates, calls and texts.

    sdk.py RINGBACK

The SDK knows nothing of us. What it gets must be what it would get from Twilio, so this checks the
simulator; the agent is checked against the simulator elsewhere.
"""
import io
import json
import sys
import urllib.error
import urllib.request
import wave
from base64 import b64encode
from datetime import datetime, timedelta, timezone
from urllib.parse import urlsplit

from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

from serve import simulator

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


def writes(client, twilio):
    numbers = client.incoming_phone_numbers.list()
    check("all numbers", len(numbers) == 18)
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
    [service] = client.messaging.v1.services.list(limit=1)
    members = client.messaging.v1.services(service.sid).phone_numbers
    joined = members.create(phone_number_sid=one.sid)
    check("a number joins a service", (joined.sid, joined.service_sid, joined.phone_number) == (one.sid, service.sid, one.phone_number))
    check("and is in it", members(one.sid).fetch().service_sid == service.sid)
    refused(lambda: members.create(phone_number_sid=one.sid), 409, 21710)
    check("and leaves it, and nothing else", members(one.sid).delete() and client.incoming_phone_numbers(one.sid).fetch().sid == one.sid)
    refused(lambda: members(one.sid).delete(), 404, 20404)
    twilio.control("clock", {"advance": "5m"})
    check("callers are served by the bin", twilio.look("truth")["groups"]["support"]["by_bin"] > 0)
    fault = {"kind": "too-many", "on": "any", "for": "1m"}
    twilio.control("fault", fault)
    refused(lambda: client.incoming_phone_numbers(one.sid).fetch(), 429, 20429)


def media(twilio, path):
    """The file at this path with the account's credentials, or the status of a refusal."""
    request = urllib.request.Request(twilio.base + path)
    request.add_header("Authorization", "Basic " + b64encode(f"{twilio.account}:{twilio.token}".encode()).decode())
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read()
    except urllib.error.HTTPError as e:
        return e.code


def makes(client, twilio):
    """Calls and messages that requests make: the ways of test calls."""
    def passes(span):
        twilio.control("clock", {"advance": span})

    ours, there = "+12125550199", "+12125550400"
    form = {"from_": ours, "to": there, "twiml": '<Response><Pause length="40"/></Response>', "timeout": 20, "time_limit": 60}
    first = client.calls.create(**form)
    check("a call is made", (first.status, first.direction, first.start_time, first.duration) == ("queued", "outbound-api", None, None))
    second, third = client.calls.create(**form), client.calls.create(**form)
    passes("600ms")
    status = lambda call: client.calls(call.sid).fetch().status
    check("one call a second begins", [status(c) for c in (first, second, third)] == ["ringing", "queued", "queued"])
    check("a queued call is cancelled", client.calls(third.sid).update(status="canceled").status == "canceled")
    passes("1s")
    check("the next has its turn a second later", status(second) in ("ringing", "in-progress"))
    waited = [int(client.calls(c.sid).fetch().queue_time) for c in (first, second)]
    check("and says how long it waited", waited[0] < 500 and 1000 <= waited[1] < 1500)

    call = client.calls.create(**form, record=True, recording_channels="dual", trim="do-not-trim")
    check("nothing is recorded before the answer", client.calls(call.sid).recordings.list() == [])
    passes("20s")
    [recording] = client.calls(call.sid).recordings.list()
    check("a recording in progress", (recording.status, recording.source, recording.track) == ("in-progress", "OutboundAPI", "both"))
    url = urlsplit(client.recordings(recording.sid).fetch().media_url).path
    check("has no file yet", media(twilio, f"{url}.wav") == 404)
    ended = client.calls(call.sid).update(status="completed")
    check("a call is hung up", ended.status == "completed" and 10 <= int(ended.duration) <= 20)
    refused(lambda: client.calls(call.sid).update(status="completed"), 400, 21220)
    passes("5s")
    [recording] = client.calls(call.sid).recordings.list()
    check("a recording is whole", (recording.status, recording.channels, recording.call_sid) == ("completed", 2, call.sid))
    sound = wave.open(io.BytesIO(media(twilio, f"{url}.wav?RequestedChannels=2")))
    check("PCM of 16 bits at 8 kHz, both ends apart", sound.getparams()[:3] == (2, 2, 8000))
    check("as long as it says", abs(sound.getnframes() / 8000 - int(recording.duration)) < 1)
    check("and not silent", any(sound.readframes(sound.getnframes())))
    mixed = wave.open(io.BytesIO(media(twilio, f"{url}.wav")))
    check("both ends together if asked for nothing else", (mixed.getnchannels(), mixed.getnframes()) == (1, sound.getnframes()))
    check("a recording is deleted", client.recordings(recording.sid).delete())
    check("and gone", client.calls(call.sid).recordings.list() == [] and media(twilio, f"{url}.wav") == 404)
    refused(lambda: client.recordings(recording.sid).fetch(), 404, 20404)
    refused(lambda: client.recordings(recording.sid).delete(), 404, 20404)
    check("what was not to be recorded is not", client.calls(first.sid).recordings.list() == [])

    words = "Ringback probe 4711"
    sent = client.messages.create(from_=ours, to=there, body=words)
    check("a message is queued", (sent.status, sent.direction, sent.date_sent, sent.body) == ("queued", "outbound-api", None, words))
    passes("15m")
    rows = {m.direction: m for m in client.messages.list(from_=ours, to=there)}
    check("both ends of a message", set(rows) == {"outbound-api", "inbound"})
    check("the sender's is the one that was made", (rows["outbound-api"].sid, rows["outbound-api"].status) == (sent.sid, "delivered"))
    arrived = rows["inbound"]
    check("the other's is another with the same words", arrived.sid != sent.sid and (arrived.status, arrived.body) == ("received", words))
    legs = {}
    for call in client.calls.list(from_=ours, to=there):
        legs.setdefault(call.direction, []).append(call)
    check("both ends of each call but of the cancelled one", {d: len(c) for d, c in legs.items()} == {"outbound-api": 4, "inbound": 3})
    check("no leg is listed twice, nor linked", len({c.sid for c in sum(legs.values(), [])}) == 7 and not any(c.parent_call_sid for c in legs["inbound"]))
    refused(lambda: client.calls.create(**{**form, "from_": "+12125559999"}), 400, 21210)
    refused(lambda: client.calls.create(from_=ours, to=there), 400, 21205)
    refused(lambda: client.messages.create(from_=ours, to=there), 400, 21602)


def ports(client):
    numbers = client.numbers.v1
    # The SDK looks for the rows by a key that Twilio's description of this list has not.
    listed = client.request("GET", "https://numbers.twilio.com/v1/Porting/PortIn/PortInRequests", params={"Size": 2})
    requests = json.loads(listed.text)["port_in_requests"]
    check("port requests, two a page", len(requests) == 2)
    request = numbers.porting_port_ins(requests[0]["port_in_request_sid"]).fetch()
    check("a request has its numbers", len(request.phone_numbers) == requests[0]["phone_numbers_requested"])
    line = request.phone_numbers[0]
    number = numbers.porting_port_in_phone_number(request.port_in_request_sid, line["port_in_phone_number_sid"]).fetch()
    check("a number by itself is the same", number.phone_number == line["phone_number"])
    check("with its status", number.port_in_phone_number_status == line["port_in_phone_number_status"].lower())
    mine = numbers.porting_portabilities(line["phone_number"]).fetch()
    check("what is here cannot be ported", (mine.portable, mine.not_portable_reason_code) == (False, 22131))
    other = numbers.porting_portabilities("+12065550100").fetch()
    check("what is elsewhere can", other.portable and other.pin_and_account_number_required)


def stands(client):
    """What `ringback check` asks of the account itself."""
    account = client.api.accounts(client.username).fetch()
    check("the account", (str(account.status), str(account.type)) == ("active", "Full"))
    balance = client.balance.fetch()
    check("a balance is text", (balance.account_sid, balance.currency, float(balance.balance) > 0) == (client.username, "USD", True))
    britain = client.voice.v1.dialing_permissions.countries.list(country_code="44")
    check("a country by its code", [(c.iso_code, c.low_risk_numbers_enabled) for c in britain] == [("GB", True)])
    check("all countries", len(client.voice.v1.dialing_permissions.countries.list()) > len(britain))
    service = client.messaging.v1.services.list()[0].sid
    campaign, = client.messaging.v1.services(service).us_app_to_person.list()
    check("a campaign", (campaign.campaign_status, campaign.messaging_service_sid) == ("VERIFIED", service))
    brand = client.messaging.v1.brand_registrations(campaign.brand_registration_sid).fetch()
    check("its brand", (brand.sid, str(brand.status)) == (campaign.brand_registration_sid, "APPROVED"))
    check("no toll-free verification", client.messaging.v1.tollfree_verifications.list() == [])
    refused(lambda: client.numbers.v2.regulatory_compliance.bundles("BU" + "0" * 32).fetch(), 404, 20404)
    trunk = next(n.trunk_sid for n in client.incoming_phone_numbers.list() if n.trunk_sid)
    check("a trunk's origination", all(o.enabled and o.sip_url for o in client.trunking.v1.trunks(trunk).origination_urls.list()))


def main(ringback):
    with simulator(ringback, "--manual") as twilio:
        twilio.control("clock", {"advance": "2h 10m"})
        now = datetime.fromisoformat(twilio.look("clock")["now"].replace("Z", "+00:00")).astimezone(timezone.utc)
        client = Client(twilio.account, twilio.token, http_client=Local(twilio.base))
        reads(client, now)
        ports(client)
        stands(client)
        makes(client, twilio)
        writes(client, twilio)
        twilio.control("calm", {})
        wrong = Client(twilio.account, "wrong", http_client=Local(twilio.base))
        refused(lambda: wrong.incoming_phone_numbers("PN" + "0" * 32).fetch(), 401, 20003)
    print(f"{checks} checks passed")


if __name__ == "__main__":
    main(sys.argv[1])
