//! What a request sees, and the small pieces that all answers are made of.

use std::fmt;
use std::time::Duration;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::date::{DAY, DateAsked, Iso, Rfc2822};
use super::error::ApiError;
use super::page::{Envelope, Paging, Query, RowBody, bad_token};
use super::route::Route;
use crate::core::model::id::{AccountSid, TrunkSid};
use crate::core::model::time::Time;
use crate::sim::log::{Between, Slice};
use crate::sim::row::WITHHELD;
use crate::sim::scenario::DateFilters;
use crate::sim::world::World;

/// The answer's body, or Twilio's refusal.
pub type ResourceAnswer = Result<Vec<u8>, ApiError>;

/// A request and the world it looks at.
pub struct ResourceView<'a> {
    pub world: &'a World,
    pub route: Route<'a>,
    pub path: &'a str,
    pub query: &'a Query,
    /// Scheme and host under which the client knows us.
    pub base: &'a str,
    /// By how much Twilio's clock is wrong.
    pub skew: Duration,
}

impl ResourceView<'_> {
    pub fn account(&self) -> AccountSid {
        self.world.scenario.account.sid
    }

    /// The instant that the lists of this request show.
    pub fn listed(&self) -> Time {
        self.world.view(self.route.class)
    }

    /// The instant that a resource fetched by its SID shows.
    pub fn is_fetched_at_once(&self) -> bool {
        self.world.scenario.api.fetch_is_immediate
    }

    pub fn rfc2822(&self, t: Time) -> Rfc2822 {
        Rfc2822(t + self.skew)
    }

    pub fn iso(&self, t: Time) -> Iso {
        Iso(t + self.skew)
    }

    pub fn not_found(&self) -> ApiError {
        ApiError::not_found(self.path)
    }

    /// The page that is asked for.
    pub fn paging(&self) -> Result<Paging, ApiError> {
        Paging::of(self.query, self.world.scenario.api.larger_page)
    }

    /// A list of the 2010 API.
    pub fn list_2010<'r, T, B: RowBody>(
        &self,
        key: &'static str,
        paging: &Paging,
        slice: Option<Slice<'r, T>>,
        body: impl Fn(&'r T) -> B,
    ) -> ResourceAnswer {
        self.list(key, None, paging, slice, body)
    }

    /// A list of a later API.
    pub fn list_v1<'r, T, B: RowBody>(
        &self,
        key: &'static str,
        paging: &Paging,
        slice: Option<Slice<'r, T>>,
        body: impl Fn(&'r T) -> B,
    ) -> ResourceAnswer {
        self.list(key, Some(self.base), paging, slice, body)
    }

    fn list<'r, T, B: RowBody>(
        &self,
        key: &'static str,
        base: Option<&str>,
        paging: &Paging,
        slice: Option<Slice<'r, T>>,
        body: impl Fn(&'r T) -> B,
    ) -> ResourceAnswer {
        let slice = slice.ok_or_else(bad_token)?;
        Ok(Envelope { key, base, path: self.path, query: self.query, paging }.render(&slice, body))
    }

    fn asked(&self, name: &str) -> Option<DateAsked> {
        self.query.get(name).and_then(DateAsked::parse)
    }

    /// The span of time that `name`, `name>` and `name<` ask for.
    ///
    /// By the day, as Twilio documents it: `<` a day stops at its midnight, so that `>` and `<` the
    /// same day find nothing. Or to the instant, if the scenario says so.
    pub fn between(&self, name: &str) -> Between {
        let (on, from, to) = (self.asked(name), self.asked(&format!("{name}>")), self.asked(&format!("{name}<")));
        let just_after = |t: Time| t + Duration::from_millis(1);
        let mut between = match self.world.scenario.api.date_filters {
            DateFilters::Day => Between { from: from.map(DateAsked::day), before: to.map(|t| just_after(t.day())) },
            DateFilters::Exact => {
                Between { from: from.map(DateAsked::instant), before: to.map(|t| just_after(t.instant())) }
            }
        };
        if let Some(on) = on {
            between.from = between.from.max(Some(on.day()));
            between.before = Some(between.before.map_or(on.day() + DAY, |b| b.min(on.day() + DAY)));
        }
        between
    }

    /// The span between two bounds that both count, to the second.
    pub fn inclusive(&self, from: &str, to: &str) -> Between {
        let end = |asked| match asked {
            DateAsked::Day(t) => t + DAY,
            DateAsked::Instant(t) => t.floor_to_second() + Duration::from_secs(1),
        };
        Between { from: self.asked(from).map(DateAsked::instant), before: self.asked(to).map(end) }
    }
}

/// One resource as JSON.
pub fn one(body: &impl Serialize) -> ResourceAnswer {
    Ok(serde_json::to_vec(body).expect("resources are strings, numbers and maps with string keys"))
}

/// Anything that prints, as a JSON string.
pub struct ResourceText<T>(pub T);

impl<T: fmt::Display> Serialize for ResourceText<T> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(&self.0)
    }
}

/// A telephone number as Twilio writes it; a withheld one is a word.
pub struct Phone(pub u64);

impl Serialize for Phone {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            withheld @ 0..=8 => s.serialize_str(WITHHELD[withheld as usize]),
            digits => s.collect_str(&format_args!("+{digits}")),
        }
    }
}

/// Whom a call reached: a number, or over a trunk its SIP URI.
pub struct Reached {
    pub digits: u64,
    pub trunk: Option<TrunkSid>,
}

impl Serialize for Reached {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self.trunk {
            None => Phone(self.digits).serialize(s),
            Some(sid) => s.collect_str(&format_args!("sip:+{}@{};transport=udp", self.digits, trunk_domain(sid))),
        }
    }
}

/// The same for people to read.
pub struct ReachedFormatted(pub Reached);

impl Serialize for ReachedFormatted {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self.0.trunk {
            None => Formatted(self.0.digits).serialize(s),
            Some(_) => self.0.serialize(s),
        }
    }
}

/// The domain of a trunk.
pub fn trunk_domain(sid: TrunkSid) -> String {
    format!("t{:x}.pstn.twilio.com", sid.as_u128() as u32)
}

/// The same for people to read.
pub struct Formatted(pub u64);

impl Serialize for Formatted {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            withheld @ 0..=8 => s.serialize_str(WITHHELD[withheld as usize]),
            us @ 10_000_000_000..20_000_000_000 => {
                let (area, exchange, line) = (us / 10_000_000 % 1000, us / 10_000 % 1000, us % 10_000);
                s.collect_str(&format_args!("({area:03}) {exchange:03}-{line:04}"))
            }
            digits => s.collect_str(&format_args!("+{digits}")),
        }
    }
}

/// The resources below one: a map from their names to `stem` + file.
pub struct Below<'a> {
    pub stem: String,
    pub names: &'a [(&'a str, &'a str)],
}

impl Serialize for Below<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(Some(self.names.len()))?;
        for (name, file) in self.names {
            map.serialize_entry(name, &ResourceText(format_args!("{}{file}", self.stem)))?;
        }
        map.end()
    }
}

/// Always `null`: what this account has not got.
#[derive(Clone, Copy, Default)]
pub struct Null;

impl Serialize for Null {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_none()
    }
}
