"""Sounds of a telephone line, made by sox and espeak-ng and not by Ringback.

    audio.py DIRECTORY

writes clips and an index of them: file, what is on it, condition; tab-separated. Each sound comes clean
(and companded, on either channel, loud and faint) and with white noise. The signal-to-noise ratio is
that of the sound while it sounds to noise over the whole 0 to 4 kHz. multimon-ng has to decode every
clean digit as well, or this fails.
"""

import array
import math
import pathlib
import subprocess
import sys
import wave

out = pathlib.Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)
for old in out.glob("*"):
    old.unlink()


def sox(*args):
    # -R: its noise is the same every time.
    subprocess.run(["sox", "-V1", "-R", *map(str, args)], check=True)


def piece(name, seconds, *hertz, volume=0.25):
    """A stretch of tones, or of nothing."""
    path = out / f"part-{name}.wav"
    synth = ["synth", seconds, "sine", hertz[0]] if hertz else ["trim", 0, seconds]
    for hz in hertz[1:]:
        synth += ["synth", seconds, "sine", "mix", hz]
    sox("-n", "-r", 8000, "-c", 1, "-b", 16, path, *synth, *(["vol", volume] if hertz else []))
    return path


def row(name, *parts):
    path = out / f"base-{name}.wav"
    sox(*parts, path)
    return path


def say(name, voice, speed, text):
    path, raw = out / f"base-{name}.wav", out / f"part-{name}.wav"
    subprocess.run(["espeak-ng", "-v", voice, "-s", str(speed), "-w", raw, text], check=True)
    # As a telephone line passes it, at -26 dB or so.
    sox(raw, "-r", 8000, "-c", 1, "-b", 16, path, "sinc", "300-3400", "norm", -9, "pad", 0.3, 0.3)
    return path


gaps = {s: piece(f"gap{s}", s) for s in (0.05, 0.1, 0.2, 0.25, 0.4, 0.5, 1, 2, 4)}
sounds = []  # (name, class, path)


def add(name, kind, *parts):
    sounds.append((name, kind, row(name, *parts)))


add("nothing", "silence", gaps[4])
for hiss in ("pink", "brown", "white"):
    sox("-n", "-r", 8000, "-c", 1, "-b", 16, out / f"part-{hiss}.wav", "synth", 6, f"{hiss}noise", "vol", 0.1)
    add(f"hiss-{hiss}", "silence", out / f"part-{hiss}.wav")

us_ring, eu_ring = piece("us-ring", 2, 440, 480), piece("eu-ring", 1, 425)
uk_ring = piece("uk-ring", 0.4, 400, 450)
add("ringback-us", "ringback", gaps[1], us_ring, gaps[4], us_ring)
add("ringback-us-cut", "ringback", us_ring, gaps[1])
add("ringback-eu", "ringback", gaps[0.5], eu_ring, gaps[4], eu_ring, gaps[2])
add("ringback-uk", "ringback", uk_ring, gaps[0.2], uk_ring, gaps[2], uk_ring, gaps[0.2], uk_ring, gaps[1])
for name, hertz, on in [
    ("us", (480, 620), 0.5), ("eu", (425,), 0.5), ("de", (425,), 0.48), ("uk", (400,), 0.375), ("fr", (440,), 0.5),
]:
    burst, gap = piece(f"busy-{name}", on, *hertz), piece(f"busygap-{name}", on)
    add(f"busy-{name}", "busy", gaps[0.4], *([burst, gap] * 5))
for name, hertz, on, off in [
    ("us", (480, 620), 0.25, 0.25), ("us-toll", (480, 620), 0.2, 0.3), ("us-local", (480, 620), 0.3, 0.2),
    ("eu", (425,), 0.25, 0.25), ("de", (425,), 0.24, 0.24),
]:
    burst, gap = piece(f"reorder-{name}", on, *hertz), piece(f"reordergap-{name}", off)
    add(f"reorder-{name}", "reorder", gaps[0.4], *([burst, gap] * 8))

