//! `[ports]`: who may ring for a look at the ports.
//!
//! The webhook's token stands in an address that Twilio keeps and shows in its answers: it is one of its own, opens
//! nothing else, and has only characters that stand in an address as they are.

use std::path::Path;

use secrecy::{ExposeSecret, SecretString};

use super::account::secret_file;
use super::section::{Faults, Section};
use super::{Env, shown, token};

/// What the token is called in messages.
pub const TOKEN: &str = "the token of the port webhook";

/// The variable that it may be in.
const VARIABLE: &str = "RINGBACK_PORTS_TOKEN";

/// How the ports are followed, beside the looks that come by themselves.
#[derive(Debug, Clone, Default)]
pub struct PortSettings {
    /// What stands in the address that Twilio rings; without one nobody can.
    pub webhook_token: Option<SecretString>,
}

/// `[ports]`, if it is there. Without an environment no secret is read.
pub fn read(s: Option<Section<'_>>, faults: &Faults, dir: &Path, env: Option<&dyn Env>) -> PortSettings {
    let from_env = env.and_then(|e| e.var(VARIABLE)).map(SecretString::from);
    let mut settings = PortSettings::default();
    let from_file = s.and_then(|mut s| {
        s.forbid("webhook_token", "set RINGBACK_PORTS_TOKEN, or name a file with webhook_token_file");
        let file = s.text("webhook_token_file");
        let key = s.key("webhook_token_file");
        s.finish();
        let file = file.filter(|_| env.is_some())?;
        if from_env.is_some() {
            faults.at(file.span.clone(), format!("{key}: {VARIABLE} is set too; use one of them"));
        }
        secret_file(&dir.join(&file.value), faults, |problem| {
            faults.at(file.span.clone(), format!("{key} = {}: {problem}", shown::file(&file.value)));
        })
    });
    settings.webhook_token = from_file.or(from_env);
    if let Some(token) = &settings.webhook_token {
        token::is_strong(TOKEN, token, faults, |text| faults.nowhere(text));
        if !token.expose_secret().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
            faults.nowhere(format!(
                "{TOKEN} stands in an address: letters, digits, - and _ alone; make one with `openssl rand -hex 32`"
            ));
        }
    }
    settings
}

/// Notes a fault if the token opens something else too: whoever sees the address would have that.
pub fn is_its_own(token: &SecretString, others: &[(String, &SecretString)], faults: &Faults) {
    if let Some((name, _)) = others.iter().find(|(_, other)| other.expose_secret() == token.expose_secret()) {
        faults.nowhere(format!("{TOKEN} is {name} too: Twilio keeps it and shows it in its answers; make another"));
    }
}
