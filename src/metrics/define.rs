//! The definitions: name, type, labels and help of every metric, by what it is about.
//!
//! Nothing is exported that is not defined here, and the reference page is made from this table.
//! Names follow Prometheus' rules: prefix `ringback_`, base units, `_total` on counters. The labels
//! `group` and `number` are ours, all others are closed lists; the other party's number is in none.
//! `number` is E.164: the account is the only one. With several, a label `account` would stand before each `number`.

/// What a metric's value may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Only rises, by one an event.
    Counter,
    Gauge,
    Histogram,
}

impl MetricKind {
    pub const fn label(self) -> &'static str {
        match self {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        }
    }
}

/// One metric.
#[derive(Debug)]
pub struct Definition {
    pub name: &'static str,
    pub kind: MetricKind,
    pub labels: &'static [&'static str],
    /// One sentence, or two.
    pub help: &'static str,
}

/// Definitions that are read together.
#[derive(Debug)]
pub struct MetricSection {
    pub title: &'static str,
    pub metrics: &'static [&'static Definition],
}

macro_rules! define {
    ($( $title:literal { $( $id:ident: $kind:ident $name:literal [$($label:literal),*] $help:literal; )* } )*) => {
        $($( #[doc = $help] pub static $id: Definition = Definition {
            name: concat!("ringback_", $name),
            kind: MetricKind::$kind,
            labels: &[$($label),*],
            help: $help,
        }; )*)*
        /// Everything, in the order in which a person would ask.
        pub static SECTIONS: &[MetricSection] = &[$(MetricSection { title: $title, metrics: &[$(&$id),*] }),*];
    };
}

