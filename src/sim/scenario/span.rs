//! Spans of time as people write them: `"90s"`, `"1h 30m"`, `"40ms"`.

use std::borrow::Cow;
use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer};

fn parse(text: &str) -> Result<Duration, String> {
    text.parse::<jiff::SignedDuration>()
        .ok()
        .and_then(|d| Duration::try_from(d).ok())
        .ok_or_else(|| format!("{text:?} is not a span of time; write one like \"90s\", \"5m\" or \"1h 30m\""))
}

pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
    parse(&Cow::<str>::deserialize(d)?).map_err(D::Error::custom)
}

/// A span that need not be there.
pub mod option {
    use super::*;

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Duration>, D::Error> {
        super::deserialize(d).map(Some)
    }
}

/// From one span to another.
pub mod range {
    use super::*;

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<[Duration; 2], D::Error> {
        let [from, to] = <[Cow<'de, str>; 2]>::deserialize(d)?;
        let range = [parse(&from).map_err(D::Error::custom)?, parse(&to).map_err(D::Error::custom)?];
        if range[0] > range[1] {
            return Err(D::Error::custom(format!("the range runs backwards: {from} to {to}; write the shorter first")));
        }
        Ok(range)
    }
}

/// Spans by name.
pub mod map {
    use std::collections::BTreeMap;

    use super::*;

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<BTreeMap<String, Duration>, D::Error> {
        BTreeMap::<String, Cow<'de, str>>::deserialize(d)?
            .into_iter()
            .map(|(k, v)| parse(&v).map(|v| (k, v)).map_err(D::Error::custom))
            .collect()
    }
}
