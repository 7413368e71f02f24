//! By what an agent decides, as the configuration says it. Kept in the journal at each start at which it
//! has changed, so that an old decision can be made again under the rules of its day.

use serde::{Deserialize, Serialize};

use super::engine::EngineSettings;
use super::statistic::Detection;
use super::statistic::threshold::{RuleAction, RuleSubject};
use crate::model::decision::Mode;
use crate::model::id::GroupName;
use crate::model::roster::Roster;

/// By what an agent decides: all that the configuration says of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rules {
    pub settings: EngineSettings,
    pub groups: Vec<GroupRules>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupRules {
    pub group: GroupName,
    pub detection: Detection,
}

impl Rules {
    pub fn of(roster: &Roster, settings: &EngineSettings) -> Rules {
        let detection = |i: usize| settings.detection.get(i).cloned().unwrap_or_default();
        let groups = roster.groups().enumerate();
        Rules {
            settings: EngineSettings { mode: Mode::Auto, detection: Vec::new(), history: None, ..settings.clone() },
            groups: groups.map(|(i, (_, g))| GroupRules { group: g.name.clone(), detection: detection(i) }).collect(),
        }
    }

    /// As the engine takes them; a group that had none has the defaults.
    pub fn settings(&self, roster: &Roster) -> EngineSettings {
        let of = |name: &GroupName| self.groups.iter().find(|g| g.group == *name).map(|g| g.detection.clone());
        let detection = roster.groups().map(|(_, g)| of(&g.name).unwrap_or_default()).collect();
        EngineSettings { detection, ..self.settings.clone() }
    }

    /// What holds for a group, in words.
    pub fn text(&self, group: &GroupName) -> String {
        let Some(GroupRules { detection, .. }) = self.groups.iter().find(|g| g.group == *group) else {
            return "the group was not configured".to_owned();
        };
        let params = &detection.params;
        let mut text = if params.is_on {
            format!("detector with {}, usual failures up to {}", params.budget, params.cap)
        } else {
            "detector off".to_owned()
        };
        for rule in &detection.rules {
            let action = match rule.action {
                RuleAction::Rollback => "rollback",
                RuleAction::Page => "page",
            };
            let subject = match rule.subject {
                RuleSubject::Callers => "callers",
                RuleSubject::Calls => "calls",
                RuleSubject::Warnings => "callers with an error beside service",
                RuleSubject::Recipients => "recipients",
                RuleSubject::Run => "attempts since somebody was served",
                RuleSubject::SentRun => "attempts to send since a message arrived",
                RuleSubject::Excess => "callers beyond what honest days bring",
                RuleSubject::SentExcess => "recipients beyond what honest days bring",
            };
            let reasons: Vec<&str> = rule.reasons.iter().map(|r| r.label()).collect();
            text += &format!(
                "; {action} on {} at {} {subject} and {} of all within {} s for {}",
                rule.channel,
                rule.callers,
                rule.ratio,
                rule.within.as_secs(),
                reasons.join(", ")
            );
        }
        text
    }
}