define! {
    "Callers" {
        CALLS: Counter "calls_total" ["group", "number", "outcome", "reason"]
            "Inbound calls by what became of the caller.";
        MESSAGES: Counter "messages_total" ["group", "number", "outcome", "reason"]
            "Messages by what became of them.";
        GROUP_CALLS: Counter "group_calls_total" ["group", "outcome", "reason"]
            "Inbound calls of all the group's numbers, exported one by one or not.";
        GROUP_MESSAGES: Counter "group_messages_total" ["group", "outcome", "reason"]
            "Messages of all the group's numbers, exported one by one or not.";
        REVISED: Counter "outcomes_revised_total" ["group", "number", "channel", "outcome", "reason"]
            "Calls and messages whose outcome became this one after they had been counted under another.";
        ALERTS: Counter "twilio_alerts_total" ["group", "number", "code"]
            "Debugger alerts on calls and messages of our numbers, by Twilio's error code; other beyond 60 codes.";
        GROUP_ALERTS: Counter "group_twilio_alerts_total" ["group", "code"]
            "Debugger alerts of all the group's numbers, by Twilio's error code; other beyond 60 codes.";
        UNSETTLED: Gauge "unsettled_entries" ["group", "number", "channel"]
            "Calls or messages that are not over or whose outcome cannot be told yet.";
    }
    "Verdicts" {
        VERDICT: Gauge "verdict" ["group", "number", "channel", "verdict"]
            "1 for what the detector says of this number's channel, 0 for the others.";
        STATISTIC: Gauge "decision_statistic" ["group", "number", "channel"]
            "What the decision goes by: how much the callers speak for a fault of this number, in nats. 0 if nothing does.";
        THRESHOLD: Gauge "decision_threshold" ["group", "number", "channel"]
            "What the statistic must reach for a rollback, in nats; exported while something speaks for a fault.";
        CALLERS: Gauge "evidence_callers" ["group", "number", "channel"]
            "Distinct callers since the supposed start of the fault, served or failed.";
        FAILING: Gauge "evidence_failing_callers" ["group", "number", "channel"]
            "Distinct callers since the supposed start of the fault who met a failure that a swap would cure.";
        SINCE: Gauge "evidence_since_timestamp_seconds" ["group", "number", "channel"]
            "When the supposed fault began, or the one that a number on the fallback was swapped for.";
        GROUP_VERDICT: Gauge "group_verdict" ["group", "channel", "verdict"]
            "1 for what the detector says of the group's numbers together, 0 for the others.";
        GROUP_STATISTIC: Gauge "group_decision_statistic" ["group", "channel"]
            "How much the callers speak for a fault that the group's numbers share, in nats. 0 if nothing does.";
        GROUP_THRESHOLD: Gauge "group_decision_threshold" ["group", "channel"]
            "What the group's statistic must reach for a rollback, in nats; exported while something speaks for a fault.";
        GROUP_CALLERS: Gauge "group_evidence_callers" ["group", "channel"]
            "Distinct callers of the group since the supposed start of the fault, served or failed.";
        GROUP_FAILING: Gauge "group_evidence_failing_callers" ["group", "channel"]
            "Distinct callers of the group since then who met a failure that a swap would cure.";
        GROUP_NUMBERS: Gauge "group_numbers" ["group", "channel", "verdict"]
            "Numbers of the group by what the detector says of them.";
        BLIND: Gauge "blind" ["channel"]
            "1 while a log that the channel needs cannot be read, or it is not known who answers some of its numbers.";
        ROUTING: Gauge "numbers_by_routing" ["channel", "routing"]
            "Watched numbers by what is known of who answers them.";
    }
    "The port" {
        PHASE: Gauge "phase" ["group", "number", "channel", "phase"]
            "1 for the phase of this number's channel, 0 for the others.";
        GROUP_PHASE: Gauge "group_numbers_in_phase" ["group", "channel", "phase"]
            "Numbers of the group by phase.";
        PORT_STATUS: Gauge "port_status" ["group", "number", "status"]
            "1 for how far this number's port is, as Twilio says, 0 for the others; absent where no port request shows it.";
        GROUP_PORT_STATUS: Gauge "group_numbers_by_port_status" ["group", "status"]
            "Numbers of the group by how far their port is, as Twilio says.";
        PORTS_LOOK: Gauge "ports_look" ["look"]
            "1 for what came of the latest look at the Porting API, 0 for the others.";
        PORT_WEBHOOKS: Counter "port_webhooks_total" []
            "How often Twilio's porting webhook rang for a look at the Porting API.";
        PORT_DUE: Gauge "port_due_timestamp_seconds" ["group"]
            "When the first of the group's numbers that are not ported yet is due; absent if none has a date.";
    }
    "What was done" {
        DECISIONS: Counter "decisions_total" ["group", "channel", "decision"]
            "Decisions: to roll back, one that a guard withheld, or to page for what a swap would not cure.";
        PAGES: Counter "pages_total" ["group", "channel", "reason"]
            "Decisions that a person is needed, by reason.";
        ROLLBACKS: Counter "rollbacks_total" ["group", "channel", "trigger", "result"]
            "Rollbacks of a number's channel by what asked for them and how they ended.";
        ROLLBACK_DURATION: Histogram "rollback_duration_seconds" []
            "Time from the decision until the number was read back.";
        SUPPRESSED: Counter "rollbacks_suppressed_total" ["reason"]
            "Rollbacks that the evidence asked for and a guard stopped.";
        WAITING: Gauge "rollbacks_waiting" ["group", "channel", "reason"]
            "Numbers that the evidence asks to roll back and that this guard keeps from it now.";
        ROLLED_BACK: Gauge "rolled_back" ["group", "number", "channel"]
            "1 while the number's channel points at the fallback because we wrote that, also if it is unproven.";
        PROVEN: Gauge "rollback_proven" ["group", "number", "channel"]
            "1 while the number's channel is on the fallback and a test call heard it.";
        UNPROVEN: Gauge "rollback_unproven" ["group", "number", "channel"]
            "1 while the fallback was written, and something else seems to answer or it cannot be told.";
        PROVABLE: Gauge "rollback_provable" ["group", "number", "channel"]
            "1 if a test call or message of ours can prove a rollback of this number's channel.";
        LATEST_DECISION: Gauge "latest_decision" ["group", "number", "channel"]
            "The latest decision about this number's channel: 12 stands for D12. Absent while there is none.";
        DECIDED_CALLERS: Gauge "decided_callers" ["group", "number", "channel"]
            "Distinct callers that the latest decision went by, served or failed.";
        DECIDED_FAILING: Gauge "decided_failing_callers" ["group", "number", "channel"]
            "Distinct callers that the latest decision went by who had failed.";
        GROUP_ROLLED_BACK: Gauge "group_rolled_back_numbers" ["group", "channel"]
            "Numbers of the group whose channel points at the fallback because we wrote that, also if unproven.";
        RESTORES: Counter "restores_total" ["group", "channel", "result"]
            "Restores of a number's channel by how they ended.";
        APPLIES: Counter "applies_total" ["group", "channel", "operation", "result"]
            "What apply, or the undoing of one, did to a number's channel, by how it ended.";
        APPLIED: Gauge "applied_numbers" ["group", "channel"]
            "Numbers of the group whose channel has what an apply wrote and nobody has undone or changed.";
        DRIFT: Gauge "config_drift" ["group", "number", "channel"]
            "1 once somebody else has changed this number's routing, until a rollback, restore or apply writes it, or it is adopted.";
        FALLBACK: Gauge "fallback" ["group", "channel", "state"]
            "1 for what is known of the group's fallback, 0 for the others.";
        FALLBACK_BROKEN: Gauge "fallback_broken_numbers" ["group", "channel"]
            "Numbers of the group that the fallback would not serve: they are not swapped to it.";
        HELD: Gauge "held" ["scope"]
            "Holds in force, by what they cover: all numbers, a group, or a number.";
        MODE: Gauge "mode" ["mode"]
            "1 for the mode in force, 0 for the others.";
    }
    "Test calls and messages" {
        PROBES: Counter "probe_attempts_total" ["group", "number", "kind", "result"]
            "Test calls and messages by result; error means that it could not be measured.";
        GROUP_PROBES: Counter "group_probe_attempts_total" ["group", "kind", "result"]
            "Test calls and messages of all the group's numbers by result.";
        PROBE_FAILURES: Counter "probe_failures_total" ["group", "kind", "origin", "reason"]
            "Test calls and messages that failed or could not be measured, by where they came from and why.";
        PROBE_DURATION: Histogram "probe_duration_seconds" ["kind"]
            "Time from placing a test call or message until its result was known.";
    }
    "What we see" {
        LAST_POLL: Gauge "last_successful_poll_timestamp_seconds" ["source"]
            "When this source was last read in full.";
        STALE: Gauge "source_stale" ["source"]
            "1 while a source that is needed has not been read for too long.";
        NEWEST: Gauge "newest_entry_timestamp_seconds" ["source"]
            "The newest entry's own time, by source.";
        LOG_LAG: Gauge "log_lag_seconds" ["source"]
            "How long after its own time an entry typically becomes visible: median of the recent ones.";
        ENTRY_LAG: Histogram "entry_lag_seconds" ["source"]
            "Time between an entry's own time and the moment we first saw it.";
        POLLS: Counter "polls_total" ["source", "result"]
            "Polls of a source by result.";
        ROWS: Counter "rows_total" ["source", "result"]
            "Rows of Twilio's lists by what became of them.";
        REQUESTS: Counter "twilio_requests_total" ["endpoint", "code"]
            "Requests to Twilio by endpoint and HTTP status, or what went wrong.";
        REQUEST_DURATION: Histogram "twilio_request_duration_seconds" ["endpoint"]
            "Duration of requests to Twilio.";
        IN_FLIGHT: Gauge "twilio_requests_in_flight" []
            "Requests to Twilio under way.";
        CONCURRENCY: Gauge "twilio_concurrency_limit" []
            "Requests to Twilio that we allow at the same time, found by trying.";
        CLOCK_SKEW: Gauge "clock_skew_seconds" []
            "Twilio's clock minus ours, by the Date of its answers.";
        MISSING: Gauge "numbers_missing" []
            "Numbers of the configuration that are not in the account.";
    }
    "Ringback itself" {
        BUILD: Gauge "build_info" ["version"]
            "Version of this agent; always 1.";
        AGENT: Gauge "agent_info" ["page"]
            "Where the agent's own page is; always 1.";
        TICK: Gauge "last_tick_timestamp_seconds" []
            "When the engine last ticked: every second, and after everything that comes in.";
        LEADING: Gauge "leading" []
            "1 while this agent holds the lease, without which nothing is written.";
        QUEUE: Gauge "queue_length" ["queue"]
            "Messages that wait, by for whom.";
        QUEUE_ROOM: Gauge "queue_capacity" ["queue"]
            "Messages that may wait, by for whom.";
        LOG_LINES_LOST: Counter "log_lines_lost_total" []
            "Lines of the agent's own log that whoever reads the error stream did not take in time.";
        RECORDS: Gauge "journal_records" []
            "Records of the journal. There are never fewer, unless an older state was put back.";
        JOURNAL: Counter "journal_writes_total" ["result"]
            "Writes to the journal by result. What is not in the journal is not done.";
        NOTIFICATIONS: Counter "notifications_total" ["notifier", "result"]
            "Notices by notifier and what became of them.";
        NOTIFIER_FAILING: Gauge "notifier_failing" ["notifier"]
            "1 while a notifier does not deliver, which `ringback status` says more of.";
        NUMBERS: Gauge "numbers" ["group"]
            "Numbers that are watched.";
        EXPORTED: Gauge "numbers_exported" []
            "Numbers with metrics of their own: all up to 2,000; above that, those in trouble.";
    }
}

/// Every definition.
pub fn all() -> impl Iterator<Item = &'static Definition> {
    SECTIONS.iter().flat_map(|s| s.metrics.iter().copied())
}
