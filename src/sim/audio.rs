//! What a call sounds like, made from scratch: tones, keys, and something like speech.
//!
//! Sound is a function of what answered ([`SoundPart`]s) and of the call's own luck; nothing here knows how
//! Ringback listens. Speech is a buzz through the resonances of a few vowels, in syllables: it has a
//! voice's rhythm, pitch and spectrum, and says nothing. Everything passes mu-law, as on a telephone line.

use std::f64::consts::TAU;

use super::chance::Chance;

/// Samples a second.
pub const RATE: u32 = 8000;

/// A stretch of sound; its length is in seconds.
#[derive(Clone, Debug, PartialEq)]
pub enum SoundPart {
    Silence(f64),
    /// North America's: 2 s on, 4 s off.
    Ringing(f64),
    Busy(f64),
    Reorder(f64),
    /// The three tones before "the number you have dialed…".
    Special,
    /// Keys of a telephone, as `<Play digits>` plays them.
    Keys(String),
    Speech(f64),
}

/// The sound of `parts`, one after the other, cut or filled up to `seconds`.
pub fn render(parts: &[SoundPart], seconds: f64, luck: &mut Chance) -> Vec<i16> {
    let mut out = Vec::new();
    for part in parts {
        match part {
            SoundPart::Silence(seconds) => tone(&mut out, *seconds, &[]),
            SoundPart::Ringing(seconds) => cadence(&mut out, *seconds, &[440.0, 480.0], 2.0, 4.0),
            SoundPart::Busy(seconds) => cadence(&mut out, *seconds, &[480.0, 620.0], 0.5, 0.5),
            SoundPart::Reorder(seconds) => cadence(&mut out, *seconds, &[480.0, 620.0], 0.25, 0.25),
            SoundPart::Special => {
                for (hz, seconds) in [(985.2, 0.38), (1370.6, 0.274), (1776.7, 0.38)] {
                    tone(&mut out, seconds, &[hz]);
                }
            }
            SoundPart::Keys(keys) => keys.chars().filter_map(key).for_each(|pair| {
                tone(&mut out, 0.15, &pair);
                tone(&mut out, 0.1, &[]);
            }),
            SoundPart::Speech(seconds) => speak(&mut out, *seconds, luck),
        }
    }
    out.resize((seconds * f64::from(RATE)) as usize, 0.0);
    out.into_iter().map(|s| companded(s + 4e-4 * (luck.unit() - 0.5))).collect()
}

/// `seconds` of a few frequencies at once, or of nothing.
fn tone(out: &mut Vec<f64>, seconds: f64, hertz: &[f64]) {
    let sample = |i: usize| -> f64 {
        let t = i as f64 / f64::from(RATE);
        hertz.iter().map(|hz| 0.12 * (TAU * hz * t).sin()).sum()
    };
    out.extend((0..(seconds * f64::from(RATE)) as usize).map(sample));
}

fn cadence(out: &mut Vec<f64>, seconds: f64, hertz: &[f64], on: f64, off: f64) {
    let mut left = seconds;
    while left > 0.0 {
        tone(out, on.min(left), hertz);
        tone(out, off.min((left - on).max(0.0)), &[]);
        left -= on + off;
    }
}

/// The two frequencies of a key.
pub fn key(c: char) -> Option<[f64; 2]> {
    let at = "123A456B789C*0#D".find(c)?;
    Some([[697.0, 770.0, 852.0, 941.0][at / 4], [1209.0, 1336.0, 1477.0, 1633.0][at % 4]])
}

/// The first three resonances of some vowels, in Hz.
const VOWELS: [[f64; 3]; 6] = [
    [730.0, 1090.0, 2440.0],
    [530.0, 1840.0, 2480.0],
    [390.0, 1990.0, 2550.0],
    [570.0, 840.0, 2410.0],
    [440.0, 1020.0, 2240.0],
    [640.0, 1190.0, 2390.0],
];

