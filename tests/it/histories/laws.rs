//! The laws, from what Twilio was really asked, from the journal, and from what the receiver was told.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ringback::core::explain::Recomputed;
use ringback::core::model::decision::{Decision, DecisionId, Mode};
use ringback::core::model::guard::{Guard, Strength};
use ringback::core::model::id::{Channel, E164, GroupName};
use ringback::core::model::order::{By, CloseReason, FallbackState, LandedOn, Operation, Order, OrderResult, Scope};
use ringback::core::model::time::Time;
use ringback::core::notice::NoticeStatus;
use ringback::core::rollback::entry::Entry;
use ringback::core::rollback::guard::allowed;
use ringback::sim::{AuditActor, SimEffect, TimelineMark};
use ringback::store::lease::LEASE;
use ringback::store::outbox::DeliveryStatus;
use ringback::store::{JournalRecord, Store};
use serde_json::Value;

use super::{History, Met, THEIRS, is_sales, property};
use crate::support::id;
use crate::world::{BIN, World};

/// One channel of one number.
type Slot = (E164, Channel);

/// A write that was sent before the hold or the mode was in force may take so long to land: the way there, no more.
const IN_FLIGHT: Duration = Duration::from_secs(2);

/// Between a look at a number and the write that follows.
const LOOKED: Duration = Duration::from_secs(3);

/// Something that was written to a number.
pub struct Write {
    pub at: Time,
    slot: Slot,
    by: AuditActor,
    is_real: bool,
    /// It happened long after it was asked for: no law is about when.
    is_late: bool,
    changes: Vec<(&'static str, String, String)>,
}

/// Everything that was written, in its order.
pub fn writes(w: &World) -> Vec<Write> {
    let mut writes = Vec::new();
    for entry in w.sim.truth().timeline {
        assert!(!matches!(entry.what, TimelineMark::Release { .. }), "law 12");
        let TimelineMark::Updated(update) = entry.what else { continue };
        let is_messaging = update.changes.iter().any(|(field, ..)| field.starts_with("sms_"));
        writes.push(Write {
            at: entry.at,
            slot: (update.number, if is_messaging { Channel::Messaging } else { Channel::Voice }),
            by: update.by,
            is_real: update.effect != SimEffect::Pretended,
            is_late: update.effect == SimEffect::Late,
            changes: update.changes,
        });
    }
    writes
}

/// Who wrote last what a number's channel points at.
pub fn last_writer(w: &World, number: E164, channel: Channel) -> Option<AuditActor> {
    let writes = writes(w);
    writes.iter().rfind(|u| u.is_real && u.slot == (number, channel) && !u.changes.is_empty()).map(|u| u.by)
}

/// True if the latest write to a number's channel is one of ours that happened long after it was asked for.
pub fn is_late(w: &World, number: E164, channel: Channel) -> bool {
    let writes = writes(w);
    writes.iter().rfind(|u| u.is_real && u.slot == (number, channel)).is_some_and(|u| u.is_late)
}

/// A time during which nothing may be written to some numbers.
struct Stop {
    /// All numbers without one.
    scope: Option<Scope>,
    from: Time,
    until: Time,
}

fn group_of(number: E164) -> GroupName {
    if is_sales(number) { "sales" } else { "support" }.parse().unwrap()
}

/// Each decision is explained. Gives how many follow from what is stored, and how many do not: at which fraction of a
/// second the engine ticked is not stored.
pub async fn explain(history: &History<'_>) -> [u64; 2] {
    let store = Store::open_read_only(&history.config.agent.state).await.unwrap();
    let journal = store.journal().await.unwrap();
    store.close().await;
    let mut explained = [0, 0];
    for record in &journal {
        let Entry::Decision(Decision { id, .. }) = &record.entry else { continue };
        let found = history.running().agent.memory.explain(*id).await.unwrap();
        let found = found.unwrap_or_else(|| panic!("law 9: {id} is not explained"));
        match found.recomputed {
            Some(Recomputed::Follows) => explained[0] += 1,
            Some(Recomputed::NoLonger { differences }) => {
                println!("seed {}: {id} no longer follows: {differences:?}", history.setup.seed);
                explained[1] += 1;
            }
            Some(Recomputed::NotKept { .. }) | None => panic!("law 9: {id}: what it rests on is kept"),
        }
    }
    explained
}

/// A number that was said to be proven.
struct Proof {
    at: Time,
    slot: Slot,
    /// When its write was in the journal; one that lands later does not count.
    written: Option<Time>,
}

/// What the journal says, as far as laws are about its order.
#[derive(Default)]
struct Journal {
    stops: Vec<Stop>,
    observing: Option<Time>,
    mode: Option<Mode>,
    intents: BTreeMap<Slot, Vec<(Time, DecisionId, Operation)>>,
    snapshots: BTreeMap<(DecisionId, Slot), Time>,
    written: BTreeMap<(DecisionId, Slot), Time>,
    proofs: Vec<Proof>,
    forced: BTreeSet<DecisionId>,
    decisions: BTreeMap<DecisionId, Decision>,
    ordered: BTreeSet<(DecisionId, Slot)>,
    under_way: BTreeSet<Slot>,
    /// Swapped, those of them that somebody else has set back, and what a person said yes to.
    swapped: BTreeSet<Slot>,
    undone: BTreeSet<Slot>,
    /// Whose handler was adopted, and not written to by us since.
    adopted: BTreeSet<Slot>,
    approved: BTreeSet<DecisionId>,
    vetoes: BTreeMap<(DecisionId, E164), (Time, Time)>,
    lapsed: BTreeSet<(DecisionId, E164)>,
    fallbacks: BTreeMap<(GroupName, Channel), FallbackState>,
    channels: BTreeMap<DecisionId, Channel>,
    /// Orders that are no rollbacks: applies, and their undoing.
    applies: BTreeSet<DecisionId>,
    met: Met,
}

impl Journal {
    fn met(&mut self, what: impl Into<String>) {
        *self.met.entry(what.into()).or_default() += 1;
    }

