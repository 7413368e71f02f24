//! Does the fallback answer? Law 5: a rollback is proven by a test call, or not at all.
//!
//! A rollback that was read back is `written`, and a probe is requested, after a restart too. Its result
//! becomes the order's:
//!
//! * the fallback answered: `proven`;
//! * it did not: `unproven`, which pages;
//! * the probe could not be measured, its failure could not be repeated, or only a command says that its call
//!   was answered and Twilio's log does not have that call: it stays `written`, with the reason, and another
//!   probe is requested.
//!
//! A handler is probed in the same way after a restore, until the stage is verified; a failed test then shows
//! in the verdict.

use std::time::Duration;

use super::Controller;
use crate::agent::probe::{ProbeRequest, Probed};
use crate::core::model::id::{Channel, NumberId};
use crate::core::model::order::{FALLBACK_FAILS, NOT_PROVEN_YET, Operation, OrderResult};
use crate::core::model::reason::Reason;
use crate::core::model::time::Time;
use crate::core::probe::plan::ProbePurpose;
use crate::core::probe::{Origin, ProbeFinding, ProbeSettings, Unmeasured, counted};
use crate::core::rollback::entry::Entry;
use crate::core::rollback::orders::Witness;
use crate::core::rollback::saga::SagaState;

/// A proof that could not be measured is asked for again after this.
const PROVE_AGAIN: Duration = Duration::from_secs(300);

/// Between the end of one test of a restored number and the next, as long as its restore is to be verified.
const VERIFY_AGAIN: Duration = Duration::from_secs(15);

/// Swaps of so long ago are no longer put to the test: their callers have.
const LATELY: Duration = Duration::from_secs(6 * 3600);

/// A swap that is put to the test.
#[derive(Debug, Clone, Copy)]
pub(super) struct ProofAttempt {
    /// When it was made.
    of: Option<Time>,
    /// When to ask once more; none while a test is under way, or when it has said what there is to say.
    again: Option<Time>,
}

impl Controller {
    /// Tells or asks the prober something, if there is one.
    pub fn ask(&self, ask: ProbeRequest) {
        if let Some(prober) = &self.prober {
            // Full only if the prober is stuck: the schedule finds what is lost here.
            let _ = prober.try_send(ask);
        }
    }

    fn settings(&self, number: NumberId) -> Option<&ProbeSettings> {
        let ix = self.shared.roster.find(number)?;
        self.probes.get(self.shared.roster.number(ix).group.0 as usize)?.as_ref()
    }

    /// True if a test call or message can be made to this number.
    pub(super) fn can_prove(&self, number: NumberId, channel: Channel) -> bool {
        let is_watched = |ix| self.shared.roster.number(ix).channels[channel.index()];
        // Commands place calls and no messages, and calls from who knows where are not found in the log.
        let is_seen = |s: &ProbeSettings| s.externals.iter().any(|e| e.from.is_some());
        let can = |s: &ProbeSettings| s.from.is_some() || channel == Channel::Voice && is_seen(s);
        self.prober.is_some()
            && self.shared.roster.find(number).is_some_and(is_watched)
            && self.settings(number).is_some_and(can)
    }

    /// Puts swaps to the test that have not been.
    pub(super) fn prove(&mut self, now: Time) {
        if self.prober.is_none() {
            return;
        }
        let mut wanted = Vec::new();
        for (number, channel, saga) in self.orders().sagas() {
            let is_wanted = matches!(saga.state, SagaState::ReadBack(_) | SagaState::Restored(_));
            let is_late = saga.since.is_none_or(|t| t + LATELY < now);
            let asked = self.proofs.get(&(number, channel));
            let is_due = asked.is_none_or(|a| a.of != saga.since || a.again.is_some_and(|at| at <= now));
            if is_wanted && !is_late && is_due && self.can_prove(number, channel) {
                wanted.push((number, channel, saga.since));
            }
        }
        for (number, channel, since) in wanted {
            self.proofs.insert((number, channel), ProofAttempt { of: since, again: None });
            if let Some(number) = self.shared.roster.find(number) {
                self.ask(ProbeRequest::Verify { number, channel });
            }
        }
    }

