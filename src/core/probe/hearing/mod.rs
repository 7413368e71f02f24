//! What a recorded test call sounds like: the tones by which telephone networks say "ringing",
//! "busy" or "not in service", a marker played on purpose, speech, or nothing.
//!
//! Why listen at all: a call that was answered, lasted and left no alert may still have played the
//! wrong thing to its caller, and the call's log says nothing of it.
//!
//! How: each channel is looked at three times. [`tones`] takes 100 ms windows, long enough to tell
//! 440 from 480 Hz, follows what stays at its frequency, and reads the cadence. [`digits`] takes
//! 30 ms windows, short enough for a keypad digit. [`speech`] looks for voiced sound whose pitch
//! moves, where no tone was found. Everything compares a sound with the rest of its own window, so
//! it does not depend on the level; what is fainter than [`QUIETEST`] is nothing.
//!
//! Promises: any samples give an answer; the same samples give the same answer; which channel of the
//! recording is whose does not matter, for Twilio's own pages disagree on it. How faint and how noisy
//! it may get is measured on sounds made by others (`tests/strangers/audio`).
//!
//! Absent: words. Speech is known to be speech, not what it says; and music may be taken for it.

mod digits;
mod expect;
mod speech;
mod tones;
mod window;

#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

pub use digits::Digit;
pub use expect::{BadMarker, Expectation, HeardFault, Marker, judge};

/// Samples a second: what telephone networks carry and Twilio records.
pub const RATE: u32 = 8000;

/// Longest recording that is listened to. A test call is cut long before.
pub const LONGEST: Duration = Duration::from_secs(600);

/// Mean square below which a window holds nothing: −60 dB under full scale. Speech on a line is at
/// −36 to −16 dB (ITU-T G.168), and companded silence at −72.
const QUIETEST: f32 = 1e-6;

/// Silence is told from this length on; shorter ones lie between words.
const SHORTEST_SILENCE: u32 = RATE;

/// A recording, as far as it can be listened to.
#[derive(Clone, PartialEq, Eq)]
pub struct Recording {
    channels: Vec<Vec<i16>>,
}

/// Why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadRecording {
    #[error("the recording has {0} samples a second; only 8000 can be listened to")]
    Rate(u32),
    #[error("the recording has {0} channels; only 1 or 2 can be listened to")]
    Channels(usize),
    #[error("the recording is longer than 10 minutes: limit the test call's time")]
    TooLong,
}

impl Recording {
    /// A recording of `channels` (one or two) at `rate` samples a second.
    pub fn new(rate: u32, channels: Vec<Vec<i16>>) -> Result<Recording, BadRecording> {
        let samples = channels.iter().map(Vec::len).max().unwrap_or_default();
        Recording::check(rate, channels.len(), samples)?;
        Ok(Recording { channels })
    }

    /// Whether there can be such a recording, of so many samples a channel.
    pub fn check(rate: u32, channels: usize, samples: usize) -> Result<(), BadRecording> {
        if rate != RATE {
            return Err(BadRecording::Rate(rate));
        }
        if !matches!(channels, 1 | 2) {
            return Err(BadRecording::Channels(channels));
        }
        if samples as u64 > LONGEST.as_secs() * u64::from(RATE) {
            return Err(BadRecording::TooLong);
        }
        Ok(())
    }

    pub fn channels(&self) -> &[Vec<i16>] {
        &self.channels
    }

    pub fn duration(&self) -> Duration {
        let samples = self.channels.iter().map(Vec::len).max().unwrap_or_default();
        Span { from: 0, to: samples as u32 }.duration()
    }
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recording({} channels, {:?})", self.channels.len(), self.duration())
    }
}

/// What was heard.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    pub duration: Duration,
    /// In the order of their beginnings.
    pub sounds: Vec<Sound>,
}

/// A sound, on one channel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sound {
    pub kind: SoundKind,
    /// From 0.
    pub channel: usize,
    pub span: Span,
}

