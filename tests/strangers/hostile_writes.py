"""Attacks on what is written: against a stop, to another number, by two, by one whose state is gone, or not at all
because one number of many is bad.
"""

import concurrent.futures
import json
import os
import re
import signal
import sqlite3
import time

from hostile_agent import AGENT_PORT, some
from hostile_answers import drip, is_list
from hostile_twilio import ACCOUNT, Reply, Twilio, sid

# On its way when the stop was acknowledged, and noted by a busy server a little later.
ON_ITS_WAY_S = 0.4


def is_update(request):
    return request.method == "POST" and "/IncomingPhoneNumbers/PN" in request.path


def stop_in_the_middle(w, verb, said, of_restore=False, **stop):
    """Sixty numbers, two requests at a time, most updates too many or slow; the stop comes after four writes."""
    agent = w.healthy(60, twilio="max_in_flight = 2", timeout="20s")
    turn, earlier = iter(range(10**9)), 0
    rollback = lambda: agent.post("rollback", 20, all=True)
    restore = lambda: agent.post("restore", 20, all=True, at_once=True)
    if of_restore:
        rollback()
        w.must(w.until(40, lambda: len(w.twilio.swapped()) == 60), "the rollback before the restore was not done")
        # It is refused until the last number's has ended.
        w.until(20, lambda: "under way" not in agent.post("restore", 20, all=True, at_once=True, dry_run=True)[1])
        earlier = len(w.twilio.writes())

    def busy(request):
        if "/IncomingPhoneNumbers/PN" not in request.path:
            return None
        time.sleep(0.2)
        if is_update(request) and (n := next(turn)) >= 4 and n % 2:
            return Reply(429, {"code": 20429, "message": "Too Many Requests", "status": 429}, {"Retry-After": "1"})
        return None

    w.twilio.deforms.append(busy)
    began = restore() if of_restore else rollback()
    w.must(began[0] == 200, f"the order was refused: {began}")
    w.must(w.until(30, lambda: len(w.twilio.writes()) >= earlier + 4), f"it did not begin: {began}")
    status, text, took = agent.post(verb, 20, **stop)
    acknowledged = time.monotonic()
    w.must(status == 200, f"the stop was refused: {text}")
    before = len(w.twilio.writes())
    time.sleep(15)
    late = [r.at - acknowledged for r in w.twilio.writes() if r.at > acknowledged + ON_ITS_WAY_S]
    w.must(not late, f"{len(late)} writes began after the stop's 200, the last {max(late, default=0):.1f} s later")
    # What was refused as too many is not repeated when Twilio has time again, either.
    w.twilio.deforms.clear()
    time.sleep(5)
    again = len(w.twilio.writes()) - before - len(late)
    w.must(again <= 2, f"{again} writes when Twilio had time again")
    w.lives(agent)
    more = len(w.twilio.writes()) - before
    return f"{said} after {before - earlier} of 60 writes, in {took:.1f} s, between 429s: {more} more"


def hold_in_the_middle(w):
    """A hold in the middle of a rollback of sixty, with 429s."""
    return stop_in_the_middle(w, "hold", "a hold", all=True)


def hold_in_a_restore(w):
    """A hold in the middle of a restore of sixty at once, with 429s."""
    return stop_in_the_middle(w, "hold", "a hold in a restore", of_restore=True, all=True)


def observe_in_the_middle(w):
    """Mode observe in the middle of a rollback of sixty, with 429s."""
    return stop_in_the_middle(w, "mode", "mode observe", mode="observe")


def another_number(w):
    """Fetches and updates that answer with another SID, number or account than the one that was asked for."""
    numbers = some(4)
    stranger = Twilio.number(sid("PN", 77), "+15005559999")
    agent = w.healthy(4)
    w.twilio.numbers[stranger["sid"]] = stranger
    pns = [sid("PN", i) for i in range(1, 5)]
    lies = {
        pns[0]: {"sid": stranger["sid"]},
        pns[1]: {"phone_number": numbers[3]},
        pns[2]: stranger,
        pns[3]: {"account_sid": "AC00000000000000000000000000000099"},
    }

    def lie(request):
        one = request.path.split("/")[-1].removesuffix(".json")
        if one in lies and request.method == "GET":
            return Reply(200, w.twilio.numbers[one] | lies[one])
        return None

    w.twilio.deforms.append(lie)
    w.twilio.callers(numbers, True)
    time.sleep(8)
    agent.post("rollback", 20, all=True)
    time.sleep(6)
    w.must(not w.twilio.writes(), f"written: {[r.path.split('/')[-1] for r in w.twilio.writes()]}")

    # The list says that one of ours has the stranger's SID, and an update answers with the stranger's record.
    def lying_list(request):
        if is_list(request, "IncomingPhoneNumbers"):
            reply = w.twilio.honest(request)
            for row in reply.body["incoming_phone_numbers"]:
                row.update({"sid": stranger["sid"]} if row["phone_number"] == numbers[0] else {})
            return reply
        if is_update(request):
            w.twilio.honest(request)
            return Reply(200, stranger)
        return None

    w.twilio.deforms[:] = [lying_list]
    agent.post("rollback", 20, all=True)
    time.sleep(8)
    w.must(stranger["voice_url"] == Twilio.number("", "")["voice_url"], "the stranger's live number was written to")
    w.must(not [r for r in w.twilio.writes() if stranger["sid"] in r.target], "an update of the stranger's number")
    w.lives(agent)
    return "four failing numbers whose records are another's by SID, number, account or all of it"