fn speak(out: &mut Vec<f64>, seconds: f64, luck: &mut Chance) {
    let end = out.len() + (seconds * f64::from(RATE)) as usize;
    let voice = luck.between(100.0, 210.0);
    let mut syllable = 0;
    while out.len() < end {
        syllable += 1;
        let pitch = voice * luck.between(0.9, 1.15);
        let glide = luck.between(-0.15, 0.1);
        let vowel = VOWELS[(luck.unit() * VOWELS.len() as f64) as usize % VOWELS.len()];
        voiced(out, luck.between(0.13, 0.26), pitch, glide, vowel);
        // A consonant's hiss, and a breath now and then.
        let hiss = (luck.between(0.03, 0.09) * f64::from(RATE)) as usize;
        out.extend((0..hiss).map(|_| 0.02 * (luck.unit() - 0.5)));
        tone(out, if syllable % 7 == 0 { 0.35 } else { 0.03 }, &[]);
    }
    out.truncate(end);
}

/// One syllable: a pulse at each period of the pitch, through three resonators.
fn voiced(out: &mut Vec<f64>, seconds: f64, pitch: f64, glide: f64, vowel: [f64; 3]) {
    let count = (seconds * f64::from(RATE)) as usize;
    let begin = out.len();
    let mut phase = 1.0;
    let mut states = [[0.0f64; 2]; 3];
    for i in 0..count {
        let through = i as f64 / count as f64;
        phase += pitch * (1.0 + glide * through) / f64::from(RATE);
        let pulse = if phase >= 1.0 { 1.0 } else { 0.0 };
        phase -= pulse;
        let mut sum = 0.0;
        for ((state, hz), gain) in states.iter_mut().zip(vowel).zip([1.0, 0.5, 0.25]) {
            // 80 Hz wide.
            let radius = (-std::f64::consts::PI * 80.0 / f64::from(RATE)).exp();
            let next =
                pulse + 2.0 * radius * (TAU * hz / f64::from(RATE)).cos() * state[0] - radius * radius * state[1];
            *state = [next, state[0]];
            sum += gain * next;
        }
        out.push(sum * (std::f64::consts::PI * through).sin());
    }
    // All vowels are about as loud.
    let square: f64 = out[begin..].iter().map(|s| s * s).sum::<f64>() / count.max(1) as f64;
    let gain = 0.1 / square.sqrt().max(1e-9);
    out[begin..].iter_mut().for_each(|s| *s *= gain);
}

/// A sample as mu-law leaves it (G.711): steps that grow with the level.
fn companded(sample: f64) -> i16 {
    let full = (sample.clamp(-0.98, 0.98) * 32768.0) as i32;
    let biased = full.abs() + 132;
    let step = 1 << (31 - biased.leading_zeros() as i32 - 4);
    let size = (biased / step * step + step / 2 - 132).max(0);
    (if full < 0 { -size } else { size }) as i16
}

/// A WAV file of 16-bit PCM.
pub fn wav(channels: &[Vec<i16>]) -> Vec<u8> {
    let count = channels.iter().map(Vec::len).max().unwrap_or_default();
    let data = (count * channels.len() * 2) as u32;
    let frame = channels.len() as u16 * 2;
    let mut out = Vec::with_capacity(44 + data as usize);
    out.extend(b"RIFF");
    out.extend((36 + data).to_le_bytes());
    out.extend(b"WAVEfmt \x10\0\0\0\x01\0");
    out.extend((channels.len() as u16).to_le_bytes());
    out.extend(RATE.to_le_bytes());
    out.extend((RATE * u32::from(frame)).to_le_bytes());
    out.extend(frame.to_le_bytes());
    out.extend(b"\x10\0data");
    out.extend(data.to_le_bytes());
    for i in 0..count {
        for channel in channels {
            out.extend(channel.get(i).copied().unwrap_or_default().to_le_bytes());
        }
    }
    out
}