    /// A probe showed something: of a number that was swapped, it is the proof.
    pub async fn probed(&mut self, now: Time, probed: &Probed) {
        let (channel, number) = (probed.channel, self.shared.roster.number(probed.number).id);
        let name = self.shared.roster.name(number);
        let Some(last) = probed.attempts.last() else { return };
        if last.found == ProbeFinding::Success {
            self.control.served(number, channel, last.started_at, Witness::Test(last.started_at));
        }
        let Some(saga) = self.orders().saga(number, channel) else { return };
        let found = match last.found {
            ProbeFinding::Failure(_) if counted(&probed.attempts).is_empty() => ProbeFinding::Error(Unmeasured::Busy),
            ProbeFinding::Success if last.entry.is_none() && matches!(last.origin, Origin::External(_)) => {
                ProbeFinding::Error(Unmeasured::Unseen)
            }
            ProbeFinding::Success | ProbeFinding::Failure(_) | ProbeFinding::Error(_) => last.found,
        };
        // What was begun before the swap says nothing of what came after it.
        let Some(since) = saga.since.filter(|t| *t <= probed.attempts[0].started_at) else { return };
        if let (SagaState::Restored(_), ProbePurpose::Proof) = (&saga.state, probed.why) {
            let detail = &last.detail;
            let again = match found {
                ProbeFinding::Success => {
                    tracing::info!(number = %name, %channel, "the restored handler answers a test: {detail}");
                    self.orders().is_verifying(number, channel).then_some(now + VERIFY_AGAIN)
                }
                ProbeFinding::Failure(reason) => {
                    tracing::error!(number = %name, %channel, "the restored handler fails a test: {}: {detail}", reason.text());
                    None
                }
                ProbeFinding::Error(_) => Some(now + PROVE_AGAIN),
            };
            self.proofs.insert((number, channel), ProofAttempt { of: Some(since), again });
            return;
        }
        let SagaState::ReadBack(swap) = &saga.state else { return };
        if self.orders().ordered(number, channel).is_some() {
            // Another order has the number now, and ends with its own proof.
            return;
        }
        let decision = swap.order;
        let how = format!("{} from {}", found.text(), last.origin.name());
        let (end, why) = match found {
            ProbeFinding::Success if probed.on_fallback => (
                OrderResult::Proven,
                format!("the fallback is the effective handler, and a test was answered: {how}: {}", last.detail),
            ),
            // Somebody else has it, or the fallback does: either way it is not what was written.
            ProbeFinding::Success => (OrderResult::Unproven, "a test was answered, and not by the fallback".to_owned()),
            // That the fallback fails is said already.
            ProbeFinding::Failure(Reason::Fallback) => {
                (OrderResult::Unproven, format!("{FALLBACK_FAILS} from {}: {}", last.origin.name(), last.detail))
            }
            ProbeFinding::Failure(_) => (OrderResult::Unproven, format!("{FALLBACK_FAILS}: {how}: {}", last.detail)),
            ProbeFinding::Error(_) => (OrderResult::Written, format!("{NOT_PROVEN_YET}: {how}: {}", last.detail)),
        };
        let again = (end == OrderResult::Written).then_some(now + PROVE_AGAIN);
        // Said once, however often it is tried.
        let said = self.orders().order(decision).and_then(|p| p.ended.get(&number)).map(|(_, detail)| detail.as_str());
        let is_reported = said.is_some_and(|s| s.starts_with(NOT_PROVEN_YET));
        self.proofs.insert((number, channel), ProofAttempt { of: Some(since), again });
        if end == OrderResult::Written && is_reported {
            return;
        }
        let entry = Entry::Result { decision, channel, number, result: end, detail: why };
        if let Err(error) = self.commit(vec![entry]).await {
            tracing::error!(number = %name, %channel, %error, cure = error.cure, "a proof is not in the journal");
            self.proofs.insert((number, channel), ProofAttempt { of: Some(since), again: Some(now + PROVE_AGAIN) });
            return;
        }
        // Written again keeps its place in time: it is the same swap, looked at once more.
        let since = self.orders().saga(number, channel).and_then(|s| s.since);
        if let Some(asked) = self.proofs.get_mut(&(number, channel)) {
            asked.of = since;
        }
        if end == OrderResult::Written {
            self.count_unmeasured(now, Some((decision, number, channel)));
        }
    }

    /// Why a rollback that was read back is not proven, where it cannot be.
    pub(super) fn unprovable(
        &self,
        operation: Operation,
        end: OrderResult,
        number: NumberId,
        channel: Channel,
    ) -> Option<&'static str> {
        let is_it = operation == Operation::Rollback && end == OrderResult::Written && !self.can_prove(number, channel);
        is_it.then_some("not proven: no test call is configured ([group.probe] from)")
    }
}
