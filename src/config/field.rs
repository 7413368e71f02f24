//! Values that both a section of the file and a column of `numbers_file` may have.

use jiff::tz::TimeZone;

use crate::core::model::id::{Channel, E164};

/// A number with all its digits, as far as that can be told.
#[derive(Debug, Clone, Copy)]
pub struct WholeNumber(pub E164);

impl std::str::FromStr for WholeNumber {
    type Err = String;

    fn from_str(text: &str) -> Result<WholeNumber, String> {
        let number: E164 = text.parse().map_err(|e: crate::core::model::id::BadId| e.to_string())?;
        match incomplete(number) {
            None => Ok(WholeNumber(number)),
            Some(problem) => Err(format!("{text:?} {problem}")),
        }
    }
}

/// What is wrong with a number that has too few or too many digits, and the cure.
pub fn incomplete(number: E164) -> Option<String> {
    let digits = number.to_string().len() - "+1".len();
    let problem = || {
        format!(
            "has {digits} digits after +1, and numbers of North America have ten: look the number up and write it whole"
        )
    };
    (!number.is_complete()).then(problem)
}

/// Channels from words, as a CSV field has them.
pub fn channels<'a>(words: impl Iterator<Item = &'a str>) -> Result<[bool; 2], String> {
    let mut on = [false; 2];
    for word in words.filter(|w| !w.is_empty()) {
        let channel: Channel = word.parse().map_err(|e: crate::core::model::id::BadId| e.to_string())?;
        on[channel.index()] = true;
    }
    if on == [false; 2] {
        return Err("names none: write voice, messaging or both, or leave the field empty".to_owned());
    }
    Ok(on)
}

/// A name of the time zone database, or a fixed offset such as `-05:00`.
pub fn time_zone(name: &str) -> Result<TimeZone, String> {
    if name.starts_with(['+', '-']) {
        let offset = name.get(1..).unwrap_or_default().split_once(':').and_then(|(h, m)| {
            let (h, m): (i32, i32) = (h.parse().ok()?, m.parse().ok()?);
            let seconds = (h * 60 + m) * 60 * if name.starts_with('-') { -1 } else { 1 };
            (h <= 15 && m <= 59).then_some(seconds)
        });
        return offset
            .and_then(|seconds| jiff::tz::Offset::from_seconds(seconds).ok())
            .map(TimeZone::fixed)
            .ok_or_else(|| format!("{name:?} is not an offset such as -05:00"));
    }
    TimeZone::get(name).map_err(|_| {
        format!("{name:?} is not a time zone; use a name such as America/New_York, or an offset such as -05:00")
    })
}
