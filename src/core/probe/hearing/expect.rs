//! What a test call was expected to sound like, and in what it fell short.
//!
//! The order matters. The marker, once heard, says who answered, whatever else there was. Without it,
//! what the network says ("not in service", busy) explains more than the absence of what was wanted.
//! Busy tones after speech are how many networks end a call, and are no fault then.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::tones::{E180, SPECIAL, SPECIAL_OFF};
use super::{Digit, Heard, SoundKind};

/// Speech is present from here on: a word or two.
const LEAST_SPEECH: Duration = Duration::from_millis(500);

/// How far off a marker's frequency may be, in Hz: a sound card's clock and the measurement together
/// stay well below.
const OFF: f32 = 15.0;

/// What the right handler plays, so that it can be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Marker {
    /// These keys, one after the other: `dtmf:42`.
    Digits(Vec<Digit>),
    /// A tone of so many Hz, for at least 0.4 s: `tone:1000`.
    Tone(u16),
}

/// Text that is no marker.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadMarker {
    #[error("{0:?} is no marker: write \"dtmf:\" and keys out of 0-9*#A-D, or \"tone:\" and a frequency in Hz")]
    Form(String),
    #[error("a marker of {0} keys is too long: at most 16")]
    Long(usize),
    #[error("a tone of {0} Hz does not pass a telephone line: choose one from 300 to 3400")]
    OffLine(u32),
    #[error(
        "a tone of {0} Hz is what networks play for ringing, busy or \"not in service\": choose another, such as 1100"
    )]
    Taken(u32),
}

impl FromStr for Marker {
    type Err = BadMarker;
    fn from_str(text: &str) -> Result<Marker, BadMarker> {
        let form = || BadMarker::Form(text.chars().take(40).collect());
        match text.split_once(':').ok_or_else(form)? {
            ("dtmf", keys) => {
                let digits: Option<Vec<Digit>> = keys.chars().map(Digit::from_char).collect();
                let digits = digits.filter(|d| !d.is_empty()).ok_or_else(form)?;
                if digits.len() > 16 { Err(BadMarker::Long(digits.len())) } else { Ok(Marker::Digits(digits)) }
            }
            ("tone", hz) => {
                let hz: u32 = hz.parse().map_err(|_| form())?;
                let at = hz as f32;
                match u16::try_from(hz).ok().filter(|_| (300..=3400).contains(&hz)) {
                    None => Err(BadMarker::OffLine(hz)),
                    Some(_) if at <= 620.0 + OFF => Err(BadMarker::Taken(hz)),
                    Some(_) if SPECIAL.iter().any(|s| (at - s).abs() <= SPECIAL_OFF) => Err(BadMarker::Taken(hz)),
                    Some(hz) => Ok(Marker::Tone(hz)),
                }
            }
            _ => Err(form()),
        }
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Marker::Digits(digits) => {
                f.write_str("dtmf:")?;
                digits.iter().try_for_each(|d| write!(f, "{}", d.as_char()))
            }
            Marker::Tone(hz) => write!(f, "tone:{hz}"),
        }
    }
}

impl Serialize for Marker {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Marker {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Marker, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What is wanted of a recording. Nothing wanted still means that nobody's line was busy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expectation {
    pub min_duration: Option<Duration>,
    /// Somebody, or something, speaks.
    pub speech: bool,
    pub marker: Option<Marker>,
}

/// In what a recording falls short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeardFault {
    /// No sound at all.
    DeadAir,
    /// It rang and nobody answered, though the call was up.
    RingbackOnly,
    BusyTone,
    ReorderTone,
    /// The network's three rising tones.
    NotInService,
    /// Another marker than the expected one.
    WrongMarker,
    NoMarker,
    NoSpeech,
    TooShort,
}

impl HeardFault {
    pub const ALL: [HeardFault; 9] = [
        HeardFault::DeadAir,
        HeardFault::RingbackOnly,
        HeardFault::BusyTone,
        HeardFault::ReorderTone,
        HeardFault::NotInService,
        HeardFault::WrongMarker,
        HeardFault::NoMarker,
        HeardFault::NoSpeech,
        HeardFault::TooShort,
    ];

    /// As in metrics and messages.
    pub const fn label(self) -> &'static str {
        match self {
            HeardFault::DeadAir => "dead_air",
            HeardFault::RingbackOnly => "ringback_only",
            HeardFault::BusyTone => "busy_tone",
            HeardFault::ReorderTone => "reorder_tone",
            HeardFault::NotInService => "not_in_service",
            HeardFault::WrongMarker => "wrong_marker",
            HeardFault::NoMarker => "no_marker",
            HeardFault::NoSpeech => "no_speech",
            HeardFault::TooShort => "too_short",
        }
    }
}

impl Heard {
    /// Whether the marker is there, on whichever channel.
    pub fn has_marker(&self, marker: &Marker) -> bool {
        match marker {
            Marker::Digits(wanted) => [0, 1].into_iter().any(|c| {
                let digits = self.digits(c);
                digits.windows(wanted.len()).any(|w| w == wanted.as_slice())
            }),
            Marker::Tone(wanted) => {
                self.has(|k| matches!(k, SoundKind::Tone(hz) if (hz - f32::from(*wanted)).abs() <= OFF))
            }
        }
    }

    fn has_any_marker(&self) -> bool {
        let is_low = |hz: f32| (E180[0] - OFF..=E180[1] + OFF).contains(&hz);
        self.has(|k| matches!(k, SoundKind::Digit(_)) || matches!(k, SoundKind::Tone(hz) if !is_low(hz)))
    }
}

/// Whether `heard` is as expected, or the first reason why not.
pub fn judge(heard: &Heard, expected: &Expectation) -> Result<(), HeardFault> {
    let speaks = heard.speech() >= LEAST_SPEECH;
    let long_enough = match expected.min_duration {
        Some(least) if heard.duration < least => Err(HeardFault::TooShort),
        Some(_) | None => Ok(()),
    };
    let network = if heard.has(|k| k == SoundKind::SpecialInformation) {
        Some(HeardFault::NotInService)
    } else if speaks {
        None
    } else if heard.has(|k| k == SoundKind::Busy) {
        Some(HeardFault::BusyTone)
    } else if heard.has(|k| k == SoundKind::Reorder) {
        Some(HeardFault::ReorderTone)
    } else if heard.has(|k| k == SoundKind::Ringback) {
        Some(HeardFault::RingbackOnly)
    } else {
        None
    };
    let is_silent = !heard.has(|k| k != SoundKind::Silence);
    if let Some(marker) = &expected.marker {
        if !heard.has_marker(marker) {
            let absent = if heard.has_any_marker() {
                HeardFault::WrongMarker
            } else if is_silent {
                HeardFault::DeadAir
            } else {
                HeardFault::NoMarker
            };
            return Err(network.unwrap_or(absent));
        }
    } else if let Some(fault) = network {
        return Err(fault);
    }
    if expected.speech && !speaks {
        return Err(if is_silent { HeardFault::DeadAir } else { HeardFault::NoSpeech });
    }
    long_enough
}
