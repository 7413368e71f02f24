//! What the commands at an operator's desk need of the configuration: whom to speak to, and which numbers there are.
//!
//! None of them speaks to Twilio or tells anybody anything, so none of them asks for those secrets: of the environment
//! they take one token, the agent's own or a person's, in whose name things are done then ([`people::at_desk`]).
//! Whatever is wrong with the rest of the file is a fault all the same, but for what is in sections that are not read.

use std::path::Path;

use super::section::Section;
use super::{
    AgentConfig, AlertRules, BadConfig, Env, Poll, ProfileUse, parse, people, ports, read_file, read_metrics,
    read_rest, rehearse,
};
use crate::core::model::id::AccountSid;
use crate::core::model::roster::UNNAMED_ACCOUNT;

/// The configuration as `status`, `explain`, `journal` and the operator's verbs read it.
#[derive(Debug, Clone)]
pub struct Desk {
    /// `None` where neither the file nor the environment names it.
    pub account: Option<AccountSid>,
    pub agent: AgentConfig,
    pub poll: Poll,
    pub rules: AlertRules,
}

impl Desk {
    /// Reads `path`, and of what it names the token and the numbers.
    pub fn load(path: &Path, env: &dyn Env) -> Result<Desk, BadConfig> {
        let text = read_file(path)?;
        parse(path, &text, |top| read(top, path, env))
    }
}

fn read(mut top: Section<'_>, path: &Path, env: &dyn Env) -> Option<Desk> {
    let dir = path.parent().unwrap_or_else(|| Path::new(""));
    let faults = top.faults();
    let written = top.section("twilio").and_then(|mut s| s.unchecked::<AccountSid>("account_sid"));
    let account = written.or_else(|| env.var("TWILIO_ACCOUNT_SID")?.parse().ok());
    top.sections("notify");
    top.section("heartbeat");
    top.section("metrics").map(read_metrics);
    ports::read(top.section("ports"), top.faults(), dir, None);
    let rehearsal = top.section("rehearsal");
    let (agent, poll, rules) = read_rest(top, account.unwrap_or(UNNAMED_ACCOUNT), dir, Some(env), ProfileUse::Read);
    rehearsal.map(|s| rehearse::read(s, &rules.roster));
    let mut agent = agent?;
    // What is in the environment was meant; it may be a person's own as well.
    if env.var("RINGBACK_TOKEN").is_none() {
        agent.token = people::at_desk(&agent.people, agent.token.as_ref()).cloned();
    }
    if let (None, Some((place, text))) = (&agent.token, &agent.token_problem) {
        faults.at(place.clone(), text.clone());
    }
    Some(Desk { account, agent, poll, rules })
}
