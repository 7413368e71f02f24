//! What work on the state file needs and Twilio does not see: no credentials, no token, no notifier's secret.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::account::read_twilio;
use super::{AlertRules, BadConfig, DEFAULT_STATE, Env, ProfileUse, metrics_and_people, parse, read_file, read_rest};
use crate::core::model::id::AccountSid;
use crate::core::model::roster::UNNAMED_ACCOUNT;
use crate::twilio::ClientSettings;

/// The rules, and where the state is.
#[derive(Debug, Clone)]
pub struct Offline {
    pub rules: AlertRules,
    pub state: PathBuf,
    /// How far back every list is read again.
    pub overlap: Duration,
}

impl Offline {
    /// Reads `path`. Of the environment only the account's SID counts, as Twilio's own tools take it.
    pub fn load(path: &Path, env: &dyn Env) -> Result<Offline, BadConfig> {
        let text = read_file(path)?;
        parse(path, &text, |mut top| {
            let dir = path.parent().unwrap_or_else(|| Path::new(""));
            let written = top.section("twilio").and_then(|mut s| s.unchecked::<AccountSid>("account_sid"));
            let account = written.or_else(|| env.var("TWILIO_ACCOUNT_SID")?.parse().ok());
            metrics_and_people(&mut top);
            let rehearsal = top.section("rehearsal");
            let (agent, poll, rules) = read_rest(top, account.unwrap_or(UNNAMED_ACCOUNT), dir, None, ProfileUse::Read);
            rehearsal.map(|s| super::rehearse::read(s, &rules.roster));
            let state = agent.map_or_else(|| dir.join(DEFAULT_STATE), |a| a.state);
            Some(Offline { rules, state, overlap: poll.overlap })
        })
    }

    /// The account's credentials, of the same file.
    pub fn twilio(path: &Path, env: &dyn Env) -> Result<ClientSettings, BadConfig> {
        let text = read_file(path)?;
        parse(path, &text, |mut top| {
            let dir = path.parent().unwrap_or_else(|| Path::new(""));
            let faults = top.faults();
            // What else is in the file was read with the rules.
            top.section("twilio").and_then(|s| read_twilio(s, dir, env, faults))
        })
    }
}