/// Kinds of sound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SoundKind {
    /// Nothing, or a hiss, for at least a second.
    Silence,
    Ringback,
    Busy,
    /// Also called congestion, or fast busy.
    Reorder,
    /// Three rising tones: the network is about to say why the call failed.
    SpecialInformation,
    Digit(Digit),
    /// A single steady tone, in Hz.
    Tone(f32),
    Speech,
}

impl SoundKind {
    pub const fn label(self) -> &'static str {
        match self {
            SoundKind::Silence => "silence",
            SoundKind::Ringback => "ringback",
            SoundKind::Busy => "busy",
            SoundKind::Reorder => "reorder",
            SoundKind::SpecialInformation => "special_information",
            SoundKind::Digit(_) => "digit",
            SoundKind::Tone(_) => "tone",
            SoundKind::Speech => "speech",
        }
    }
}

/// A stretch of a recording, in samples: at 8,000 a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub from: u32,
    /// Past the last.
    pub to: u32,
}

impl Span {
    pub const fn samples(self) -> u32 {
        self.to.saturating_sub(self.from)
    }

    pub fn duration(self) -> Duration {
        Duration::from_micros(u64::from(self.samples()) * 1_000_000 / u64::from(RATE))
    }
}

impl Heard {
    /// Whether there is a sound of this kind.
    fn has(&self, is: impl Fn(SoundKind) -> bool) -> bool {
        self.sounds.iter().any(|s| is(s.kind))
    }

    /// How much speech there is on the channel that has most of it.
    pub fn speech(&self) -> Duration {
        let of = |channel| {
            self.sounds
                .iter()
                .filter(|s| s.channel == channel && s.kind == SoundKind::Speech)
                .map(|s| s.span.duration())
                .sum()
        };
        [0, 1].into_iter().map(of).max().unwrap_or_default()
    }

    /// The digits of a channel, in their order.
    pub fn digits(&self, channel: usize) -> Vec<Digit> {
        let digit = |s: &Sound| match s.kind {
            SoundKind::Digit(digit) if s.channel == channel => Some(digit),
            SoundKind::Digit(_)
            | SoundKind::Silence
            | SoundKind::Ringback
            | SoundKind::Busy
            | SoundKind::Reorder
            | SoundKind::SpecialInformation
            | SoundKind::Tone(_)
            | SoundKind::Speech => None,
        };
        self.sounds.iter().filter_map(digit).collect()
    }
}

/// Says what a recording sounds like.
pub fn listen(recording: &Recording) -> Heard {
    let mut sounds = Vec::new();
    for (channel, samples) in recording.channels.iter().enumerate() {
        let signal: Vec<f32> = samples.iter().map(|&s| f32::from(s) / 32768.0).collect();
        let mut found = tones::find(&signal);
        found.extend(digits::find(&signal));
        let speech = speech::find(&signal, &found);
        found.extend(speech);
        found.sort_by_key(|(_, span)| span.from);
        let silence = silences(signal.len() as u32, &found);
        found.extend(silence);
        sounds.extend(found.into_iter().map(|(kind, span)| Sound { kind, channel, span }));
    }
    sounds.sort_by_key(|s| (s.span.from, s.channel));
    Heard { duration: recording.duration(), sounds }
}

/// What lies between the sounds, given in the order of their beginnings.
fn silences(length: u32, sounds: &[(SoundKind, Span)]) -> Vec<(SoundKind, Span)> {
    let end = Span { from: length, to: length };
    let mut at = 0;
    let mut found = Vec::new();
    for span in sounds.iter().map(|(_, span)| *span).chain([end]) {
        let gap = Span { from: at, to: span.from };
        if gap.samples() >= SHORTEST_SILENCE {
            found.push((SoundKind::Silence, gap));
        }
        at = at.max(span.to);
    }
    found
}