    fn end(&mut self, at: Time, scope: &Scope) {
        for stop in self.stops.iter_mut().filter(|s| s.scope.as_ref() == Some(scope)) {
            stop.until = stop.until.min(at);
        }
    }

    fn ordered(&mut self, history: &History<'_>, at: Time, order: &Order) {
        if order.force {
            self.forced.insert(order.id);
        }
        let slots = || order.numbers.iter().map(|n| (n.e164, order.channel));
        for slot in slots() {
            assert!(self.ordered.insert((order.id, slot)), "law 2: {} is ordered twice for {}", order.id, slot.0);
            assert!(!self.lapsed.contains(&(order.id, slot.0)), "law 2: {} lapsed, and is ordered", order.id);
        }
        if order.operation == Operation::Rollback {
            let fallback = self.fallbacks.get(&(order.group.clone(), order.channel));
            assert_ne!(fallback, Some(&FallbackState::Broken), "law 6: {} goes to a broken fallback", order.id);
        }
        if order.by == By::Detector && !self.approved.contains(&order.id) {
            assert!(!slots().any(|s| self.undone.contains(&s)), "law 7: {} swaps again what somebody undid", order.id);
            assert_eq!(self.mode.unwrap_or(Mode::Auto), Mode::Auto, "law 2: {} is ordered unasked", order.id);
            let of_group = |s: &&Slot| s.1 == order.channel && group_of(s.0) == order.group;
            let mut after: BTreeSet<Slot> = self.swapped.union(&self.under_way).filter(of_group).copied().collect();
            after.extend(slots());
            let members = history.slots().iter().filter(of_group).count();
            let decision = &self.decisions[&order.id];
            let most = allowed(Strength::of(&decision.evidence, decision.numbers.len()), members, history.setup.cap);
            assert!(after.len() <= most, "law 2: {} is ordered past the cap: {after:?}, {most}", order.id);
            if history.setup.veto > 0 {
                // Whoever is asked reads it once it is written.
                let written = Duration::from_millis(1000 + 2 * history.setup.commit_ms);
                let veto = Duration::from_secs(history.setup.veto);
                let whole = |n: E164| {
                    let asked = self.vetoes.get(&(order.id, n));
                    asked.is_some_and(|(from, until)| *until <= at && *from + veto <= *until + written)
                };
                assert!(order.numbers.iter().all(|n| whole(n.e164)), "law 2: {} leaves no time for a veto", order.id);
                self.met("ordered after a veto's time");
            }
        }
        match order.operation {
            Operation::Rollback | Operation::Restore => self.under_way.extend(slots()),
            Operation::Apply | Operation::Undo => {
                self.applies.insert(order.id);
            }
        }
        self.channels.insert(order.id, order.channel);
    }

