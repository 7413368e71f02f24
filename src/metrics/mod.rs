//! Every metric: what it is ([`define`]), what is counted a number ([`tally`]), and the handles
//! through which the agent's tasks count everything else.
//!
//! Counters only rise, by one a SID: an outcome that is revised later is counted by
//! `ringback_outcomes_revised_total` and changes no earlier count. Known label sets start at 0, so
//! that the first failure is seen by `rate()`. What has a state rather than a count (verdicts,
//! phases, evidence) is read from the published status at each scrape, by the collector in
//! [`crate::agent::publish::exposition`]: nobody has to keep a second copy true, and no scrape waits for the
//! engine.
//!
//! To add one: a line in [`define`], a handle and a method here, and the page is written anew by
//! `UPDATE=1 cargo test --test it metrics`.

pub mod define;
pub mod tally;

use std::sync::Arc;
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use crate::core::detect::ledger::OutcomeChange;
use crate::core::model::code::Code;
use crate::core::model::decision::{Action, Decision, Mode, PageReason};
use crate::core::model::guard::Guard;
use crate::core::model::id::{Channel, GroupName};
use crate::core::model::order::{FallbackState, Hold, Operation, OrderResult, ScopeOf};
use crate::core::model::roster::{NumberIx, Roster};
use crate::core::model::source::Source;
use crate::core::model::time::Time;
use define::Definition;
use tally::{ProbeEnd, Tally};

/// Which numbers have metrics of their own. Groups always have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum PerNumber {
    /// All up to [`PerNumber::MOST`], above that those in trouble.
    #[default]
    Auto,
    All,
    /// Those in trouble: suspect, failing, silent, swapped, changed by somebody else.
    Unhealthy,
}

impl PerNumber {
    /// As many numbers make some fifteen megabytes a scrape.
    pub const MOST: usize = 2000;

    pub const fn is_all(self, numbers: usize) -> bool {
        match self {
            PerNumber::Auto => numbers <= PerNumber::MOST,
            PerNumber::All => true,
            PerNumber::Unhealthy => false,
        }
    }
}

/// Handles to all metrics of one agent. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    tally: Arc<Tally>,
    decisions: IntCounterVec,
    pages: IntCounterVec,
    rollbacks: IntCounterVec,
    restores: IntCounterVec,
    applies: IntCounterVec,
    fallback: IntGaugeVec,
    fallback_broken: IntGaugeVec,
    held: IntGaugeVec,
    rollback_duration: Histogram,
    suppressed: IntCounterVec,
    probe_failures: IntCounterVec,
    probe_duration: HistogramVec,
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
    agent: IntGaugeVec,
    journal: IntCounterVec,
    log_lines_lost: IntCounterVec,
    port_webhooks: IntCounterVec,
    notifications: IntCounterVec,
    notifier_failing: IntGaugeVec,
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

/// What became of a notice: delivered, given up, or held back by a limit.
pub const NOTICE_RESULTS: [&str; 4] = ["success", "failure", "dropped", "held_back"];

/// Seconds from 0.005 to 60: API requests and swaps.
const SECONDS: [f64; 12] = [0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// Seconds from 1 to an hour: how late Twilio's logs are.
const LAG_SECONDS: [f64; 11] = [1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0];

/// Seconds from 1 to five minutes: a test call rings, is answered and listens; a text takes its time.
const PROBE_SECONDS: [f64; 9] = [1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0];

/// Registers metrics as they are defined.
struct Registrar<'a>(&'a Registry);

impl Registrar<'_> {
    fn add<M: Collector + Clone + 'static>(&self, metric: M) -> prometheus::Result<M> {
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn counter(&self, d: &Definition) -> prometheus::Result<IntCounterVec> {
        self.add(IntCounterVec::new(opts(d), d.labels)?)
    }

    fn int_gauges(&self, d: &Definition) -> prometheus::Result<IntGaugeVec> {
        self.add(IntGaugeVec::new(opts(d), d.labels)?)
    }

    fn gauges(&self, d: &Definition) -> prometheus::Result<GaugeVec> {
        self.add(GaugeVec::new(opts(d), d.labels)?)
    }

    fn int_gauge(&self, d: &Definition) -> prometheus::Result<IntGauge> {
        self.add(IntGauge::new(d.name, d.help)?)
    }

    fn histograms(&self, d: &Definition, buckets: &[f64]) -> prometheus::Result<HistogramVec> {
        self.add(HistogramVec::new(HistogramOpts::from(opts(d)).buckets(buckets.to_vec()), d.labels)?)
    }
}

fn opts(d: &Definition) -> Opts {
    Opts::new(d.name, d.help)
}

