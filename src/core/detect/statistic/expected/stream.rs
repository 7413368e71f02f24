//! What is kept of each number, group, account and carrier: calls that came, and calls that were due.

use crate::model::id::E164;
use crate::model::roster::{GroupIx, NumberIx};
use crate::model::time::Time;
use crate::profile::Slot;

/// Calls due: in all, and until the last that came.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CallsDue {
    total: f64,
    then: f64,
}

impl CallsDue {
    pub fn add(&mut self, calls: f64) {
        self.total += calls;
    }

    pub const fn set(&mut self, total: f64) {
        self.total = total;
    }

    pub const fn total(self) -> f64 {
        self.total
    }

    pub fn since(self) -> f64 {
        self.total - self.then
    }

    pub const fn before(self) -> f64 {
        self.then
    }

    /// A call came.
    pub const fn heard(&mut self) {
        self.then = self.total;
    }
}

/// Whether people have been told of a silence, and how many have called since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Telling {
    #[default]
    NotTold,
    Told {
        callers_since: u8,
    },
}

/// So many different callers show that it rings again: fewer may be somebody who tries whether it does.
const RINGS_AGAIN: u8 = 5;

impl Telling {
    pub const TOLD: Telling = Telling::Told { callers_since: 0 };

    pub fn is_told(self) -> bool {
        self != Telling::NotTold
    }

    /// Told, and nobody has called since.
    pub fn is_silent(self) -> bool {
        self == Telling::TOLD
    }

    /// A caller was heard who has not called lately. True if it rings again.
    pub const fn heard(&mut self) -> bool {
        if let Telling::Told { callers_since } = self {
            *callers_since += 1;
            if *callers_since >= RINGS_AGAIN {
                *self = Telling::NotTold;
                return true;
            }
        }
        false
    }
}

/// Calls of a number, a group or the account. Redials are one call.
#[derive(Clone, Debug)]
pub(super) struct ExpectedStream {
    /// When the last call came, if one did; calls of redials are calls here.
    pub last: Option<Time>,
    /// Calls that came while it rang, as far as anybody knew, and all that came.
    pub had: u64,
    pub heard: u64,
    /// Due by the profile alone, and times the factor of the day.
    pub raw: CallsDue,
    pub scaled: CallsDue,
    /// Calls that a day brings.
    pub a_day: f64,
    pub telling: Telling,
    /// So unlikely to be silent by chance that it teaches nobody how lively the day is.
    pub is_suspect: bool,
}

impl ExpectedStream {
    pub fn new() -> ExpectedStream {
        ExpectedStream {
            last: None,
            had: 0,
            heard: 0,
            raw: CallsDue::default(),
            scaled: CallsDue::default(),
            a_day: LEAST_A_DAY,
            telling: Telling::NotTold,
            is_suspect: false,
        }
    }

    /// `is_first`: not a redial. `counts`: its number is not known to be silent.
    pub fn heard(&mut self, now: Time, is_first: bool, counts: bool) -> bool {
        self.last = Some(now);
        self.raw.heard();
        self.scaled.heard();
        self.heard += u64::from(is_first);
        self.had += u64::from(is_first && counts);
        is_first && self.telling.heard()
    }
}

/// No stream is taken to have fewer.
pub(super) const LEAST_A_DAY: f64 = 0.5;

/// Calls of one carrier's callers to a number, a group or the account.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CarrierStream {
    pub had: u64,
    pub heard: u64,
    pub due: CallsDue,
    pub last: Option<Time>,
    /// Calls of other callers that had come when its last came.
    pub others_then: u64,
    /// Calls that were due from other callers then.
    pub others_due_then: f64,
    /// Calls that a day brings.
    pub a_day: f64,
    /// When people were told that its callers are missed.
    pub told_at: Option<Time>,
}

impl CarrierStream {
    /// Whoever was told of it need not be told again the same day.
    pub fn begin_day(&mut self, a_day: f64) {
        self.told_at = self.told_at.filter(|at| self.last <= Some(*at));
        self.a_day = a_day.max(LEAST_A_DAY);
    }