words = {
    "hello": "Thank you for calling. Please hold while we connect you to the next free agent.",
    "menu": "For sales, press one. For support, press two. To hear this again, press the star key.",
    "closed": "Our office is closed. Please leave a message after the tone, and we will call you back tomorrow.",
    "sorry": "We are sorry. An application error has occurred. Goodbye.",
}
voices = ["en-us", "en-gb", "en-us+f2", "en-us+f4", "en-us+m3", "en-us+m7", "en-gb+f3", "en-gb-scotland"]
for i, voice in enumerate(voices):
    for j, (name, text) in enumerate(words.items()):
        speed = 140 if (i + j) % 2 == 0 else 180
        clip = f"speech-{voice}-{name}-{speed}"
        sounds.append((clip, "speech", say(clip, voice, speed, text)))
# The voices that come nearest to a tone.
for name in ("hello", "closed"):
    sounds.append((f"speech-high-{name}", "speech", say(f"speech-high-{name}", "en-us+f4", 140, words[name])))
for voice, text in {
    "de": "Guten Tag. Bitte einen Moment Geduld, der Anruf wird gleich verbunden.",
    "fr": "Bonjour. Veuillez patienter, un conseiller va vous répondre.",
    "es": "Gracias por llamar. Por favor, espere en la línea.",
    "cmn": "您好，请稍候。我们的客服人员会尽快为您服务。",
}.items():
    sounds.append((f"speech-{voice}", "speech", say(f"speech-{voice}", voice, 160, text)))

vacant = say("vacant", "en-us", 160, "The number you have dialed is not in service. Please check the number and dial again.")
low1, high1, low2, high2, third = 913.8, 985.2, 1370.6, 1428.5, 1776.7
special = {
    "intercept": [(low1, 0.274), (low2, 0.274), (third, 0.38)],
    "vacant": [(high1, 0.38), (low2, 0.274), (third, 0.38)],
    "reorder": [(low1, 0.274), (high2, 0.38), (third, 0.38)],
    "circuits": [(high1, 0.38), (high2, 0.38), (third, 0.38)],
    "e180": [(950, 0.33), (1400, 0.33), (1800, 0.33)],
}
for name, tones in special.items():
    parts = [piece(f"special-{name}-{i}", seconds, hz) for i, (hz, seconds) in enumerate(tones)]
    add(f"special-{name}", "special_information", gaps[0.5], *parts, gaps[1])
    add(f"special-{name}-said", "special_information+speech", gaps[0.25], *parts, gaps[0.2], vacant)

keys = {
    key: (lower, upper)
    for lower, line in zip((697, 770, 852, 941), ("123A", "456B", "789C", "*0#D"))
    for upper, key in zip((1209, 1336, 1477, 1633), line)
}
names = {"*": "star", "#": "hash"}


def digits(text, on, off):
    parts = []
    for key in text:
        parts += [piece(f"key{names.get(key, key)}-{on}", on, *keys[key], volume=0.35), off]
    return parts


def decoded(path):
    raw = subprocess.run(
        ["sox", path, "-t", "raw", "-r", "22050", "-e", "signed", "-b", "16", "-c", "1", "-"], check=True, capture_output=True
    ).stdout
    said = subprocess.run(["multimon-ng", "-q", "-a", "DTMF", "-t", "raw", "-"], input=raw, check=True, capture_output=True).stdout
    return "".join(line.split(b": ")[1].decode() for line in said.splitlines() if line.startswith(b"DTMF: "))


checked = 0
for text, on, off in [
    *((key, 0.1, gaps[0.1]) for key in keys),
    ("42", 0.1, gaps[0.1]), ("0815", 0.1, gaps[0.1]), ("5551212", 0.1, gaps[0.05]), ("*77#", 0.1, gaps[0.1]), ("99", 0.25, gaps[0.25]),
]:
    name = "dtmf-" + "".join(names.get(k, k) for k in text) + f"-{on}"
    add(name, f"dtmf:{text}", gaps[0.4], *digits(text, on, off), gaps[0.4])
    path = sounds[-1][2]
    if decoded(path) != text:
        sys.exit(f"multimon-ng decodes {name} as {decoded(path)!r}, not {text!r}")
    checked += 1
