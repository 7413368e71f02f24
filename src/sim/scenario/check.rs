//! What is wrong with a scenario beyond its form, where it stands in the file, and the cure.

use std::collections::BTreeSet;
use std::fmt;

use super::{Bin, BinKind, Happening, Scenario};
use crate::core::model::foreign;
use crate::core::model::id::E164;
use crate::core::model::redact::without_secrets;
use crate::sim::http::route::EndpointClass;

/// A scenario that cannot be played.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScenarioError {
    /// What is wrong, and what would cure it.
    pub message: String,
    /// Line and column in the file, from 1, if the scenario came from a file.
    pub place: Option<(usize, usize)>,
    /// The key it is about, from the root.
    path: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Key(&'static str),
    Index(usize),
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Some((line, column)) => write!(f, "line {line}, column {column}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for ScenarioError {}

impl ScenarioError {
    pub(super) fn from_toml(e: &toml::de::Error, text: &str) -> ScenarioError {
        // It may quote the file.
        let message = foreign::line(&e.message().trim_end().replace('\n', "; "), foreign::LONGEST);
        let message = without_secrets(&message).into_owned();
        ScenarioError { message, place: e.span().map(|s| line_and_column(text, s.start)), path: Vec::new() }
    }

    /// Finds in `text` the value that this is about, or the nearest thing around it.
    pub(super) fn located(mut self, text: &str) -> ScenarioError {
        let Ok(root) = toml::de::DeTable::parse(text) else {
            return self;
        };
        let mut span = root.span();
        let mut table = Some(root.get_ref());
        let mut array = None;
        for step in &self.path {
            let next = match *step {
                Step::Key(key) => table.and_then(|t| t.get(key)),
                Step::Index(i) => array.and_then(|a: &toml::de::DeArray<'_>| a.get(i)),
            };
            let Some(next) = next else { break };
            span = next.span();
            (table, array) = (next.get_ref().as_table(), next.get_ref().as_array());
        }
        self.place = Some(line_and_column(text, span.start));
        self
    }
}

fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |n| n + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// The path of a value: keys and indices in a row.
macro_rules! path {
    ($($step:expr),*) => { vec![$(Step::from($step)),*] };
}

impl From<&'static str> for Step {
    fn from(key: &'static str) -> Step {
        Step::Key(key)
    }
}

impl From<usize> for Step {
    fn from(i: usize) -> Step {
        Step::Index(i)
    }
}

fn wrong(path: Vec<Step>, message: String) -> Result<(), ScenarioError> {
    Err(ScenarioError { message, place: None, path })
}

impl Scenario {
    /// Finds the first thing that cannot be played.
    pub fn check(&self) -> Result<(), ScenarioError> {
        if self.carriers.is_empty() {
            return wrong(path!["carriers"], "nobody carries the callers; name at least one carrier".into());
        }
        if self.groups.is_empty() {
            return wrong(path![], "there are no numbers; add a [[group]]".into());
        }
        let lag = &self.lag;
        for (key, [from, to]) in
            [("range_s", lag.range_s), ("late_s", lag.late_s), ("alert_s", lag.alert_s), ("price_s", lag.price_s)]
        {
            if from > to || from.is_nan() || to.is_nan() {
                return wrong(path!["lag", key], format!("{key} runs backwards; write the smaller number first"));
            }
        }
        for (table, key, share) in [
            ("lag", "late", lag.late),
            ("lag", "early", lag.early),
            ("lag", "corrected", lag.corrected),
            ("twilio", "callback_warnings", self.twilio.callback_warnings),
            ("twilio", "anonymous", self.twilio.anonymous),
        ] {
            if !(0.0..=1.0).contains(&share) {
                return wrong(
                    path![table, key],
                    format!("{key} is a share, between 0 and 1; write 0.25 for a quarter"),
                );
            }
        }
        self.check_groups()?;
        for (i, bin) in self.bins.iter().enumerate() {
            let digits =
                bin.sid.strip_prefix("EH").filter(|d| d.len() == 32 && d.bytes().all(|c| c.is_ascii_hexdigit()));
            if digits.is_none() {
                return wrong(
                    path!["bin", i, "sid"],
                    format!("{:?} is no bin's SID; write EH and 32 hexadecimal digits", bin.sid),
                );
            }
            let is_key = |c: char| "0123456789*#ABCD".contains(c);
            if let Some(keys) = bin.marker.as_ref().filter(|keys| keys.is_empty() || !keys.chars().all(is_key)) {
                return wrong(path!["bin", i, "marker"], format!("{keys:?} are no keys; write some of 0-9*#A-D"));
            }
            if (bin.does == BinKind::Forward) != bin.to.is_some() {
                return wrong(
                    path!["bin", i],
                    "`to` is where a bin that forwards forwards to; give both or neither".into(),
                );
            }
            if (bin.does == BinKind::Twiml) != bin.twiml.is_some() {
                return wrong(
                    path!["bin", i],
                    "`twiml` is the text of a bin that does `twiml`; give both or neither".into(),
                );
            }
        }
        for (i, key) in self.account.keys.iter().enumerate() {
            let known = |p: &&String| EndpointClass::ALL.iter().all(|c| c.label() != p.as_str());
            if let Some(unknown) = key.permissions.iter().find(known) {
                let labels: Vec<&str> = EndpointClass::ALL.iter().map(|c| c.label()).collect();
                return wrong(
                    path!["account", "key", i, "permissions"],
                    format!("{unknown:?} is no kind of request; write some of {}", labels.join(", ")),
                );
            }
            if !key.sid.starts_with("SK") || key.sid.len() != 34 {
                return wrong(
                    path!["account", "key", i, "sid"],
                    format!("{:?} is no key's SID; write SK and 32 digits", key.sid),
                );
            }
        }
        for (i, handler) in self.handlers.iter().enumerate() {
            self.check_url(&handler.url, path!["handler", i, "url"])?;
            self.check_carrier(handler.state.carrier.as_deref(), path!["handler", i, "state"])?;
        }
        self.check_events()
    }

    fn check_groups(&self) -> Result<(), ScenarioError> {
        let mut names = BTreeSet::new();
        let mut numbers = BTreeSet::<E164>::new();
        for (i, group) in self.groups.iter().enumerate() {
            if !names.insert(&group.name) {
                return wrong(
                    path!["group", i, "name"],
                    format!("there are two groups called {}; rename one", group.name),
                );
            }
            if group.first.is_none() && group.count > 0 {
                return wrong(path!["group", i, "count"], "count numbers from which? add first = \"+1…\"".into());
            }
            let expected = group.numbers.len() + if group.first.is_some() { group.count as usize } else { 0 };
            if group.all_numbers().count() != expected || expected == 0 {
                return wrong(
                    path!["group", i],
                    format!("group {} has no numbers; give numbers = […], or first and count", group.name),
                );
            }
            if let Some(twice) = group.all_numbers().find(|n| !numbers.insert(*n)) {
                return wrong(path!["group", i], format!("{twice} is in two places; keep it in one"));
            }
            if let Some(other) = group.forwarded_from.as_ref().filter(|g| self.groups.iter().all(|o| o.name != **g)) {
                let message = format!("there is no group called {other}; name the one whose callers are forwarded");
                return wrong(path!["group", i, "forwarded_from"], message);
            }
            let t = &group.traffic;
            let shares = [
                ("forward", t.forward),
                ("busy", t.busy),
                ("no_answer", t.no_answer),
                ("hang_up", t.hang_up),
                ("failure", t.failure),
                ("regulars", t.regulars),
                ("redial", t.redial),
                ("redial_fails", t.redial_fails),
                ("replies", t.replies),
                ("reply_failure", t.reply_failure),
            ];
            if let Some((key, _)) = shares.into_iter().find(|(_, s)| !(0.0..=1.0).contains(s)) {
                let message = format!("{key} is a share, between 0 and 1; write 0.25 for a quarter");
                return wrong(path!["group", i, "traffic", key], message);
            }
            for (key, rate) in [("calls_per_hour", t.calls_per_hour), ("messages_per_hour", t.messages_per_hour)] {
                if !(0.0..=1e6).contains(&rate) {
                    return wrong(path!["group", i, "traffic", key], format!("{key} must be 0 or more"));
                }
            }
            self.check_routing(i)?;
            for carrier in group.port.iter().flat_map(|p| p.carrier_lag.keys()) {
                self.check_carrier(Some(carrier), path!["group", i, "port", "carrier_lag"])?;
            }
        }
        Ok(())
    }

    fn check_routing(&self, i: usize) -> Result<(), ScenarioError> {
        let r = &self.groups[i].routing;
        for (key, url) in [
            ("voice_url", &r.voice_url),
            ("voice_fallback_url", &r.voice_fallback_url),
            ("sms_url", &r.sms_url),
            ("sms_fallback_url", &r.sms_fallback_url),
        ] {
            self.check_url(url, path!["group", i, "routing", key])?;
        }
        for (key, sid) in [("application", r.application), ("sms_application", r.sms_application)] {
            if sid.is_some_and(|sid| self.applications.iter().all(|a| a.sid != sid)) {
                return wrong(
                    path!["group", i, "routing", key],
                    "there is no such application; add an [[application]] with this sid".into(),
                );
            }
        }
        if r.trunk.is_some_and(|sid| self.trunks.iter().all(|t| t.sid != sid)) {
            return wrong(
                path!["group", i, "routing", "trunk"],
                "there is no such trunk; add a [[trunk]] with this sid".into(),
            );
        }
        if r.service.is_some_and(|sid| self.services.iter().all(|s| s.sid != sid)) {
            return wrong(
                path!["group", i, "routing", "service"],
                "there is no such messaging service; add a [[service]] with this sid".into(),
            );
        }
        Ok(())
    }

    fn check_events(&self) -> Result<(), ScenarioError> {
        for (i, event) in self.events.iter().enumerate() {
            self.check_happening(&event.what).map_err(|mut e| {
                e.path.splice(0..0, path!["event", i]);
                e
            })?;
        }
        Ok(())
    }

    /// Finds what in `what` leads nowhere.
    pub(in crate::sim) fn check_happening(&self, what: &Happening) -> Result<(), ScenarioError> {
        let has_group = |name: &str| self.groups.iter().any(|g| g.name.as_str() == name);
        let has_number = |n: E164| self.groups.iter().any(|g| g.all_numbers().any(|m| m == n));
        match what {
            Happening::Handler(h) => {
                self.check_carrier(h.state.carrier.as_deref(), path!["handler", "carrier"])?;
                self.check_url(&h.url, path!["handler", "url"])
            }
            Happening::Port(name) if has_group(name) || name.parse().is_ok_and(has_number) => Ok(()),
            Happening::Port(name) => {
                wrong(path!["port"], format!("{name:?} is neither a group nor one of the numbers; name one of them"))
            }
            Happening::PortStatus(change) if has_group(&change.of) || change.of.parse().is_ok_and(has_number) => Ok(()),
            Happening::PortStatus(change) => wrong(
                path!["port-status", "of"],
                format!("{:?} is neither a group nor one of the numbers; name one of them", change.of),
            ),
            Happening::PortOut(number) if !has_number(*number) => {
                wrong(path!["port-out"], format!("{number} is none of the numbers; name one of them"))
            }
            Happening::PortOut(_) => Ok(()),
            Happening::Traffic(t) if !has_group(&t.group) => {
                wrong(path!["traffic", "group"], format!("there is no group {:?}; name one that is there", t.group))
            }
            Happening::Traffic(t) => {
                match [t.busy, t.no_answer].into_iter().flatten().find(|s| !(0.0..=1.0).contains(s)) {
                    Some(_) => wrong(path!["traffic"], "busy and no_answer are shares, between 0 and 1".into()),
                    None if t.factor.is_some_and(|f| !(0.0..=1000.0).contains(&f)) => {
                        wrong(path!["traffic", "factor"], "factor is 0 or more; 2 doubles the traffic".into())
                    }
                    None => Ok(()),
                }
            }
            Happening::Storm(s) if !has_number(s.number) => {
                wrong(path!["storm", "number"], format!("{} is none of the numbers; name one of them", s.number))
            }
            Happening::Edit(e) if !has_number(e.number) => {
                wrong(path!["edit", "number"], format!("{} is none of the numbers; name one of them", e.number))
            }
            Happening::Fault(f) if !(0.0..=1.0).contains(&f.share) => {
                wrong(path!["fault", "share"], "share lies between 0 and 1; write 0.25 for a quarter".into())
            }
            Happening::Campaign(c) if !has_number(c.number) => {
                wrong(path!["campaign", "number"], format!("{} is none of the numbers; name one of them", c.number))
            }
            Happening::Campaign(c) if !(0.0..=1.0).contains(&c.opted_out) => {
                wrong(path!["campaign", "opted_out"], "opted_out is a share, between 0 and 1".into())
            }
            Happening::Storm(_) | Happening::Campaign(_) | Happening::Edit(_) | Happening::Fault(_) => Ok(()),
        }
    }

    fn check_carrier(&self, carrier: Option<&str>, path: Vec<Step>) -> Result<(), ScenarioError> {
        match carrier {
            Some(c) if !self.carriers.iter().any(|known| known == c) => {
                wrong(path, format!("{c:?} is none of the carriers ({}); name one of them", self.carriers.join(", ")))
            }
            _ => Ok(()),
        }
    }

    /// A handler's URL: unset, a bin that exists, or something that can be called.
    fn check_url(&self, url: &str, path: Vec<Step>) -> Result<(), ScenarioError> {
        if let Some(rest) = url.strip_prefix(Bin::BASE) {
            let sid = rest.split(['?', '#']).next().unwrap_or(rest);
            return match self.bins.iter().any(|b| b.sid == sid) {
                true => Ok(()),
                false => wrong(path, format!("there is no bin {sid}; add a [[bin]] with this sid")),
            };
        }
        let good = url.is_empty()
            || ["http://", "https://", "sip:", "sips:"].iter().any(|p| url.starts_with(p))
                && url::Url::parse(url).is_ok();
        match good {
            true => Ok(()),
            false => wrong(path, format!("{url:?} is no handler's URL; write https://… or sip:…")),
        }
    }
}
