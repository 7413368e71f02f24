//! Keypad digits (DTMF): ITU-T Q.23 for the frequencies, Q.24 for what a receiver must take.
//!
//! Stricter than Q.24 in one thing: a digit has to last 50 ms and not 40, since what is spoken
//! contains such pairs for a moment, and a marker heard in speech would prove what is not so.

use std::fmt;

use super::window::{Outline, Spectra};
use super::{RATE, SoundKind, Span};

/// 30 ms: two windows fit between the digits of the fastest sender.
const WINDOW: usize = 240;
/// 10 ms.
const HOP: usize = 80;

/// The frequencies of rows and columns, in Hz (Q.23).
const ROWS: [f32; 4] = [697.0, 770.0, 852.0, 941.0];
const COLUMNS: [f32; 4] = [1209.0, 1336.0, 1477.0, 1633.0];
const KEYS: [&[u8; 4]; 4] = [b"123A", b"456B", b"789C", b"*0#D"];

/// How far off a frequency may be. Q.24: 1.5 % must be taken and 3.5 % refused.
const OFF: f32 = 0.025;
/// One may be stronger than the other by so much, as power: 10 dB. Q.24 has administrations with up
/// to 10 dB.
const TWIST: f32 = 0.1;
/// Least share of a window's power in the two.
const SHARE: f32 = 0.45;
/// The next peak, against the weaker of the two.
const RIVAL: f32 = 0.35;
/// Least mean square of the two: −45 dB under full scale.
const FAINTEST: f32 = 3e-5;
/// Windows that must agree: 50 ms.
const SHORTEST: usize = 5;

/// A key of a telephone: `0` to `9`, `*`, `#`, `A` to `D`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digit(u8);

impl Digit {
    pub fn from_char(c: char) -> Option<Digit> {
        let c = u8::try_from(c.to_ascii_uppercase()).ok()?;
        KEYS.iter().any(|row| row.contains(&c)).then_some(Digit(c))
    }

    pub const fn as_char(self) -> char {
        self.0 as char
    }
}

impl fmt::Debug for Digit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_char())
    }
}

/// The digits of a channel.
pub fn find(signal: &[f32]) -> Vec<(SoundKind, Span)> {
    let mut spectra = Spectra::new(WINDOW, 0);
    let mut found = Vec::new();
    // Windows that agree on a digit: number and power.
    let mut row: Vec<(usize, f32)> = Vec::new();
    let mut digit = None;
    for nth in 0..signal.len().saturating_sub(WINDOW) / HOP + 1 {
        let from = nth * HOP;
        let now = digit_of(&spectra.outline(&signal[from..(from + WINDOW).min(signal.len())]));
        let goes_on = now.is_some_and(|(d, _)| Some(d) == digit) && row.last().is_some_and(|(last, _)| nth - last <= 2);
        if let Some((next, power)) = now {
            if !goes_on {
                found.extend(digit.into_iter().flat_map(|d| spans(d, &row)));
                row.clear();
                digit = Some(next);
            }
            row.push((nth, power));
        }
    }
    found.extend(digit.into_iter().flat_map(|d| spans(d, &row)));
    found
}

/// The stretches of a row in which the digit was held: where its power falls to a quarter and less, the
/// window is more than half out of it, and what follows is the same key pressed again.
fn spans(digit: Digit, row: &[(usize, f32)]) -> Vec<(SoundKind, Span)> {
    let full = row.iter().map(|w| w.1).fold(0.0, f32::max);
    let loud: Vec<usize> = row.iter().filter(|w| w.1 >= 0.25 * full).map(|w| w.0).collect();
    loud.chunk_by(|a, b| b - a <= 2)
        .filter(|held| held.len() >= SHORTEST)
        .map(|held| {
            // The middles of the first and the last window are its ends.
            let half = WINDOW / 2;
            let span = Span { from: (held[0] * HOP + half) as u32, to: (held[held.len() - 1] * HOP + half + 1) as u32 };
            (SoundKind::Digit(digit), span)
        })
        .collect()
}

/// The digit that a window holds, and its power.
fn digit_of(outline: &Outline) -> Option<(Digit, f32)> {
    let Outline { peaks: [first, second, third], total } = *outline;
    let both = first.power + second.power;
    let is_pair = both >= FAINTEST
        && both >= SHARE * total
        && second.power >= TWIST * first.power
        && third.power <= RIVAL * second.power;
    if !is_pair {
        return None;
    }
    let (low, high) = if first.hz < second.hz { (first, second) } else { (second, first) };
    let nearest = |hz: f32, all: &[f32; 4]| all.iter().position(|f| (hz - f).abs() <= OFF * f);
    let key = KEYS[nearest(low.hz, &ROWS)?][nearest(high.hz, &COLUMNS)?];
    Some((Digit(key), both))
}

const _: () = assert!(HOP as u32 * 100 == RATE, "a hop is 10 ms");
