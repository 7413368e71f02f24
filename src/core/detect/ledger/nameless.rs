//! Errors that name no call and no message, on a URL or a number of ours.
//!
//! Twilio's debugger says of most errors to which call they belong. Where it does not, somebody met the error all the
//! same, and who it was is not known: so it speaks against every call and message of the number that was under way just
//! then, as an error that nobody can explain. That pages where there are many, and swaps nothing: a guess is no
//! evidence against a handler. Where a caller is known to have been served it says nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Body, Entry, LedgerContext};
use crate::detect::observation::{Alert, Direction, Level};
use crate::detect::outcome::{AlertEffect, SERVED_AFTER_SECONDS, mark};
use crate::model::bounds;
use crate::model::code::Class;
use crate::model::id::Channel;
use crate::model::time::Time;

/// Before a call began and after it ended, an error may still be of it: both are told in whole seconds, and by
/// different clocks.
const ASIDE: Duration = Duration::from_secs(5);

/// A text's webhook has failed within this: Twilio waits for 15 s. Source: Twilio's documentation of messaging
/// webhooks, 2026-11.
const TEXT_FAILS_WITHIN: Duration = Duration::from_secs(15);

/// The latest errors without a call, by when Twilio raised them.
#[derive(Debug, Default)]
pub(super) struct Nameless {
    alerts: BTreeMap<Time, Vec<NamelessAlert>>,
    held: usize,
}

#[derive(Debug)]
struct NamelessAlert {
    alert: Alert,
    /// It was raised while a call or text of its number was under way.
    is_weighed: bool,
}

impl Nameless {
    /// Keeps what may have met a caller of ours, the latest [`bounds::NAMELESS_ALERTS`] of it.
    pub(super) fn keep(&mut self, alert: &Alert) {
        if alert.level != Level::Error || !matches!(alert.code.class(), Class::Webhook | Class::Content) {
            return;
        }
        let at = self.alerts.entry(alert.at).or_default();
        if at.iter().any(|held| held.alert.sid == alert.sid) {
            return;
        }
        at.push(NamelessAlert { alert: alert.clone(), is_weighed: false });
        self.held += 1;
        while self.held > bounds::NAMELESS_ALERTS {
            let Some((_, oldest)) = self.alerts.pop_first() else { break };
            self.held -= oldest.len();
        }
    }

    /// Adds to `entry` what was raised on its number while it was under way.
    pub(super) fn weigh(&mut self, entry: &mut Entry, channel: Channel, cx: LedgerContext<'_>) {
        if self.held == 0 {
            return;
        }
        let (until, effect) = match entry.body {
            // Whether the caller stayed shows at the end.
            Body::Call { .. } if !entry.body.is_over() => return,
            Body::Call { duration, ended_at, .. } => {
                let lasted = Duration::from_secs(u64::from(duration.unwrap_or(0)));
                let until = ended_at.unwrap_or(entry.started_at + lasted);
                // Who talked for longer than an announcement takes is not known to have met it: it may be of another
                // resource's callback, a task's or a conference's.
                let is_long = until.since(entry.started_at) >= Duration::from_secs(u64::from(SERVED_AFTER_SECONDS));
                (until, if is_long { AlertEffect::Doubt } else { AlertEffect::Unexplained })
            }
            Body::Message { direction: Direction::Inbound, .. } => {
                (entry.started_at + TEXT_FAILS_WITHIN, AlertEffect::Unexplained)
            }
            Body::Message { direction: Direction::Outbound | Direction::Reply, .. } => return,
        };
        let since = entry.started_at - ASIDE;
        for NamelessAlert { alert, is_weighed } in
            self.alerts.range_mut(since..=until.max(since) + ASIDE).flat_map(|(_, alerts)| alerts)
        {
            let of_number = || {
                let record = cx.routes.record(entry.number);
                alert.number.is_some_and(|sid| record.is_some_and(|r| r.sid == sid))
            };
            let of_url = || match mark(alert, cx.routes.webhooks(cx.roster, entry.number, channel)) {
                Some(
                    AlertEffect::PrimaryWebhook
                    | AlertEffect::PrimaryContent
                    | AlertEffect::OwnFallback
                    | AlertEffect::OurFallback,
                ) => true,
                Some(
                    AlertEffect::Attribute
                    | AlertEffect::Doubt
                    | AlertEffect::Leg
                    | AlertEffect::Unexplained
                    | AlertEffect::OtherUrl
                    | AlertEffect::Trunk
                    | AlertEffect::Platform
                    | AlertEffect::Account
                    | AlertEffect::Template,
                )
                | None => false,
            };
            if of_number() || of_url() {
                entry.marks.add(effect, alert.code, alert.at);
                *is_weighed = true;
            }
        }
    }

    /// True if it speaks against a call or text that was seen.
    pub(super) fn is_weighed(&self, alert: &Alert) -> bool {
        self.alerts.get(&alert.at).is_some_and(|at| at.iter().any(|a| a.is_weighed && a.alert.sid == alert.sid))
    }

    pub(super) fn prune(&mut self, before: Time) {
        self.alerts = self.alerts.split_off(&before);
        self.held = self.alerts.values().map(Vec::len).sum();
    }
}