    fn result(&mut self, at: Time, decision: DecisionId, slot: Slot, result: OrderResult) {
        if self.applies.contains(&decision) {
            return self.met(format!("applied: {}", result.label()));
        }
        self.met(format!("result {}", result.label()));
        self.under_way.remove(&slot);
        match result {
            OrderResult::Written | OrderResult::Proven => {
                if result == OrderResult::Proven {
                    let written = self.written.get(&(decision, slot)).copied();
                    self.proofs.push(Proof { at, slot, written });
                }
                self.swapped.insert(slot);
                self.undone.remove(&slot);
            }
            OrderResult::Restored => {
                self.swapped.remove(&slot);
                self.undone.remove(&slot);
            }
            OrderResult::Superseded => {
                if self.swapped.remove(&slot) {
                    self.undone.insert(slot);
                }
            }
            OrderResult::Unproven | OrderResult::Failed | OrderResult::Refused => {}
        }
    }

    fn read(&mut self, history: &History<'_>, record: &JournalRecord) {
        let at = record.at;
        match &record.entry {
            Entry::Hold(hold) => {
                self.end(at, &hold.scope);
                self.stops.push(Stop { scope: Some(hold.scope.clone()), from: at, until: hold.until });
            }
            Entry::Release { scope, .. } => self.end(at, scope),
            Entry::Mode { mode, .. } => {
                if let Some(from) = self.observing.take() {
                    self.stops.push(Stop { scope: None, from, until: at });
                }
                self.observing = (*mode == Mode::Observe).then_some(at);
                self.mode = Some(*mode);
            }
            Entry::Decision(decision) => {
                let was = self.decisions.insert(decision.id, decision.clone());
                assert!(was.is_none(), "law 9: two decisions {}", decision.id);
                self.met("decision");
            }
            Entry::Order(order) => {
                self.met(format!("order {} {}", order.operation.label(), order.by.label()));
                self.ordered(history, at, order);
            }
            Entry::Approved { decision, .. } => {
                self.met("approved");
                self.approved.insert(*decision);
            }
            Entry::Asked { decision, numbers, guard, until, .. } => {
                self.met(format!("asked {}", guard.label()));
                for n in numbers {
                    if *guard == Guard::Veto {
                        self.vetoes.entry((*decision, n.e164)).or_insert((at, *until));
                    } else {
                        self.vetoes.remove(&(*decision, n.e164));
                    }
                }
            }
            Entry::Refused { decision, numbers, guard, .. } => {
                self.met(format!("refused {}", guard.label()));
                for n in numbers {
                    self.vetoes.remove(&(*decision, n.e164));
                }
            }
            Entry::Closed { decision, channel, numbers, why, .. } => {
                self.met(format!("closed: {}", why.text()));
                // The later stages of a restore that relapsed, say.
                for n in numbers {
                    self.under_way.remove(&(n.e164, *channel));
                }
                if *why == CloseReason::TimedOut {
                    self.lapsed.extend(numbers.iter().map(|n| (*decision, n.e164)));
                }
            }
            Entry::Result { decision, channel, number, result, .. } => {
                self.result(at, *decision, (number.e164, *channel), *result);
            }
            Entry::Drift { number, channel, .. } => {
                self.met("drift");
                if self.swapped.remove(&(number.e164, *channel)) {
                    self.undone.insert((number.e164, *channel));
                }
            }
            Entry::Adopted { number, channel, routing, .. } => {
                self.met("adopted");
                let slot = (number.e164, *channel);
                assert!(!routing.whole().contains(BIN), "the fallback is adopted");
                self.swapped.remove(&slot);
                self.undone.remove(&slot);
                self.adopted.insert(slot);
            }
            Entry::Snapshot { decision, channel, number, .. } => {
                self.snapshots.insert((*decision, (number.e164, *channel)), at);
            }
            Entry::Intent { number, operation, decision, channel, .. } => {
                let slot = (number.e164, *channel);
                match operation {
                    Operation::Rollback | Operation::Apply => _ = self.adopted.remove(&slot),
                    Operation::Restore | Operation::Undo => {
                        assert!(
                            !self.adopted.contains(&slot),
                            "law 7: {decision} puts back what was before an adoption"
                        );
                    }
                }
                let is_apply = matches!(operation, Operation::Apply | Operation::Undo);
                let is_swapped = self.swapped.contains(&slot);
                assert!(
                    !(is_apply && is_swapped),
                    "{decision} writes to {} {channel}, which is rolled back",
                    number.e164
                );
                self.intents.entry((number.e164, *channel)).or_default().push((at, *decision, *operation));
            }
            Entry::Written { decision, channel, number } => {
                self.written.insert((*decision, (number.e164, *channel)), at);
            }
            Entry::Fallback { group, channel, state, .. } => {
                self.fallbacks.insert((group.clone(), *channel), *state);
                self.met(format!("fallback {}", state.label()));
            }
            Entry::Lost { .. } => self.met("lost"),
            Entry::Landed { decision, number, channel, on, .. } => {
                self.met(format!("landed: {}", on.text()));
                let slot = (number.e164, *channel);
                self.adopted.remove(&slot);
                if *on == LandedOn::Fallback {
                    self.swapped.insert(slot);
                    self.written.insert((*decision, slot), at);
                } else {
                    self.swapped.remove(&slot);
                }
            }
            Entry::Stage { .. }
            | Entry::Checked { .. }
            | Entry::Recovered { .. }
            | Entry::Phase { .. }
            | Entry::Ported { .. }
            | Entry::Port(_)
            | Entry::Started { .. }
            | Entry::Reloaded { .. } => {}
        }
    }
}

/// When test messages went to each number, by Twilio's own log.
async fn messages(history: &History<'_>) -> Vec<(E164, Time)> {
    let account = history.w.sim.scenario().account;
    let url = format!("{}/2010-04-01/Accounts/{}/Messages.json?PageSize=1000", history.w.base_url, account.sid);
    let request = reqwest::Client::new().get(url).basic_auth(account.sid, Some(&account.auth_token));
    // Resting: an answer of the simulator's takes time.
    let answer = history.w.clock.wait(None, async { request.send().await.unwrap().text().await.unwrap() }).await;
    let page: Value = serde_json::from_str(&answer.unwrap()).unwrap();
    let row = |row: &Value| {
        let at = jiff::fmt::rfc2822::parse(row["date_created"].as_str()?).ok()?;
        (row["direction"] == "outbound-api").then_some(())?;
        Some((row["to"].as_str()?.parse().ok()?, Time::from_secs(at.timestamp().as_second())))
    };
    page["messages"].as_array().unwrap().iter().filter_map(row).collect()
}

/// Checks everything, and says what was met.
pub async fn check(history: &History<'_>, store: &Store) -> Met {
    store.verify().await.unwrap();
    let records = store.journal().await.unwrap();
    let mut journal = Journal::default();
    if std::env::var_os("RINGBACK_SHOW").is_some() {
        show(history, &records);
    }
    for record in &records {
        journal.read(history, record);
    }
    if let Some(from) = journal.observing {
        journal.stops.push(Stop { scope: None, from, until: Time::NEVER });
    }
    let writes = writes(history.w);
    check_writes(history, &journal, &writes);
    check_proofs(history, &journal, &writes, &messages(history).await);
    let mut met = std::mem::take(&mut journal.met);
    let ours = writes.iter().filter(|u| u.by == AuditActor::Api);
    met.insert("writes".to_owned(), ours.clone().filter(|u| u.is_real).count() as u64);
    met.insert("writes without effect".to_owned(), ours.filter(|u| !u.is_real).count() as u64);
    met.insert("writes by others".to_owned(), writes.iter().filter(|u| u.by == AuditActor::Person).count() as u64);
    met.insert("test calls".to_owned(), history.w.sim.placed_calls().len() as u64);
    check_notices(history, store, &mut met).await;
    met
}

/// For who wants to know how a history came to break a law.
fn show(history: &History<'_>, records: &[JournalRecord]) {
    for r in records {
        println!("journal {} {}", r.at, serde_json::to_string(&r.entry).unwrap());
    }
    for Write { at, slot: (number, channel), by, is_real, is_late, changes } in writes(history.w) {
        println!("write {at} {by:?} {number} {channel} real: {is_real} late: {is_late} {changes:?}");
    }
    for (call, ended) in history.w.sim.placed_calls() {
        println!("test call {} {} {ended:?}", call.asked_at, call.to);
    }
}

fn check_writes(history: &History<'_>, journal: &Journal, writes: &[Write]) {
    let mut edited: BTreeMap<Slot, Time> = BTreeMap::new();
    let mut written: BTreeMap<(DecisionId, Operation, Slot), usize> = BTreeMap::new();
    for write in writes {
        let (n, channel) = write.slot;
        let at = write.at;
        if write.by == AuditActor::Person {
            edited.insert(write.slot, at);
            continue;
        }
        if write.is_late {
            continue;
        }
        let intents = journal.intents.get(&write.slot).map(Vec::as_slice).unwrap_or_default();
        let Some((_, decision, operation)) = intents.iter().rfind(|(t, ..)| *t <= at) else {
            panic!("law 1: {n} {channel} written at {at} without its intent: {:?}", write.changes)
        };
        let snapshots = journal.snapshots.iter().filter(|((_, slot), t)| *slot == write.slot && **t <= at);
        let is_kept = match operation {
            Operation::Rollback | Operation::Apply => snapshots.map(|((id, _), _)| id).any(|id| id == decision),
            Operation::Restore | Operation::Undo => snapshots.count() > 0,
        };
        assert!(is_kept, "law 1: {n} {channel} written at {at} for {decision} without its snapshot");
        assert!(history.setup.watches(n, channel), "{n} {channel} is not watched, and was written");
        for stop in &journal.stops {
            let is_about = stop.scope.as_ref().is_none_or(|s| s.covers(&group_of(n), id(history.w, n), channel));
            let is_within = stop.from + IN_FLIGHT < at && at < stop.until;
            assert!(!(is_about && is_within), "law 2: {n} {channel} written at {at} while held or in observe");
        }
        for (from, until) in history.no_lease.lock().unwrap().iter() {
            assert!(at <= *from + LEASE || *until <= at, "law 2: {n} {channel} written at {at} without the lease");
        }
        let is_forced = journal.forced.contains(decision);
        if write.is_real && !write.changes.is_empty() {
            let times = written.entry((*decision, *operation, write.slot)).or_default();
            *times += 1;
            // Whoever forces writes over what others have written meanwhile.
            assert!(*times == 1 || is_forced, "law 2: {n} {channel} was written twice for {decision}, at {at}");
        }
        for (field, old, new) in &write.changes {
            // Law 7: somebody else's URL is written over only by a new rollback, which keeps it, or by force.
            let is_theirs = old == THEIRS
                && *field == property(channel)
                && matches!(operation, Operation::Restore | Operation::Undo);
            let was_just_now = edited.get(&write.slot).is_some_and(|t| *t + LOOKED >= at);
            assert!(!is_theirs || is_forced || was_just_now, "law 7: {n} {field}: {old:?} became {new:?} at {at}");
        }
    }
}

/// Law 5: since the swap a test reached the number while it pointed at the fallback.
fn check_proofs(history: &History<'_>, journal: &Journal, writes: &[Write], messages: &[(E164, Time)]) {
    let calls = history.w.sim.placed_calls();
    let points_at = |slot: Slot, at: Time| {
        let change = |u: &Write| u.changes.iter().find(|(f, ..)| *f == property(slot.1)).map(|(.., new)| new.clone());
        let earlier = writes.iter().filter(|u| u.slot == slot && u.is_real && u.at <= at);
        earlier.filter_map(change).next_back()
    };
    for Proof { at, slot, written } in &journal.proofs {
        let (n, channel) = *slot;
        assert!(!history.setup.is_fallback_dead || channel == Channel::Messaging, "law 5: {n} proven on a dead bin");
        let Some(since) = written else { panic!("law 5: {n} proven, never written") };
        // By us, or by somebody else who had put it there already.
        let swapped = writes.iter().rfind(|u| u.slot == *slot && u.is_real && u.at <= *since);
        let Some(swapped) = swapped else { panic!("law 5: {n} {channel} proven at {at}, and nothing was written") };
        let on_bin = |t: Time| swapped.at <= t && t <= *at && points_at(*slot, t).is_some_and(|url| url == BIN);
        let is_heard = match channel {
            Channel::Voice => calls.iter().any(|(c, _)| c.to == n && on_bin(c.asked_at)),
            // Its log knows seconds: of one in which somebody else wrote too it cannot be told which was first.
            Channel::Messaging => messages.iter().any(|(to, t)| {
                *to == n && [0, 999].into_iter().any(|within| on_bin(*t + Duration::from_millis(within)))
            }),
        };
        assert!(is_heard, "law 5: {n} {channel} is proven at {at}, and no test has reached the fallback");
    }
}

/// What people were told: once, in order, and to its end.
async fn check_notices(history: &History<'_>, store: &Store, met: &mut Met) {
    let mut taken: BTreeMap<(String, String, String, String), usize> = BTreeMap::new();
    let mut last: BTreeMap<String, Time> = BTreeMap::new();
    for got in history.hook.taken() {
        let word = |key: &str| got.body[key].as_str().unwrap_or_default().to_owned();
        let said = got.body["at"]["at"].as_str().unwrap_or_default().to_owned();
        *taken.entry((word("key"), word("kind"), word("status"), said.clone())).or_default() += 1;
        if let Ok(at) = said.parse::<Time>() {
            let before = last.insert(word("key"), at);
            let is_later = before.is_none_or(|t| t <= at);
            assert!(is_later || history.was_full, "{}: told in another order", word("key"));
        }
    }
    let again: usize = taken.values().map(|n| n - 1).sum();
    // One that died between the receiver's answer and its note of it tells once more.
    assert!(
        history.was_full || again <= history.kills,
        "told twice: {:?}",
        taken.iter().filter(|(_, n)| **n > 1).collect::<Vec<_>>()
    );
    let mut open: BTreeMap<String, String> = BTreeMap::new();
    for delivery in store.deliveries(Time::EPOCH).await.unwrap() {
        let notice = &delivery.notice;
        *met.entry(format!("notice {} {}", delivery.status.label(), notice.kind.label())).or_default() += 1;
        assert_ne!(delivery.status, DeliveryStatus::Waiting, "never delivered: {}", notice.title);
        match notice.status {
            NoticeStatus::Firing => open.insert(notice.key.clone(), notice.title.clone()),
            NoticeStatus::Resolved => open.remove(&notice.key),
            NoticeStatus::Event => None,
        };
    }
    assert!(
        history.was_full || history.still_fails || open.is_empty(),
        "nothing is wrong any more, and yet people were told: {open:?}"
    );
}

/// Many histories that meet too little show that they have become too tame.
pub fn is_enough(histories: u64, met: &Met) {
    let is_tame = |what: &&str| met.get(*what).copied().unwrap_or(0) == 0;
    if histories >= 50 {
        let wanted = [
            "applied: restored",
            "applied: written",
            "asked cap",
            "adopted",
            "asked veto",
            "drift",
            "fallback broken",
            "kills",
            "order rollback automatic",
            "refused hold",
            "result proven",
            "result restored",
            "result unproven",
            "test calls",
        ];
        let missing: Vec<_> = wanted.iter().filter(|w| is_tame(w)).collect();
        assert!(missing.is_empty(), "{} histories never met {missing:?}", histories);
    }
    let of = |what: &str| met.get(what).copied().unwrap_or(0);
    // One history's number may be decided about again and again.
    assert!(of("explained otherwise") * 25 <= of("decision") + 50, "law 9: too many decisions do not follow: {met:?}");
    assert!(histories < 8 || met.get("writes").is_some_and(|n| *n > 2 * histories), "{met:?}");
}
