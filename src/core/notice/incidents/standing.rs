//! What is so now, in the words of the notices: for whoever looks, and not only for whoever was told.
//!
//! A notice is sent when something is news; whoever looks half an hour later wants to know what is left of it. So each
//! incident that is open is composed once more, as it is at the instant of the question, also while nothing of it was
//! told yet. Looking changes nothing.

use std::collections::BTreeSet;

use super::Incidents;
use super::compose::{current_decisions, numbers_text};
use super::incident::{Headline, Incident, IncidentKind, NumberState};
use crate::model::guard::Guard;
use crate::model::order::{Hold, LandedOn, OrderResult};
use crate::model::time::Time;
use crate::notice::condition::AgentCondition;
use crate::notice::{Moment, Notice, NoticeStatus};

/// An incident as it is.
#[derive(Debug, Clone)]
pub struct StandingIncident {
    /// As it would be told now.
    pub notice: Notice,
    pub headline: Headline,
    /// What the numbers point at does not serve, and a rollback would.
    pub is_curable: bool,
    /// Test calls and messages in its evidence: those that failed, and all.
    pub tests: (u32, u32),
    /// Whether what was done is proven, where something was done.
    pub is_proven: Option<bool>,
    /// Holds that stop what would be done.
    pub holds: Vec<Hold>,
    /// When the first of its questions ends.
    pub until: Option<Time>,
}

/// Everything that people would be told now.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    pub incidents: Vec<StandingIncident>,
    /// What others have changed and nobody has adopted or written over.
    pub drifts: Vec<Notice>,
    /// Where late writes of ours have left numbers off the handler that they should have.
    pub landed: Vec<(LandedOn, Notice)>,
    /// Fallbacks that are broken, for all their numbers or some.
    pub fallbacks: Vec<Notice>,
    /// Ports that go on no more without a person.
    pub ports: Vec<Notice>,
    /// What is wrong with Ringback itself, but for what it cannot see.
    pub conditions: Vec<Notice>,
}

impl Incidents {
    /// What is so at `at`.
    pub fn standing(&self, at: Time) -> Standing {
        let broken = self.fallbacks.iter().filter(|(_, (_, found))| found.is_broken());
        let fallbacks = broken.map(|((group, channel), (since, found))| {
            let notice = self.builder.fallback(at, group, *channel, found);
            Notice { since: Some(Moment::new(*since, None)), ..notice }
        });
        let is_ours = |c: &AgentCondition| !matches!(c, AgentCondition::Blind { .. });
        let conditions = self.conditions.values().filter(|(_, c)| is_ours(c));
        Standing {
            incidents: self.open.values().filter_map(|i| self.stands(at, i)).collect(),
            drifts: self.drifts.values().cloned().collect(),
            // Of a number on its own handler its callers tell.
            landed: self.landed.values().filter(|(on, _)| *on != LandedOn::OwnHandler).cloned().collect(),
            fallbacks: fallbacks.collect(),
            ports: self.ports.standing(at, &self.builder),
            conditions: conditions
                .map(|(since, c)| self.builder.condition(at, *since, c, NoticeStatus::Firing))
                .collect(),
        }
    }

    /// `None` if it has no number in trouble any more: its restores report their end.
    fn stands(&self, at: Time, incident: &Incident) -> Option<StandingIncident> {
        let mut needs = incident.needs_at(at);
        let lapsed = |state: &NumberState| matches!(state, NumberState::Expired { .. });
        let headline = match needs.headline() {
            Some(headline) => headline,
            None if !needs.under_way.is_empty() => Headline::RollingBack,
            None => {
                // Too fresh to be news: the detector may ask again at any moment.
                needs.expired = incident.members.iter().filter(|(_, m)| lapsed(&m.state)).map(|(n, _)| *n).collect();
                needs.headline()?
            }
        };
        let mut notice = self.compose(at, incident, &needs, headline);
        notice.incident_severity = incident.severity.map_or(notice.severity, |s| s.max(notice.severity));
        notice.did.push_str(&self.restoring(incident));
        let evidence = || current_decisions(incident).into_iter().map(|d| &d.evidence);
        let tests = (evidence().map(|e| e.failing_probes).sum(), evidence().map(|e| e.probes).sum());
        let is_held = |state: &NumberState| matches!(state, NumberState::Blocked { guard: Guard::Hold, .. });
        let held = || incident.members.iter().filter(|(_, m)| is_held(&m.state)).map(|(n, _)| *n);
        let covers = |h: &&Hold| h.until > at && held().any(|n| h.scope.covers(&incident.group, n, incident.channel));
        let until = |state: &NumberState| match state {
            NumberState::Asked { until, .. } => Some(*until),
            NumberState::Decided
            | NumberState::Reported(_)
            | NumberState::Blocked { .. }
            | NumberState::Expired { .. }
            | NumberState::Ordered { .. }
            | NumberState::Ended { .. } => None,
        };
        Some(StandingIncident {
            headline,
            is_curable: incident.trouble == IncidentKind::Handler,
            tests,
            is_proven: self.proof(incident).and_then(|_| is_proven(incident)),
            holds: self.holds.iter().filter(covers).cloned().collect(),
            until: incident.members.values().filter_map(|m| until(&m.state)).min(),
            notice,
        })
    }

    /// How far its restores are.
    fn restoring(&self, incident: &Incident) -> String {
        let restores = incident.restores.iter().filter_map(|id| self.restores.get(id).map(|r| (id, r)));
        let line = |(id, (done, all)): (_, (usize, usize))| format!("\n{id}: restored {done} of {}", numbers_text(all));
        restores.map(|(id, r)| line((id, r.progress()))).collect()
    }
}

/// Whether all that was done is proven; `None` where nothing was.
fn is_proven(incident: &Incident) -> Option<bool> {
    let ends: BTreeSet<bool> = incident
        .members
        .values()
        .filter_map(|m| match (&m.state, &m.failure) {
            (NumberState::Ended { result, .. }, _) | (_, Some((result, _))) => Some(*result == OrderResult::Proven),
            (NumberState::Ordered { .. }, None) => Some(false),
            (
                NumberState::Decided
                | NumberState::Reported(_)
                | NumberState::Blocked { .. }
                | NumberState::Asked { .. }
                | NumberState::Expired { .. },
                None,
            ) => None,
        })
        .collect();
    Some(!ends.contains(&false))
}
