//! What may happen in a history, and what there is when it begins: drawn by chance, the same for the same seed.

use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use ringback::core::model::decision::Mode;
use ringback::core::model::id::Channel;
use ringback::sim::{ApiFaultKind, ApiFaultScope, EndpointClass, HandlerCondition};
use serde_json::{Value, json};

use super::NUMBERS;
use crate::receiver::Manner;

/// What is configured, and what the world is like.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Of the world's own chance.
    pub seed: u64,
    /// Some of support's numbers have messages, the others only calls.
    pub has_messages: bool,
    pub is_probed: bool,
    /// The fallback passes its checks and puts no caller through: test calls to it fail.
    pub is_fallback_dead: bool,
    /// Numbers can leave the account, and bins stop to answer.
    pub has_proxy: bool,
    pub commit_ms: u64,
    pub veto: u64,
    pub approve_within: u64,
    pub cap: u8,
    /// `[group.handler]` asks for another handler of the calls.
    pub has_handlers: bool,
    /// Answers to updates are lost, which happen all the same, much later.
    pub has_late: bool,
}

/// Updates whose answer was lost happen within this.
pub const LATEST: u64 = 1200;

fn one_of<T: Copy>(rng: &mut ChaCha8Rng, of: &[T]) -> T {
    of[rng.random_range(0..of.len())]
}

impl Setup {
    pub fn draw(seed: u64, rng: &mut ChaCha8Rng) -> Setup {
        Setup {
            seed,
            has_messages: rng.random_bool(0.4),
            is_probed: rng.random_bool(0.6),
            is_fallback_dead: rng.random_bool(0.15),
            has_proxy: rng.random_bool(0.5),
            commit_ms: one_of(rng, &[0, 0, 20, 400]),
            veto: one_of(rng, &[0, 0, 0, 120]),
            approve_within: one_of(rng, &[600, 600, 120, 1200]),
            cap: one_of(rng, &[100, 100, 50, 20]),
            has_handlers: false,
            has_late: false,
        }
    }

    /// The same with answers that are lost to updates that happen later, in a third of the histories. Drawn apart too.
    pub fn with_late(self, steps: Vec<Step>) -> (Setup, Vec<Step>) {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed ^ 0x1A7E_1A7E);
        if rng.random_bool(0.67) {
            return (self, steps);
        }
        let mut all = Vec::new();
        for step in steps {
            let is_of_writes = matches!(step, Step::Say("rollback" | "restore" | "apply", _));
            if rng.random_bool(if is_of_writes { 0.5 } else { 0.1 }) {
                all.push(Step::Late(rng.random_range(2..30), rng.random_range(20..LATEST)));
            }
            all.push(step);
        }
        (Setup { has_late: true, ..self }, all)
    }

    /// The same with handlers to apply, in half of the histories, and applies and their undoing among its steps. Drawn
    /// apart, so that the others stay what they were.
    pub fn with_applies(self, steps: Vec<Step>) -> (Setup, Vec<Step>) {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed ^ 0xA991_1E5D);
        if rng.random_bool(0.5) {
            return (self, steps);
        }
        let mut all = Vec::new();
        for step in steps {
            if rng.random_bool(0.3) {
                all.push(match rng.random_range(0..5) {
                    0..3 => Step::Say("apply", ask(&mut rng)),
                    n => Step::Say("restore", undo(ask(&mut rng), n == 4)),
                });
            }
            all.push(step);
        }
        (Setup { has_handlers: true, ..self }, all)
    }
}

/// What of the state file takes nothing, while the rest does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Disk {
    Journal,
    Outbox,
    Lease,
    Everything,
}

impl Disk {
    pub const fn tables(self) -> &'static [&'static str] {
        match self {
            Disk::Journal => &["journal"],
            Disk::Outbox => &["outbox"],
            Disk::Lease => &["lease"],
            Disk::Everything => &["journal", "outbox", "lease", "observation", "cursor", "probe", "baseline"],
        }
    }
}