    /// The callers of all of them together. Callers of whom nobody knows the carrier are none of these, neither
    /// here nor in what is due: how many they are says nothing of any carrier.
    pub fn sum(carriers: &[CarrierStream]) -> CarrierSum {
        let add = |sum: CarrierSum, c: &CarrierStream| CarrierSum {
            had: sum.had + c.had,
            heard: sum.heard + c.heard,
            due: sum.due + c.due.total(),
        };
        carriers.iter().fold(CarrierSum::default(), add)
    }

    /// A caller of the carrier at `k` was heard.
    pub fn heard(carriers: &mut [CarrierStream], k: usize, now: Time, is_first: bool, counts: bool) {
        let Some(carrier) = carriers.get_mut(k) else { return };
        carrier.heard += u64::from(is_first);
        carrier.had += u64::from(is_first && counts);
        carrier.last = Some(now);
        carrier.due.heard();
        let all = CarrierStream::sum(carriers);
        let carrier = &mut carriers[k];
        carrier.others_then = all.heard - carrier.heard;
        carrier.others_due_then = all.due - carrier.due.total();
    }
}

/// Calls that came from callers of known carriers, and calls that were due from them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CarrierSum {
    pub had: u64,
    pub heard: u64,
    pub due: f64,
}

/// A number's calls, and what is known of it.
#[derive(Clone, Debug)]
pub(super) struct ExpectedNumber {
    pub number: NumberIx,
    pub e164: E164,
    pub group: GroupIx,
    pub zone: usize,
    /// Since when its calls come to Twilio; `None`: not yet, as far as anybody knows.
    pub begins: Option<Time>,
    pub stream: ExpectedStream,
    /// By carrier. What is due of each is its share of `shared`.
    pub carriers: Vec<CarrierStream>,
    /// Of each carrier's callers among its own.
    pub shares: Vec<f64>,
    /// Due while it was not known to be silent: what its carriers' callers are measured by.
    pub shared: f64,
    /// The half-hour that it is in, and the calls due in all of it.
    pub now: (Option<Slot>, f64),
    pub pages: u8,
    /// Nobody asks.
    pub is_ignored: bool,
    /// Variance of a day's factor: the number's own, and all that is uncertain about it beside the day.
    pub spread: f64,
    pub uncertainty: f64,
    /// Of a new or dying number, above that of any other.
    pub newness: f64,
    pub recent: RecentCalls,
    /// The day's factor, learnt from others, and how well it is known.
    pub factor: f64,
    pub known: f64,
}

impl ExpectedNumber {
    /// Brings what is due of each carrier up to date.
    pub fn share_out(&mut self) {
        for (carrier, share) in self.carriers.iter_mut().zip(&self.shares) {
            carrier.due.set(share * self.shared);
        }
    }

    /// It rings, as far as anybody knows, and says something of its group and account.
    pub fn counts(&self) -> bool {
        !self.stream.telling.is_told()
    }
}

/// Calls of the last hours that came and that were due, the latest counting most.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RecentCalls {
    pub had: f64,
    pub due: f64,
    /// Of the stream, when it was last looked at.
    had_then: u64,
    due_then: f64,
}

impl RecentCalls {
    /// Takes in what came since the last look, of which `kept` is what is left of a call by now.
    pub fn take(&mut self, stream: &ExpectedStream, kept: f64) {
        self.had = self.had * kept + (stream.had - self.had_then) as f64;
        self.due = self.due * kept + (stream.raw.total() - self.due_then);
        (self.had_then, self.due_then) = (stream.had, stream.raw.total());
    }
}

#[derive(Clone, Debug)]
pub(super) struct ExpectedGroup {
    /// Positions of its numbers that have a history.
    pub numbers: Vec<usize>,
    pub stream: ExpectedStream,
    pub carriers: Vec<CarrierStream>,
    pub zone: usize,
    pub spread: f64,
    /// The day's factor of the account, learnt from other groups, and how well it is known.
    pub factor: f64,
    pub known: f64,
}

#[derive(Clone, Debug)]
pub(super) struct ExpectedAccount {
    pub stream: ExpectedStream,
    pub carriers: Vec<CarrierStream>,
    pub spread: f64,
    /// The day's factor.
    pub factor: f64,
    /// Since when no number has had a call, but for what was not watched.
    pub quiet_since: Time,
    /// Calls due since then, whether they can be counted on or not.
    pub due_in_quiet: f64,
    /// When a row of the call log was last seen that is no call to a number of ours.
    pub alive_at: Time,
}