# Shorter than multimon-ng decodes reliably, and within Q.24.
for text in ("5", "147", "2580"):
    add(f"dtmf-{text}-0.06", f"dtmf:{text}", gaps[0.4], *digits(text, 0.06, gaps[0.05]), gaps[0.4])

for hz in (700, 1000, 1100, 1340, 2100, 2600, 3000):
    add(f"tone-{hz}", f"tone:{hz}", gaps[0.5], piece(f"tone-{hz}", 1, hz), gaps[0.5])

hello = out / "base-speech-en-us-hello-140.wav"
female = out / "base-speech-en-us+f2-closed-140.wav"
add("ring-then-speech", "ringback+speech", us_ring, gaps[2], hello)
add("ring-eu-then-speech", "ringback+speech", eu_ring, gaps[4], female)
add("speech-then-key", "dtmf:5+speech", hello, *digits("5", 0.1, gaps[0.1]), gaps[0.4])
add("keys-then-speech", "dtmf:42+speech", gaps[0.4], *digits("42", 0.1, gaps[0.1]), gaps[0.2], female)
add("tone-then-speech", "tone:1100+speech", gaps[0.4], piece("mark", 1, 1100), gaps[0.2], hello)
add("speech-then-busy", "busy+speech", female, gaps[0.5], *([out / "part-busy-us.wav", out / "part-busygap-us.wav"] * 4))


def loudness(path):
    """Root mean square of what sounds: windows of 20 ms within 30 dB of the loudest."""
    with wave.open(str(path)) as f:
        samples = array.array("h", f.readframes(f.getnframes()))
    squares = [sum(s * s for s in samples[i : i + 160]) / 160 for i in range(0, len(samples) - 159, 160)]
    loud = [s for s in squares if s >= max(squares) / 1000]
    return math.sqrt(sum(loud) / len(loud)) / 32768, len(samples) / 8000


noise = out / "part-noise.wav"
sox("-n", "-r", 8000, "-c", 1, "-b", 16, noise, "synth", 60, "whitenoise", "vol", 0.5)
noise_loudness = loudness(noise)[0]
count = 0
with open(out / "index.tsv", "w") as index:

    def clip(name, kind, condition, *args):
        global count
        sox(*args[0], out / f"{name}.{condition}.wav", *args[1])
        index.write(f"{name}.{condition}.wav\t{kind}\t{condition}\n")
        count += 1

    for nth, (name, kind, path) in enumerate(sounds):
        loud, seconds = loudness(path)
        clip(name, kind, "clean", [path], [])
        clip(name, kind, "clean-mulaw", [path, "-e", "mu-law"], [])
        clip(name, kind, "clean-right", [path, "-e", "mu-law"], ["remix", 0, 1])
        clip(name, kind, "clean-left-loud", [path], ["norm", -1, "remix", 1, 0])
        clip(name, kind, "clean-at-30dB", [path], ["gain", 20 * math.log10(10 ** (-30 / 20) / loud) if loud else 0])
        for level in (36, 44, 48, 52):
            if loud:
                gain = 20 * math.log10(10 ** (-level / 20) / loud)
                clip(name, kind, f"faint-{level}dB", [path, "-e", "mu-law"], ["gain", gain])
        # Nothing but noise, or the sound in noise. Loud sounds are lowered, so that nothing clips.
        part = out / "part-noise-now.wav"
        sox(noise, part, "trim", nth % 50, seconds)
        for snr in (20, 10, 5, 3, 0, -3):
            sound = 10 ** (-24 / 20) / loud if loud else 1
            hiss = 10 ** ((-24 - snr) / 20) / noise_loudness
            clip(name, kind, f"noise{snr:+03d}dB", ["-m", "-v", sound, path, "-v", hiss, part, "-e", "mu-law"], [])

print(f"{count} clips of {len(sounds)} sounds; multimon-ng decodes the same {checked} rows of digits")