def another_accounts_logs(w):
    """Lists of calls and alerts whose failing rows are another account's."""
    agent = w.healthy(4)
    known = {row["sid"] for row in w.twilio.calls}

    def lie(request):
        if not is_list(request, "Calls") and not is_list(request, "Alerts"):
            return None
        reply = w.twilio.honest(request)
        for row in reply.body.get("calls", reply.body.get("alerts")):
            row["account_sid"] = ACCOUNT if row["sid"] in known else ACCOUNT[:-2] + "99"
        return reply

    w.twilio.deforms.append(lie)
    w.twilio.callers(some(4), True)
    time.sleep(10)
    w.must(not w.twilio.writes(), f"{len(w.twilio.writes())} numbers were swapped for another account's callers")
    w.lives(agent)
    return "failing calls and their alerts in our lists that say that they are another account's"


def one_bad_item(w, is_operators):
    """Groups of five with one bad number: it has left the account, or it answers 500, rubbish or nothing, or its
    application does; and one of fifteen with all of these.
    """
    kinds = ("gone", "500", "rubbish", "silent", "application")
    groups, numbers = {}, some(40)
    for i, kind in enumerate(kinds):
        groups[kind] = numbers[5 * i:5 * i + 5]
    groups["fifteen"] = numbers[25:]
    w.with_twilio(numbers).callers(numbers, False)
    bad = {kind: [sid("PN", 5 * i + 3), sid("PN", 27 + 3 * i)] for i, kind in enumerate(kinds)}
    applications = [sid("AP", 1), sid("AP", 2)]
    detector = "[group.detector]\nenabled = false" if is_operators else ""
    agents = {
        kind: w.agent(f"of-{kind}", numbers=theirs, port=AGENT_PORT + i, more=detector, timeout="3s")
        for i, (kind, theirs) in enumerate(groups.items())
    }
    for kind, agent in agents.items():
        w.must(w.until(30, agent.is_ready), f"{kind}: not ready: {agent.said()[-300:]}")
    for pn, application in zip(bad["application"], applications):
        w.twilio.numbers[pn]["voice_application_sid"] = application
    for pn in bad["gone"]:
        w.twilio.numbers.pop(pn)

    def spoil(request):
        is_of = lambda kind: any(one in request.path for one in bad[kind])
        if is_of("500") or any(one in request.path for one in applications):
            return Reply(500, {"code": 20500, "message": "Internal Server Error", "status": 500})
        if is_of("rubbish"):
            return Reply(200, b"<html>rubbish \xff\x00</html>")
        if is_of("silent"):
            return drip()
        if is_list(request, "IncomingPhoneNumbers"):
            reply = w.twilio.honest(request)
            for row in reply.body["incoming_phone_numbers"]:
                row.update({"voice_url": {"x": [1]}, "capabilities": 7} if row["sid"] in bad["rubbish"] else {})
            return reply
        return None

    w.twilio.deforms.append(spoil)
    all_bad = {pn for both in bad.values() for pn in both}
    good = {n["phone_number"] for pn, n in w.twilio.numbers.items() if pn not in all_bad}
    if is_operators:
        with concurrent.futures.ThreadPoolExecutor() as many:
            list(many.map(lambda agent: agent.post("rollback", 60, all=True), agents.values()))
    else:
        w.twilio.callers(numbers, True)
    began = time.monotonic()
    w.until(40, lambda: good <= set(w.twilio.swapped()))
    took = time.monotonic() - began
    for kind, theirs in groups.items():
        wanted, done = good & set(theirs), good & set(theirs) & set(w.twilio.swapped())
        w.must(done == wanted, f"{kind}: only {len(done)} of {len(wanted)} good numbers swapped within {took:.0f} s")
        w.lives(agents[kind])
    done = len(good & set(w.twilio.swapped()))
    return f"{done} of {len(good)} good numbers beside ten bad ones swapped, after {took:.0f} s"


def one_bad_item_detector(w):
    """One bad number ends the detector's rollback of the good ones."""
    return one_bad_item(w, False)


