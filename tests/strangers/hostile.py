"""Hostile Twilios, hostile receivers, hostile neighbours, and the whole binary before them: under `ulimit -v`, each
attack in a user, process and network namespace of its own with nothing but loopback.

    hostile.py RINGBACK              every attack, some at a time; ends with 1 if any has succeeded, and names it
    hostile.py RINGBACK ATTACK…      these alone
    hostile.py --list

An honest run goes first, for what it does not do proves nothing when it is not done under attack. The line of an
attack says what was tried and what became of it. `HOSTILE_AT_ONCE` says how many are tried at a time,
`HOSTILE_LOGS` names a folder for the agents' logs.
"""

import concurrent.futures
import fcntl
import json
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import sys
import time
import traceback

import hostile_answers
import hostile_neighbours
import hostile_receivers
import hostile_writes
from hostile_agent import World

# By name, the longest first: they are tried side by side.
ATTACKS = {
    attack.__name__.replace("_", "-"): attack
    for part in (hostile_writes, hostile_answers, hostile_receivers, hostile_neighbours)
    for attack in part.ATTACKS
}
# No attack needs as long, unless the agent hangs.
LONGEST_S = 100
UNSHARE = ["unshare", "--user", "--map-root-user", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]


def inside(ringback, name):
    """One attack, where nobody else is."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        # The loopback interface, up and running.
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh", b"lo", 0x41))
    world = World(ringback)
    try:
        became = ATTACKS[name](world)
    except Exception:
        became = "the attack itself broke"
        world.faults.append(traceback.format_exc(limit=-3))
    figures = world.figures()
    if logs := os.environ.get("HOSTILE_LOGS"):
        pathlib.Path(logs).mkdir(parents=True, exist_ok=True)
        for number, agent in enumerate(world.agents):
            shutil.copy(agent.log, pathlib.Path(logs) / f"{name}.{number}.log")
    world.end()
    print(json.dumps({"became": became, "figures": figures, "faults": world.faults}))


def tried(ringback, name):
    began = time.monotonic()
    command = [*UNSHARE, sys.executable, __file__, ringback, "--inside", name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_S, stdin=subprocess.DEVNULL)
        result = json.loads(done.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired:
        result = {"became": "", "figures": "", "faults": [f"it did not end within {LONGEST_S} s"]}
    except (IndexError, ValueError):
        result = {"became": "", "figures": "", "faults": [f"ended with {done.returncode}: {done.stderr[-2000:]}"]}
    outcome = "SUCCEEDED" if result["faults"] else "held"
    took = time.monotonic() - began
    said = "".join(f"\n    {fault}" for fault in result["faults"])
    print(f"{name:20} {outcome:9} {took:4.0f} s  {result['became']}; {result['figures']}{said}", flush=True)
    return result["faults"]


def main():
    arguments = sys.argv[1:]
    if arguments == ["--list"]:
        for name, attack in ATTACKS.items():
            print(f"{name:20} {' '.join(attack.__doc__.split())}")
        return
    ringback = os.path.realpath(arguments[0])
    if arguments[1:2] == ["--inside"]:
        inside(ringback, arguments[2])
        return
    # What an honest run does not do proves nothing when it is not done under attack.
    if tried(ringback, "honest"):
        sys.exit("FAILED: the honest run")
    names = arguments[1:] or [name for name in ATTACKS if name != "honest"]
    with concurrent.futures.ThreadPoolExecutor(int(os.environ.get("HOSTILE_AT_ONCE", 8))) as some_at_a_time:
        faults = list(some_at_a_time.map(lambda name: tried(ringback, name), names))
    succeeded = [name for name, found in zip(names, faults) if found]
    if succeeded:
        sys.exit(f"FAILED: {len(succeeded)} of {len(names)} attacks succeeded: {', '.join(succeeded)}")
    print(f"{len(names)} attacks, none of which succeeded")


if __name__ == "__main__":
    main()