#[derive(Debug, Clone)]
pub enum Step {
    /// Which of the handlers, by its place in [`super::HANDLERS`].
    Handler(usize, HandlerCondition),
    /// All handlers at once.
    Handlers(HandlerCondition),
    /// One caller with a trouble of their own calls again and again.
    Caller(usize),
    Say(&'static str, Value),
    Approve,
    Fault(ApiFaultKind, ApiFaultScope, u64),
    /// For so many seconds answers to updates are lost, which happen so much later.
    Late(u64, u64),
    /// Somebody else points a number elsewhere.
    Edit(usize, Channel, EditTo),
    /// Somebody else puts the first number that is swapped back on its handler, proven or not.
    Undo,
    /// Somebody else points a number at their handler, and an operator adopts that.
    TakeOver(usize),
    /// A number leaves the account, or is there again.
    Leave(usize),
    /// What all bins answer when they are checked, for so many seconds.
    Bins(u16, u64),
    Disk(Disk, u64),
    Receiver(Manner),
    /// The agent dies, and the next one comes so many seconds later.
    Die(u64),
    /// It is stopped as one stops it, and started again.
    Stop(u64),
    Pass(u64),
}

#[derive(Debug, Clone, Copy)]
pub enum EditTo {
    Theirs,
    /// What it was in the beginning: a swap is undone.
    Original,
    Fallback,
}

fn ask(rng: &mut ChaCha8Rng) -> Value {
    let mut ask = match rng.random_range(0..8) {
        0 => json!({"all": true}),
        1 => json!({"group": "sales"}),
        2..4 => json!({"group": "support"}),
        _ => json!({"numbers": [NUMBERS[rng.random_range(0..NUMBERS.len())]]}),
    };
    ask["reason"] = json!("history");
    match rng.random_range(0..6) {
        0 => ask["channel"] = json!("messaging"),
        1 | 2 => {}
        _ => ask["channel"] = json!("voice"),
    }
    ask
}

/// The undoing of the latest apply of the same.
fn undo(mut ask: Value, force: bool) -> Value {
    ask["applied"] = json!(true);
    ask["at_once"] = json!(true);
    ask["force"] = json!(force);
    ask
}

fn fault(rng: &mut ChaCha8Rng) -> Step {
    let kinds = [
        ApiFaultKind::TooMany,
        ApiFaultKind::ServerError,
        ApiFaultKind::BadGateway,
        ApiFaultKind::Unavailable,
        ApiFaultKind::Drop,
        ApiFaultKind::Hang,
        ApiFaultKind::Cut,
        ApiFaultKind::Truncated,
        ApiFaultKind::Ineffective,
        ApiFaultKind::Slow,
    ];
    let seconds = rng.random_range(2..90);
    match rng.random_range(0..8) {
        // Test calls that cannot be placed, or whose rows are not shown in time.
        0 => Step::Fault(ApiFaultKind::Refuse, ApiFaultScope::Class(EndpointClass::CallCreate), seconds * 5),
        1 => Step::Fault(ApiFaultKind::Stall, ApiFaultScope::Class(EndpointClass::Calls), seconds * 4),
        2 => Step::Fault(ApiFaultKind::Stall, ApiFaultScope::Class(EndpointClass::Alerts), seconds * 4),
        3 => Step::Fault(one_of(rng, &kinds), ApiFaultScope::Any, seconds),
        _ => Step::Fault(one_of(rng, &kinds), ApiFaultScope::Writes, seconds),
    }
}

fn condition(rng: &mut ChaCha8Rng) -> HandlerCondition {
    one_of(
        rng,
        &[
            HandlerCondition::Status(500),
            HandlerCondition::Status(500),
            HandlerCondition::Unreachable(11205),
            HandlerCondition::BadTwiml(12100),
            HandlerCondition::Slow(Duration::from_secs(14)),
        ],
    )
}

impl Step {
    pub fn draw(rng: &mut ChaCha8Rng) -> Step {
        let number = |rng: &mut ChaCha8Rng| rng.random_range(0..NUMBERS.len());
        let with = |mut ask: Value, key: &str, value: Value| {
            ask[key] = value;
            ask
        };
        match rng.random_range(0..44) {
            0..3 => Step::Handler(one_of(rng, &[0, 0, 1, 2]), condition(rng)),
            3 => Step::Handler(one_of(rng, &[0, 1, 2]), HandlerCondition::Healthy),
            4..7 => Step::Say("rollback", ask(rng)),
            7 => Step::Say("restore", ask(rng)),
            8 | 9 => Step::Say("restore", with(ask(rng), "at_once", json!(true))),
            10 => Step::Say("restore", with(with(ask(rng), "at_once", json!(true)), "force", json!(true))),
            11 => Step::Say("hold", with(ask(rng), "seconds", json!(rng.random_range(30..1800)))),
            12 => Step::Say("release", ask(rng)),
            13 => {
                let mode = one_of(rng, &Mode::ALL).label();
                Step::Say("mode", json!({"mode": mode, "reason": "history"}))
            }
            14..16 => Step::Approve,
            16..19 => fault(rng),
            19 => Step::Edit(number(rng), Channel::Voice, EditTo::Theirs),
            20 => Step::Edit(number(rng), Channel::Voice, one_of(rng, &[EditTo::Original, EditTo::Fallback])),
            21 => {
                let to = one_of(rng, &[EditTo::Theirs, EditTo::Original, EditTo::Fallback]);
                Step::Edit(number(rng), Channel::Messaging, to)
            }
            22 | 23 => Step::Leave(number(rng)),
            24 => Step::Bins(one_of(rng, &[404, 503]), rng.random_range(60..900)),
            25 | 26 => {
                let disk = one_of(rng, &[Disk::Journal, Disk::Journal, Disk::Outbox, Disk::Lease, Disk::Everything]);
                Step::Disk(disk, rng.random_range(5..200))
            }
            27 | 28 => {
                let slow = Manner::Slow(Duration::from_secs(rng.random_range(1..8)));
                let bad = [Manner::Status(503), Manner::Status(400), Manner::TooMany(70), slow, Manner::Takes];
                Step::Receiver(one_of(rng, &bad))
            }
            29 => Step::Caller(number(rng)),
            30 | 31 => Step::Die(rng.random_range(0..60)),
            32 => Step::Stop(rng.random_range(0..60)),
            33..37 => Step::Handler(one_of(rng, &[0, 0, 1, 2]), condition(rng)),
            37 => Step::Handlers(condition(rng)),
            38 | 39 => Step::Undo,
            40 => Step::Say("adopt", ask(rng)),
            41 => Step::TakeOver(number(rng)),
            _ => Step::Pass(rng.random_range(60..600)),
        }
    }
}