impl Metrics {
    /// All metrics, with every known label set of `roster` at 0.
    pub fn new(roster: &Roster, mode: Mode) -> Metrics {
        let registry = Registry::new();
        let metrics = Metrics::register(&registry, roster).expect("names are distinct and valid, as a test shows");
        #[cfg(target_os = "linux")]
        metrics.publish(Box::new(prometheus::process_collector::ProcessCollector::for_self()));
        metrics.start_at_zero(roster, mode);
        metrics
    }

    fn register(registry: &Registry, roster: &Roster) -> prometheus::Result<Metrics> {
        use define as d;
        let r = Registrar(registry);
        r.int_gauges(&d::BUILD)?.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let rollback_duration = HistogramOpts::from(opts(&d::ROLLBACK_DURATION)).buckets(SECONDS.to_vec());
        Ok(Metrics {
            registry: registry.clone(),
            tally: Arc::new(Tally::new(roster)),
            decisions: r.counter(&d::DECISIONS)?,
            pages: r.counter(&d::PAGES)?,
            rollbacks: r.counter(&d::ROLLBACKS)?,
            restores: r.counter(&d::RESTORES)?,
            applies: r.counter(&d::APPLIES)?,
            fallback: r.int_gauges(&d::FALLBACK)?,
            fallback_broken: r.int_gauges(&d::FALLBACK_BROKEN)?,
            held: r.int_gauges(&d::HELD)?,
            rollback_duration: r.add(Histogram::with_opts(rollback_duration)?)?,
            suppressed: r.counter(&d::SUPPRESSED)?,
            probe_failures: r.counter(&d::PROBE_FAILURES)?,
            probe_duration: r.histograms(&d::PROBE_DURATION, &PROBE_SECONDS)?,
            last_poll: r.gauges(&d::LAST_POLL)?,
            newest_entry: r.gauges(&d::NEWEST)?,
            log_lag: r.gauges(&d::LOG_LAG)?,
            entry_lag: r.histograms(&d::ENTRY_LAG, &LAG_SECONDS)?,
            polls: r.counter(&d::POLLS)?,
            rows: r.counter(&d::ROWS)?,
            requests: r.counter(&d::REQUESTS)?,
            request_duration: r.histograms(&d::REQUEST_DURATION, &SECONDS)?,
            requests_in_flight: r.int_gauge(&d::IN_FLIGHT)?,
            concurrency_limit: r.int_gauge(&d::CONCURRENCY)?,
            clock_skew: r.add(Gauge::with_opts(opts(&d::CLOCK_SKEW))?)?,
            numbers_missing: r.int_gauge(&d::MISSING)?,
            agent: r.int_gauges(&d::AGENT)?,
            journal: r.counter(&d::JOURNAL)?,
            log_lines_lost: r.counter(&d::LOG_LINES_LOST)?,
            port_webhooks: r.counter(&d::PORT_WEBHOOKS)?,
            notifications: r.counter(&d::NOTIFICATIONS)?,
            notifier_failing: r.int_gauges(&d::NOTIFIER_FAILING)?,
            mode: r.int_gauges(&d::MODE)?,
        })
    }

    fn start_at_zero(&self, roster: &Roster, mode: Mode) {
        for (_, group) in roster.groups() {
            for channel in Channel::ALL {
                let [group, channel] = [group.name.as_str(), channel.label()];
                for end in OrderResult::ALL {
                    for trigger in ["automatic", "operator"] {
                        self.rollbacks.with_label_values(&[group, channel, trigger, end.label()]);
                    }
                    self.restores.with_label_values(&[group, channel, end.label()]);
                    for operation in [Operation::Apply, Operation::Undo] {
                        self.applies.with_label_values(&[group, channel, operation.label(), end.label()]);
                    }
                }
                for reason in PageReason::all() {
                    self.pages.with_label_values(&[group, channel, reason.label()]);
                }
                for decision in ["rollback", "withheld", "page"] {
                    self.decisions.with_label_values(&[group, channel, decision]);
                }
            }
        }
        for guard in Guard::ALL {
            self.suppressed.with_label_values(&[guard.label()]);
        }
        for channel in Channel::ALL {
            self.probe_duration.with_label_values(&[channel.label()]);
        }
        for source in Source::ALL {
            for result in ["success", "failure"] {
                self.polls.with_label_values(&[source.label(), result]);
            }
            for result in RowResult::ALL {
                self.rows.with_label_values(&[source.label(), result.label()]);
            }
        }
        for result in ["success", "failure"] {
            self.journal.with_label_values(&[result]);
        }
        self.log_lines_lost(0);
        self.port_webhooks.with_label_values::<&str>(&[]).inc_by(0);
        self.set_mode(mode);
        self.held(std::iter::empty());
    }

    /// Adds what is read at each scrape.
    pub fn publish(&self, collector: Box<dyn Collector>) {
        self.registry.register(collector).expect("names are distinct and valid, as a test shows");
    }

