//! Ringback stands watch on the day a company's phone numbers port to Twilio: it reads Twilio's
//! logs, says for every number whether callers are being served, and when callers fail for a reason
//! that a rollback would cure, points the number at a fallback TwiML Bin and checks that it answers.
//!
//! This page is the map. Each folder below is one topic, complete, and opens with what it is for,
//! why it is built so and what it promises.
//!
//! # The folders
//!
//! | folder | is |
//! |---|---|
//! | [`core`] | the decision, pure: facts in, events and journal entries out; no I/O, no clock, no chance |
//! | [`twilio`] | the client: Twilio's JSON as it is, paging, retries, how many requests at once |
//! | [`store`] | what survives a restart: what was seen, what was decided, what was done |
//! | [`agent`] | the tasks: pollers, the controller, the executor of orders, delivery of notices |
//! | [`admin`] | the agent's own HTTP face |
//! | [`notify`] | how a notice reaches people: a mapping for each channel, one sender |
//! | [`docs`](mod@docs) | the documentation and the runbooks, a part of the program |
//! | [`metrics`] | every metric: its definition, and what is counted |
//! | [`mod@check`] | what must be true before the port day: everything is looked at, many things at once |
//! | [`config`] | the file as meant: every value valid, or all faults at once |
//! | [`clock`] | time, real or virtual; nothing else reads it or waits for it |
//! | [`file`](mod@file) | files that others may have put there: opened without waiting, read up to a bound |
//! | [`child`] | programs of the user's, that are ours until they are gone |
//! | [`caller`] | how the other party's number is made unrecognisable |
//! | [`wav`] | recordings as files |
//! | [`sim`] | a pretend Twilio with callers, for the demo, the tests and `ringback sim` |
//! | [`replay`] | a recorded log, played through the engine in its own time |
//! | [`record`] | a period of an account's logs, as a recording |
//! | [`learn`] | what should ring: call records of the weeks before, as a profile |
//! | [`report`] | what happened, for those who were not there, with its evidence |
//! | [`simulate`] | days of traffic without a Twilio: what the rules in force would do |
//! | [`rehearse`] | the fire drill: the whole rollback on a spare number, and the way back |
//! | [`init`] | the first configuration, from what the account has |
//! | [`cli`] | commands, exit codes, what a person sees |
//!
//! # Who may use whom
//!
//! ```text
//! main     -> cli
//! cli      -> admin, agent, check, child, clock, config, docs, file, init, learn, notify, record, rehearse, replay,
//!             report, sim, simulate, store, twilio
//! admin    -> agent, clock, docs, file, metrics
//! check    -> agent, caller, clock, config, metrics, notify, store, twilio
//! init     -> caller, clock, config, metrics, twilio
//! rehearse -> agent, caller, clock, config, file, metrics, twilio
//! agent    -> caller, child, clock, config, metrics, notify, store, twilio
//! simulate -> replay, sim::chance
//! report   -> replay, store
//! learn    -> caller, config, file
//! record   -> caller, clock, config::csv, metrics, report::stand_in, twilio
//! replay   -> caller, twilio::wire
//! config   -> file, metrics::PerNumber, notify, rehearse::report::Variant, twilio
//! twilio   -> caller, clock, metrics, wav
//! notify   -> child, clock
//! sim      -> clock
//! store    -> clock, file
//! child    -> clock
//! docs     -> nobody
//! metrics  -> nobody
//! caller   -> file
//! file     -> nobody
//! clock    -> nobody
//! wav      -> nobody
//! core     -> nobody
//! everyone -> core
//! ```
//!
//! `twilio`, `store`, `notify` and `sim` do not know each other. `sim` shares ids and instants with `core` and
//! nothing with `twilio`: if both used the same structs, a misspelt field would pass every test. Files form no
//! circles, except that a folder's own file and its children may use each other.
//! `tests/it/layers.rs` reads this table and fails when the code uses more, or needs less.
//!
//! # The life of one call
//!
//! 1. [`twilio::wire`] reads a page of the call log and converts each row to a
//!    [`core::detect::observation::Call`]. The caller's number turns into a keyed hash there and goes no
//!    further. A row that cannot be understood is counted, kept for diagnosis and skipped.
//! 2. [`agent::poll`] reads the recent past again at every poll, for entries come late and change;
//!    what is new or has changed is committed to [`store`] together with the cursor, then handed on.
//! 3. [`core::detect::engine`] takes it. [`core::detect::ledger`] joins the call with its alerts and child legs in
//!    whatever order they come, and settles it once alerts have had time to arrive.
//! 4. [`core::detect::outcome`] says what became of the caller: `ok`, `failed(reason)`, `ignored(why)`.
//! 5. [`core::detect::statistic`] weighs it with the other calls of the number and of its group, and a
//!    [`core::model::verdict`] follows. Too little data and data that cannot be read are verdicts of their
//!    own.
//! 6. The engine turns it into a [`core::model::decision`]: act, or the first guard that objects. Both are reported.
//! 7. [`core::rollback::orders`] keeps it as a pending rollback and asks the [`core::rollback::guard`]s. What passes
//!    becomes an order, journaled by [`agent::control`], and [`agent::execute`] carries it out: snapshot and
//!    intent to the disk, the write past the write guard, and a read of who answers now.
//!    [`core::routing::record`] knows Twilio's precedence; 200 alone is no success. An operator's command
//!    ([`core::rollback::operator`]) takes the same way.
//! 8. Meanwhile [`agent::probe`] calls and texts the numbers itself, as [`core::probe`] plans and reads it:
//!    on a schedule, at a first suspicion, and after a rollback, which is proven by a test call or not at all.
//! 9. [`core::notice::incidents`] folds the same entries into incidents and the notices about them;
//!    [`agent::deliver`] keeps each notice until [`notify`] has delivered it. Nothing above waits for that.
//! 10. After a crash the journal is folded through the same functions ([`core::rollback::saga`]), and an intent
//!     without a result means: read the number first.
//!
//! # Time
//!
//! Everything waits on [`clock::Clock`]. `run` has the machine's; the demo and the tests have one
//! that jumps from deadline to deadline, with the same agent, the real HTTP client and a real SQLite
//! file on top. A port day then takes seconds and is the same every time. [`replay`] has no clock at
//! all: a recorded log brings its own time, and the same engine decides.
//!
//! # The laws
//!
//! Comments and tests cite them by number. Each is tried on random histories, and by stopping the agent between
//! any two steps.
//!
//! 1. Before a number is written to, its full configuration and the intent are on the disk.
//! 2. Nothing is written while blind, held, in `observe`, without the lease, past a guard, or twice for one decision.
//! 3. Only what a rollback would cure leads to one. What it would not cure is reported.
//! 4. No data is neither failure nor health; what cannot be placed is not either. It has a verdict of its own.
//! 5. `proven` means: read back, the fallback is in effect, and a test call or message had its answer.
//! 6. A fallback is tested before it is needed; nothing goes to one that is known to be broken.
//! 7. A restore overwrites nobody's later change unless forced. Another writer is reported and never fought.
//! 8. Stopped at any instant, the agent reaches the same end. A lost answer is settled by looking.
//! 9. Every decision can be explained from what is stored, and made once more from it.
//! 10. The agent's own failure is loud: stale, idle and dead look different, and a lost task ends the process.
//! 11. No secret is printed anywhere. Of the other party's number there is a keyed hash and two digits, in the store
//!     only.
//! 12. No code path releases a number.
//! 13. At least one way to on-call does not pass through Twilio.
//!
//! # Deliberately absent
//!
//! Anything that could release a number. Any way to give credentials to another host than the
//! configured ones. Retries above [`twilio`]: loops come round again.

/// Compiled by itself: `src/core` is a package of its own.
pub use ringback_core as core;

pub mod admin;
pub mod agent;
pub mod caller;
pub mod check;
pub mod child;
pub mod cli;
pub mod clock;
pub mod config;
pub mod docs;
pub mod file;
pub mod init;
pub mod learn;
pub mod metrics;
pub mod notify;
pub mod record;
pub mod rehearse;
pub mod replay;
pub mod report;
pub mod sim;
pub mod simulate;
pub mod store;
pub mod twilio;
pub mod wav;

/// What the tests call theirs.
#[cfg(test)]
mod testing {
    use crate::core::model::id::{AccountSid, NumberId};

    pub const ACCOUNT: AccountSid = AccountSid::from_u128(0xacc);

    /// A number of [`ACCOUNT`].
    pub fn ours(e164: &str) -> NumberId {
        NumberId::new(ACCOUNT, e164.parse().unwrap())
    }
}