def one_bad_item_operator(w):
    """One bad number ends an operator's rollback of the good ones."""
    return one_bad_item(w, True)


def one_bad_service(w):
    """Of three Messaging Services one answers 500, and the list of them has a row of rubbish."""
    fields = {"inbound_request_url": None, "use_inbound_webhook_on_number": True, "fallback_url": None}
    numbers = some(6)
    twilio = w.with_twilio(numbers)
    for i in (1, 2, 3):
        mg = {"sid": sid("MG", i), "account_sid": ACCOUNT, "friendly_name": "x", "of": [sid("PN", i)], **fields}
        twilio.services[mg["sid"]] = mg

    def spoil(request):
        if request.path.endswith(f"{sid('MG', 1)}/PhoneNumbers"):
            return Reply(500, {"code": 20500, "message": "Internal Server Error", "status": 500})
        if is_list(request, "Services"):
            reply = twilio.honest(request)
            reply.body["services"].append({"sid": "rubbish", "use_inbound_webhook_on_number": [7]})
            return reply
        return None

    agent = w.agent(numbers=numbers, channel="messaging")
    w.must(w.until(20, agent.is_ready), f"not ready: {agent.said()[-500:]}")
    twilio.deforms.append(spoil)
    agent.post("rollback", 40, all=True)
    w.until(30, lambda: len(twilio.swapped("sms_url")) >= 5)
    w.must(len(twilio.swapped("sms_url")) >= 5, f"only {len(twilio.swapped('sms_url'))} of 5 good numbers swapped")
    w.lives(agent)
    return f"one bad Messaging Service of three, and a row of rubbish: {len(twilio.swapped('sms_url'))} of 6 swapped"


def state_removed(w):
    """Database, WAL, lock or folder are removed or moved while agents run, and another agent starts in the place."""
    numbers = some(6)
    w.with_twilio(numbers).callers(numbers, False)
    names = ("db", "wal", "lock", "folder", "moved", "replaced")
    agents = {
        name: w.agent(name, numbers=[number], port=AGENT_PORT + i)
        for i, (name, number) in enumerate(zip(names, numbers))
    }
    for name, agent in agents.items():
        w.must(w.until(30, agent.is_ready), f"{name}: not ready: {agent.said()[-500:]}")

    def remove(name, *patterns):
        found = [path for pattern in patterns for path in agents[name].folder.glob(pattern)]
        w.must(found, f"{name}: there is nothing like {patterns}: {os.listdir(agents[name].folder)}")
        for path in found:
            path.unlink()

    remove("db", "ringback.db")
    remove("wal", "ringback.db-wal")
    remove("lock", "*lock*")
    agents["folder"].folder.rename(w.folder / "elsewhere")
    agents["folder"].log = w.folder / "elsewhere" / agents["folder"].log.name
    moved = agents["moved"].folder
    for file in moved.glob("ringback.db*"):
        file.rename(moved / f"old-{file.name}")
    remove("replaced", "ringback.db*", "*lock*")
    second = w.agent("replaced", numbers=[numbers[5]], port=AGENT_PORT + 9)
    # The lease is renewed every ten seconds.
    w.until(20, lambda: not any(a.is_alive() for a in agents.values()))
    for name, agent in agents.items():
        end = agent.process.poll()
        w.must(end is not None, f"{name}: it goes on without its state")
        w.must(end != 0, f"{name}: it ended with 0, as if all were well")
    leading = sum(a.metric("ringback_leading") for a in (agents["replaced"], second) if a.is_alive())
    w.must(leading <= 1, "two agents lead on one path")
    w.twilio.callers(numbers, True)
    time.sleep(12)
    mine = [n["phone_number"] for pn, n in w.twilio.numbers.items() for r in w.twilio.writes() if pn in r.target]
    wrote = [name for name, number in zip(names, numbers) if number in mine and name != "replaced"]
    w.must(not wrote, f"wrote without a state of their own: {', '.join(wrote)}")
    w.must(mine.count(numbers[5]) <= 1, "two agents wrote to one number")
    stopped = sum(not a.is_alive() for a in agents.values())
    return f"six ways to lose the state, after 20 s {stopped} of 6 had stopped"


def second_agent(w):
    """A second agent on the same state, and the first one, stopped by SIGSTOP past its lease, comes back."""
    agent = w.healthy(4)
    second = w.agent(numbers=some(4), port=AGENT_PORT + 1)
    w.must(w.until(20, second.is_blind), "the second agent does not say that it stands by")
    w.must(second.metric("ringback_leading") == 0, "the second agent leads too")
    os.kill(agent.process.pid, signal.SIGSTOP)
    w.twilio.callers(some(4), True)
    w.must(w.until(60, lambda: len(w.twilio.swapped()) == 4), "the second agent did not take over and swap")
    os.kill(agent.process.pid, signal.SIGCONT)
    ended = w.until(15, lambda: not agent.is_alive())
    w.must(ended or agent.metric("ringback_leading") == 0, "the first agent leads on")
    time.sleep(2)
    w.must(len(w.twilio.writes()) == 4, f"{len(w.twilio.writes())} writes to 4 numbers")
    w.lives(second)
    return f"the second stood by, took over after SIGSTOP; the first ended with {agent.process.poll()}"


