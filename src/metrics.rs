//! Every metric: its name, help text, labels and unit, in one place.
//!
//! Names follow Prometheus' rules: prefix `ringback_`, base units, `_total` on counters. Counters
//! only rise, by one a SID: an outcome that is revised later is counted by
//! `ringback_outcomes_revised_total` and changes no earlier count. Labels are closed lists, our own
//! numbers and their groups; the other party's number is in none. Known label sets start at 0, so
//! that the first failure is seen by `rate()`.

use std::time::Duration;

use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use crate::core::code::Code;
use crate::core::engine::Source;
use crate::core::guard::Guard;
use crate::core::id::{Channel, E164, GroupName};
use crate::core::journal::{End, FallbackState, Hold, Of};
use crate::core::ledger::Change;
use crate::core::outcome::Outcome;
use crate::core::policy::{Mode, Phase};
use crate::core::roster::{NumberIx, Roster};
use crate::core::time::Time;
use crate::core::verdict::Verdict;

/// Handles to all metrics of one agent. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    calls: IntCounterVec,
    messages: IntCounterVec,
    revised: IntCounterVec,
    alerts: IntCounterVec,
    verdict: IntGaugeVec,
    group_verdict: IntGaugeVec,
    phase: IntGaugeVec,
    rolled_back: IntGaugeVec,
    unsettled: IntGaugeVec,
    rollbacks: IntCounterVec,
    restores: IntCounterVec,
    drift: IntGaugeVec,
    fallback: IntGaugeVec,
    held: IntGaugeVec,
    pub rollback_duration: Histogram,
    suppressed: IntCounterVec,
    last_poll: GaugeVec,
    newest_entry: GaugeVec,
    log_lag: GaugeVec,
    entry_lag: HistogramVec,
    polls: IntCounterVec,
    rows: IntCounterVec,
    requests: IntCounterVec,
    request_duration: HistogramVec,
    pub requests_in_flight: IntGauge,
    pub concurrency_limit: IntGauge,
    pub clock_skew: Gauge,
    pub numbers_missing: IntGauge,
    mode: IntGaugeVec,
}

/// What became of one row of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowResult {
    New,
    Changed,
    Known,
    /// Belongs to a number that is not ours, or is of no use to us.
    Foreign,
    /// Could not be understood; kept raw and left out.
    Bad,
}

impl RowResult {
    pub const ALL: [RowResult; 5] =
        [RowResult::New, RowResult::Changed, RowResult::Known, RowResult::Foreign, RowResult::Bad];

    pub const fn label(self) -> &'static str {
        match self {
            RowResult::New => "new",
            RowResult::Changed => "changed",
            RowResult::Known => "known",
            RowResult::Foreign => "foreign",
            RowResult::Bad => "bad",
        }
    }
}

const NUMBER: [&str; 2] = ["group", "number"];
const CHANNEL: [&str; 3] = ["group", "number", "channel"];