    /// What is counted a number.
    pub fn tally(&self) -> &Arc<Tally> {
        &self.tally
    }

    /// Counts a settled outcome, once a SID; later ones as revisions.
    pub fn settled(&self, change: &OutcomeChange) {
        self.tally.settled(change);
    }

    pub fn alert(&self, number: NumberIx, code: Code) {
        self.tally.alert(number, code);
    }

    pub fn decided(&self, decision: &Decision) {
        let [group, channel] = [decision.group.as_str(), decision.channel.label()];
        let what = match decision.action {
            Action::Rollback => "rollback",
            Action::Withheld { .. } => "withheld",
            Action::Page { reason } => {
                self.pages.with_label_values(&[group, channel, reason.label()]).inc();
                "page"
            }
        };
        self.decisions.with_label_values(&[group, channel, what]).inc();
    }

    /// One number's rollback has ended, so long after it was ordered.
    pub fn rollback(&self, group: &GroupName, channel: Channel, trigger: &str, end: OrderResult, took: Duration) {
        self.rollbacks.with_label_values(&[group.as_str(), channel.label(), trigger, end.label()]).inc();
        self.rollback_duration.observe(took.as_secs_f64());
    }

    pub fn restore(&self, group: &GroupName, channel: Channel, end: OrderResult) {
        self.restores.with_label_values(&[group.as_str(), channel.label(), end.label()]).inc();
    }

    /// One number's part of an apply, or of its undoing, ended.
    pub fn applied(&self, group: &GroupName, channel: Channel, operation: Operation, end: OrderResult) {
        self.applies.with_label_values(&[group.as_str(), channel.label(), operation.label(), end.label()]).inc();
    }

    /// What is known of a group's fallback, and for how many numbers it is broken.
    pub fn fallback(&self, group: &GroupName, channel: Channel, state: FallbackState, broken: usize) {
        let numbers = i64::try_from(broken).unwrap_or(i64::MAX);
        self.fallback_broken.with_label_values(&[group.as_str(), channel.label()]).set(numbers);
        for s in FallbackState::ALL {
            let labels = [group.as_str(), channel.label(), s.label()];
            self.fallback.with_label_values(&labels).set(i64::from(s == state));
        }
    }

    /// Whether somebody else has changed this number since we last swapped it.
    pub fn drift(&self, number: NumberIx, channel: Channel, on: bool) {
        self.tally.drifted(number, channel, on);
    }

    /// Holds in force.
    pub fn held<'a>(&self, holds: impl Iterator<Item = &'a Hold>) {
        let mut counts = [0i64; 3];
        for hold in holds {
            counts[match hold.scope.of {
                ScopeOf::All => 0,
                ScopeOf::Group(_) => 1,
                ScopeOf::Number(_) => 2,
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

    /// A test call or message ended, so long after it was placed.
    pub fn probed(&self, number: NumberIx, channel: Channel, end: ProbeEnd, took: Duration) {
        self.tally.probed(number, channel, end);
        self.probe_duration.with_label_values(&[channel.label()]).observe(took.as_secs_f64());
    }

    /// A test call or message failed, or could not be measured. `origin` and `reason` are closed lists.
    pub fn probe_failed(&self, group: &GroupName, channel: Channel, origin: &str, reason: &str) {
        self.probe_failures.with_label_values(&[group.as_str(), channel.label(), origin, reason]).inc();
    }

    /// Starts the counters of the notifiers that are configured.
    pub fn notifiers<'a>(&self, names: impl Iterator<Item = &'a str>) {
        for name in names {
            self.notifier_fails(name, false);
            for result in NOTICE_RESULTS {
                self.notifications.with_label_values(&[name, result]);
            }
        }
    }

    /// What became of a notice: one of [`NOTICE_RESULTS`].
    pub fn notified(&self, notifier: &str, result: &str) {
        self.notifications.with_label_values(&[notifier, result]).inc();
    }

    /// Whether a notifier delivers.
    pub fn notifier_fails(&self, notifier: &str, fails: bool) {
        self.notifier_failing.with_label_values(&[notifier]).set(i64::from(fails));
    }

    /// Where the agent's own page is, without a slash at the end.
    pub fn page_is_at(&self, address: &str) {
        self.agent.with_label_values(&[address]).set(1);
    }

    /// So many more lines of the log are lost.
    pub fn log_lines_lost(&self, lines: u64) {
        self.log_lines_lost.with_label_values::<&str>(&[]).inc_by(lines);
    }

    /// Twilio's porting webhook rang.
    pub fn port_webhook_rang(&self) {
        self.port_webhooks.with_label_values::<&str>(&[]).inc();
    }

    /// The journal was written, or could not be.
    pub fn journaled(&self, is_done: bool) {
        self.journal.with_label_values(&[if is_done { "success" } else { "failure" }]).inc();
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