def locked_state(w):
    """Somebody opens the state with a tool and leaves a transaction open while callers fail."""
    agent = w.healthy(3)
    held = sqlite3.connect(agent.folder / "ringback.db", isolation_level=None)
    held.execute("BEGIN IMMEDIATE")
    w.twilio.callers(some(3), True)
    time.sleep(12)
    w.must(not w.twilio.writes(), "it wrote what it could not journal")
    w.lives(agent)
    held.execute("ROLLBACK")
    held.close()
    w.must(w.until(30, lambda: len(w.twilio.swapped()) == 3), "it does not go on when the state is free again")
    w.must(len(w.twilio.writes()) == 3, f"{len(w.twilio.writes())} writes to 3 numbers")
    return "a transaction of somebody else for 12 s: nothing was written meanwhile, three numbers afterwards"


def lying_updates(w):
    """Updates that are answered with 200 and not done, or done and cut off, or done and answered with 500."""
    numbers = some(3)
    agent = w.healthy(3)
    pns = [sid("PN", i) for i in range(1, 4)]

    def lie(request):
        if not is_update(request):
            return None
        pn = request.path.split("/")[-1].removesuffix(".json")
        if pn == pns[0]:
            return Reply(200, w.twilio.numbers[pn] | {"voice_url": request.form.get("VoiceUrl", "")})
        w.twilio.honest(request)
        cut_off = iter([b"HTTP/1.1 200 So\r\nContent-Len"])
        return cut_off if pn == pns[1] else Reply(500, {"status": 500, "message": "no"})

    w.twilio.deforms.append(lie)
    agent.post("rollback", 20, all=True)
    time.sleep(15)
    told = agent.channels()
    for number, is_done in zip(numbers, (False, True, True)):
        is_told = [c["is_on_fallback"] for n, c in told.items() if n.endswith(number)]
        w.must(is_told == [is_done], f"{number} is on the fallback: {is_told}, and really: {is_done}")
    per_number = [sum(pn in r.target for r in w.twilio.writes()) for pn in pns]
    w.must(per_number[0] <= 6 and per_number[1:] == [1, 1], f"writes by number: {per_number}")
    w.lives(agent)
    return f"updates that are not done, cut off, or answered with 500: {per_number} writes"


def old_backup(w):
    """The database from before the rollback is put back; an empty key lies beside a new one."""
    agent = w.healthy(3)
    agent.stop()
    for file in agent.folder.glob("ringback.db*"):
        (agent.folder / f"backup-{file.name}").write_bytes(file.read_bytes())
    modes = [f.name for f in agent.folder.glob("ringback.db*") if f.stat().st_mode & 0o077]
    w.must(not modes, f"readable by others: {modes}")
    agent.start()
    w.twilio.callers(some(3), True)
    w.must(w.until(20, lambda: len(w.twilio.swapped()) == 3), "not swapped")
    agent.stop()
    for file in agent.folder.glob("ringback.db*"):
        file.unlink()
    for file in agent.folder.glob("backup-*"):
        file.rename(agent.folder / file.name.removeprefix("backup-"))
    was = len(agent.said())
    agent.start()
    w.must(w.until(15, agent.is_ready), "not ready with the backup")

    def complaints():
        lines = [json.loads(line) for line in agent.said()[was:].splitlines() if line.startswith("{")]
        return [line["message"] for line in lines if line["level"] != "INFO"]

    is_told = w.until(5, lambda: any(re.search("backup|restored|older", message) for message in complaints()))
    w.must(is_told, f"an old backup is not recognised: {[message[:80] for message in complaints()]}")
    w.must(len(w.twilio.writes()) == 3, "it wrote again")
    empty = w.folder / "empty"
    empty.mkdir()
    key = next((f for f in agent.folder.glob("*key*")), None)
    w.must(key, "there is no key")
    (empty / key.name).write_bytes(b"")
    another = w.agent("empty", numbers=some(3), port=AGENT_PORT + 1)
    w.must(w.until(15, another.is_ready), f"an empty key stops the start: {another.said()[-300:]}")
    return "a backup from before three swaps, and a key file that a crash has left empty"


ATTACKS = [
    state_removed, second_agent, one_bad_service, one_bad_item_operator, one_bad_item_detector, hold_in_the_middle,
    hold_in_a_restore, observe_in_the_middle, another_accounts_logs, another_number, old_backup, locked_state,
    lying_updates,
]