/// Seconds from 0.005 to 60: API requests and swaps.
const SECONDS: [f64; 12] = [0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// Seconds from 1 to an hour: how late Twilio's logs are.
const LAG_SECONDS: [f64; 11] = [1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0];

impl Metrics {
    /// All metrics, with every known label set of `roster` at 0.
    pub fn new(roster: &Roster, mode: Mode) -> Metrics {
        let registry = Registry::new();
        let metrics = Metrics::register(&registry).expect("names are distinct and valid, as a test shows");
        #[cfg(target_os = "linux")]
        registry
            .register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))
            .expect("the process collector's names are its own");
        metrics.start_at_zero(roster, mode);
        metrics
    }

    fn register(registry: &Registry) -> prometheus::Result<Metrics> {
        fn add<M: prometheus::core::Collector + Clone + 'static>(r: &Registry, m: M) -> prometheus::Result<M> {
            r.register(Box::new(m.clone()))?;
            Ok(m)
        }
        let counter =
            |name: &str, help: &str, labels: &[&str]| add(registry, IntCounterVec::new(Opts::new(name, help), labels)?);
        let int_gauge =
            |name: &str, help: &str, labels: &[&str]| add(registry, IntGaugeVec::new(Opts::new(name, help), labels)?);
        let gauge =
            |name: &str, help: &str, labels: &[&str]| add(registry, GaugeVec::new(Opts::new(name, help), labels)?);
        let outcome = [NUMBER.as_slice(), &["outcome", "reason"]].concat();
        let build = int_gauge("ringback_build_info", "Version of this agent; always 1.", &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Ok(Metrics {
            registry: registry.clone(),
            calls: counter("ringback_calls_total", "Inbound calls by what became of the caller.", &outcome)?,
            messages: counter("ringback_messages_total", "Messages by what became of them.", &outcome)?,
            revised: counter(
                "ringback_outcomes_revised_total",
                "Calls and messages whose outcome became this one after they had been counted under another.",
                &["group", "number", "channel", "outcome", "reason"],
            )?,
            alerts: counter(
                "ringback_twilio_alerts_total",
                "Debugger alerts on calls and messages of our numbers, by Twilio's error code.",
                &["group", "number", "code"],
            )?,
            verdict: int_gauge(
                "ringback_verdict",
                "1 for what the detector says of this number's channel, 0 for the others.",
                &["group", "number", "channel", "verdict"],
            )?,
            group_verdict: int_gauge(
                "ringback_group_verdict",
                "1 for what the detector says of the group's numbers together, 0 for the others.",
                &["group", "channel", "verdict"],
            )?,
            phase: int_gauge(
                "ringback_phase",
                "1 for the phase of this number's channel, 0 for the others.",
                &["group", "number", "channel", "phase"],
            )?,
            rolled_back: int_gauge(
                "ringback_rolled_back",
                "1 while the number's channel points at the fallback because we swapped it.",
                &CHANNEL,
            )?,
            unsettled: int_gauge(
                "ringback_unsettled_entries",
                "Calls or messages that are not over or whose outcome cannot be told yet.",
                &CHANNEL,
            )?,
            rollbacks: counter(
                "ringback_rollbacks_total",
                "Rollbacks of a number's channel by what asked for them and how they ended.",
                &["group", "channel", "trigger", "result"],
            )?,
            restores: counter(
                "ringback_restores_total",
                "Restores of a number's channel by how they ended.",
                &["group", "channel", "result"],
            )?,
            held: int_gauge(
                "ringback_held",
                "Holds in force, by what they cover: all numbers, a group, or a number.",
                &["scope"],
            )?,
            fallback: int_gauge(
                "ringback_fallback",
                "1 for what is known of the group's fallback, 0 for the others.",
                &["group", "channel", "state"],
            )?,
            drift: int_gauge(
                "ringback_config_drift",
                "1 once somebody else has changed this number's routing, until we swap it again.",
                &CHANNEL,
            )?,
            rollback_duration: add(
                registry,
                Histogram::with_opts(
                    HistogramOpts::new(
                        "ringback_rollback_duration_seconds",
                        "Time from the decision until the number was read back.",
                    )
                    .buckets(SECONDS.to_vec()),
                )?,
            )?,
            suppressed: counter(
                "ringback_rollbacks_suppressed_total",
                "Rollbacks that the evidence asked for and a guard stopped.",
                &["reason"],
            )?,
            last_poll: gauge(
                "ringback_last_successful_poll_timestamp_seconds",
                "When this source was last read in full.",
                &["source"],
            )?,
            newest_entry: gauge(
                "ringback_newest_entry_timestamp_seconds",
                "The newest entry's own time, by source.",
                &["source"],
            )?,
            log_lag: gauge(
                "ringback_log_lag_seconds",
                "How long after its own time an entry typically becomes visible: median of the recent ones.",
                &["source"],
            )?,
            entry_lag: add(
                registry,
                HistogramVec::new(
                    HistogramOpts::new(
                        "ringback_entry_lag_seconds",
                        "Time between an entry's own time and the moment we first saw it.",
                    )
                    .buckets(LAG_SECONDS.to_vec()),
                    &["source"],
                )?,
            )?,
            polls: counter("ringback_polls_total", "Polls of a source by result.", &["source", "result"])?,
            rows: counter(
                "ringback_rows_total",
                "Rows of Twilio's lists by what became of them.",
                &["source", "result"],
            )?,
            requests: counter(
                "ringback_twilio_requests_total",
                "Requests to Twilio by endpoint and HTTP status, or what went wrong.",
                &["endpoint", "code"],
            )?,
            request_duration: add(
                registry,
                HistogramVec::new(
                    HistogramOpts::new("ringback_twilio_request_duration_seconds", "Duration of requests to Twilio.")
                        .buckets(SECONDS.to_vec()),
                    &["endpoint"],
                )?,
            )?,
            requests_in_flight: add(
                registry,
                IntGauge::new("ringback_twilio_requests_in_flight", "Requests to Twilio under way.")?,
            )?,
            concurrency_limit: add(
                registry,
                IntGauge::new(
                    "ringback_twilio_concurrency_limit",
                    "Requests to Twilio that we allow at the same time, found by trying.",
                )?,
            )?,
            clock_skew: add(
                registry,
                Gauge::new("ringback_clock_skew_seconds", "Twilio's clock minus ours, by the Date of its answers.")?,
            )?,
            numbers_missing: add(
                registry,
                IntGauge::new("ringback_numbers_missing", "Numbers of the configuration that are not in the account.")?,
            )?,
            mode: int_gauge("ringback_mode", "1 for the mode in force, 0 for the others.", &["mode"])?,
        })
    }

    fn start_at_zero(&self, roster: &Roster, mode: Mode) {
        for (ix, n) in roster.numbers() {
            let (group, number) = labels(roster, ix);
            let [group, number] = [group.as_str(), number.as_str()];
            for channel in Channel::ALL.into_iter().filter(|c| n.channels[c.index()]) {
                let ch = channel.label();
                for o in Outcome::all() {
                    self.outcomes(channel).with_label_values(&[group, number, o.label(), o.reason_label()]);
                }
                self.rolled_back.with_label_values(&[group, number, ch]);
                self.drift.with_label_values(&[group, number, ch]);
                self.unsettled.with_label_values(&[group, number, ch]);
                for v in Verdict::ALL {
                    let on = i64::from(v == Verdict::Unknown);
                    self.verdict.with_label_values(&[group, number, ch, v.label()]).set(on);
                }
                for p in Phase::ALL {
                    self.phase.with_label_values(&[group, number, ch, p.label()]);
                }
            }
        }
        for (_, group) in roster.groups() {
            for channel in Channel::ALL {
                for v in Verdict::ALL {
                    let on = i64::from(v == Verdict::Unknown);
                    self.group_verdict.with_label_values(&[group.name.as_str(), channel.label(), v.label()]).set(on);
                }
                for end in End::ALL {
                    let [group, channel, end] = [group.name.as_str(), channel.label(), end.label()];
                    for trigger in ["automatic", "operator"] {
                        self.rollbacks.with_label_values(&[group, channel, trigger, end]);
                    }
                    self.restores.with_label_values(&[group, channel, end]);
                }
            }
        }
        for guard in Guard::ALL {
            self.suppressed.with_label_values(&[guard.label()]);
        }
        for source in Source::ALL {
            for result in ["success", "failure"] {
                self.polls.with_label_values(&[source.label(), result]);
            }
            for result in RowResult::ALL {
                self.rows.with_label_values(&[source.label(), result.label()]);
            }
        }
        self.set_mode(mode);
        self.held(std::iter::empty());
    }

    fn outcomes(&self, channel: Channel) -> &IntCounterVec {
        match channel {
            Channel::Voice => &self.calls,
            Channel::Messaging => &self.messages,
        }
    }

    /// Counts a settled outcome, once a SID; later ones as revisions.
    pub fn settled(&self, roster: &Roster, change: &Change) {
        let (group, number) = labels(roster, change.number);
        let [outcome, reason] = [change.is.label(), change.is.reason_label()];
        if change.was.is_none() {
            self.outcomes(change.channel).with_label_values(&[group.as_str(), &number, outcome, reason]).inc();
        } else {
            let channel = change.channel.label();
            self.revised.with_label_values(&[group.as_str(), &number, channel, outcome, reason]).inc();
        }
    }

    /// Adds what was counted by the agent before it was restarted.
    pub fn restore_count(&self, group: &str, number: &str, channel: Channel, is: Outcome, count: u64) {
        self.outcomes(channel).with_label_values(&[group, number, is.label(), is.reason_label()]).inc_by(count);
    }

    pub fn alert(&self, roster: &Roster, number: NumberIx, code: Code) {
        let (group, number) = labels(roster, number);
        self.alerts.with_label_values(&[group.as_str(), &number, &code.to_string()]).inc();
    }

    pub fn verdict(&self, roster: &Roster, number: NumberIx, channel: Channel, from: Verdict, to: Verdict) {
        let (group, number) = labels(roster, number);
        for (v, on) in [(from, 0), (to, 1)] {
            self.verdict.with_label_values(&[group.as_str(), &number, channel.label(), v.label()]).set(on);
        }
    }

    pub fn group_verdict(&self, group: &GroupName, channel: Channel, from: Verdict, to: Verdict) {
        for (v, on) in [(from, 0), (to, 1)] {
            self.group_verdict.with_label_values(&[group.as_str(), channel.label(), v.label()]).set(on);
        }
    }

    pub fn phase(&self, roster: &Roster, number: NumberIx, channel: Channel, phase: Phase) {
        let (group, number) = labels(roster, number);
        for p in Phase::ALL {
            let on = i64::from(p == phase);
            self.phase.with_label_values(&[group.as_str(), &number, channel.label(), p.label()]).set(on);
        }
    }

    pub fn rolled_back(&self, roster: &Roster, number: NumberIx, channel: Channel, on: bool) {
        let (group, number) = labels(roster, number);
        self.rolled_back.with_label_values(&[group.as_str(), &number, channel.label()]).set(i64::from(on));
    }

    pub fn unsettled(&self, roster: &Roster, number: NumberIx, channel: Channel, open: u32) {
        let (group, number) = labels(roster, number);
        self.unsettled.with_label_values(&[group.as_str(), &number, channel.label()]).set(i64::from(open));
    }

    /// One number's rollback has ended, so long after it was ordered.
    pub fn rollback(&self, group: &GroupName, channel: Channel, trigger: &str, end: End, took: Duration) {
        self.rollbacks.with_label_values(&[group.as_str(), channel.label(), trigger, end.label()]).inc();
        self.rollback_duration.observe(took.as_secs_f64());
    }

    pub fn restore(&self, group: &GroupName, channel: Channel, end: End) {
        self.restores.with_label_values(&[group.as_str(), channel.label(), end.label()]).inc();
    }

    /// What is known of a group's fallback.
    pub fn fallback(&self, group: &GroupName, channel: Channel, state: FallbackState) {
        for s in FallbackState::ALL {
            let labels = [group.as_str(), channel.label(), s.label()];
            self.fallback.with_label_values(&labels).set(i64::from(s == state));
        }
    }

    /// Whether somebody else has changed this number since we last swapped it.
    pub fn drift(&self, roster: &Roster, number: NumberIx, channel: Channel, on: bool) {
        let (group, number) = labels(roster, number);
        self.drift.with_label_values(&[group.as_str(), &number, channel.label()]).set(i64::from(on));
    }

    /// Holds in force.
    pub fn held<'a>(&self, holds: impl Iterator<Item = &'a Hold>) {
        let mut counts = [0i64; 3];
        for hold in holds {
            counts[match hold.scope.of {
                Of::All => 0,
                Of::Group(_) => 1,
                Of::Number(_) => 2,
            }] += 1;
        }
        for (scope, count) in ["all", "group", "number"].into_iter().zip(counts) {
            self.held.with_label_values(&[scope]).set(count);
        }
    }

    pub fn set_mode(&self, mode: Mode) {
        for m in Mode::ALL {
            self.mode.with_label_values(&[m.label()]).set(i64::from(m == mode));
        }
    }

    pub fn suppressed(&self, guard: Guard) {
        self.suppressed.with_label_values(&[guard.label()]).inc();
    }

    pub fn polled(&self, source: Source, at: Time) {
        self.polls.with_label_values(&[source.label(), "success"]).inc();
        self.last_poll.with_label_values(&[source.label()]).set(at.as_secs_f64());
    }

    pub fn poll_failed(&self, source: Source) {
        self.polls.with_label_values(&[source.label(), "failure"]).inc();
    }

    pub fn rows(&self, source: Source, result: RowResult, count: usize) {
        self.rows.with_label_values(&[source.label(), result.label()]).inc_by(count as u64);
    }

    pub fn newest_entry(&self, source: Source, at: Time) {
        self.newest_entry.with_label_values(&[source.label()]).set(at.as_secs_f64());
    }

    /// One entry's lag, in seconds.
    pub fn entry_lag(&self, source: Source, seconds: f64) {
        self.entry_lag.with_label_values(&[source.label()]).observe(seconds);
    }

    /// The typical lag of a source, in seconds.
    pub fn log_lag(&self, source: Source, seconds: f64) {
        self.log_lag.with_label_values(&[source.label()]).set(seconds);
    }

    pub fn request(&self, endpoint: &str, code: &str, seconds: f64) {
        self.requests.with_label_values(&[endpoint, code]).inc();
        self.request_duration.with_label_values(&[endpoint]).observe(seconds);
    }

    /// Everything in Prometheus' text format.
    pub fn render(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

fn labels(roster: &Roster, number: NumberIx) -> (&GroupName, String) {
    let n = roster.number(number);
    let e164: E164 = n.e164;
    (&roster.group(n.group).name, e164.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::roster::{Number, PortAt};

    #[test]
    fn every_known_label_set_is_there_from_the_start() {
        let mut roster = Roster::default();
        let group = roster.add_group("support".parse().unwrap(), [None, None]);
        let e164 = "+15005550100".parse().unwrap();
        roster.add_number(Number {
            e164,
            label: String::new(),
            timezone: jiff::tz::TimeZone::UTC,
            group,
            channels: [true, false],
            port: PortAt::Done,
        });
        let text = Metrics::new(&roster, Mode::Auto).render().unwrap();
        for line in [
            r#"ringback_calls_total{group="support",number="+15005550100",outcome="ok",reason=""} 0"#,
            r#"ringback_calls_total{group="support",number="+15005550100",outcome="failed",reason="webhook"} 0"#,
            r#"ringback_verdict{channel="voice",group="support",number="+15005550100",verdict="unknown"} 1"#,
            r#"ringback_rollbacks_suppressed_total{reason="mode"} 0"#,
            r#"ringback_mode{mode="auto"} 1"#,
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
        assert!(!text.contains("ringback_messages_total{"), "a channel that is not watched has no series");
    }
}
