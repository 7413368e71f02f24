//! Who may act and who may look, each with a token of their own, and over what they reach the agent.
//!
//! An operator's name is the author of what is done with their token, whatever a request says. A reader's token opens
//! what may be read and nothing else.
//!
//! Beyond the loopback interface nobody is let in without a token, and no token goes over a line that is not
//! encrypted: either the agent has a certificate, or the file says that a proxy does that.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use super::account::secret_file;
use super::section::{Faults, Located, Section};
use super::{Env, shown, token};
use crate::core::model::foreign::line;
use crate::core::model::reserved::is_reserved;

/// A person's token.
#[derive(Debug, Clone)]
pub struct PersonalToken {
    /// Empty where the file does not say it, which is a fault.
    pub name: String,
    pub right: TokenRight,
    /// Absent where it cannot be read: commands at a desk need one's own at the most.
    pub token: Option<SecretString>,
    /// Where the file names it, and why it is absent.
    place: Range<usize>,
    missing: Option<String>,
}

/// Where the file is wrong about a token, and how.
pub type TokenProblem = (Range<usize>, String);

/// What a token opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenRight {
    Read,
    Act,
}

impl TokenRight {
    const fn section(self) -> &'static str {
        match self {
            TokenRight::Read => "reader",
            TokenRight::Act => "operator",
        }
    }
}

/// Over what the agent is reached.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum AdminTransport {
    /// From this machine alone.
    #[default]
    Loopback,
    /// From a proxy, which speaks TLS with everybody else.
    BehindProxy,
    Tls(CertificateFiles),
}

/// Where a certificate with its chain is, and its key; both in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// Longest name that is kept.
const LONGEST_NAME: usize = 60;

/// The token that is nobody's own, and what is wrong with where it should be: `agent.token_file`, `RINGBACK_TOKEN`.
pub fn general(s: &mut Section<'_>, dir: &Path, env: Option<&dyn Env>) -> (Option<SecretString>, Option<TokenProblem>) {
    let faults = s.faults();
    s.forbid("token", "set RINGBACK_TOKEN, or name a file with token_file");
    let problem_at = RefCell::new(None);
    let token = match (s.text("token_file"), env.and_then(|e| e.var("RINGBACK_TOKEN"))) {
        (Some(_), None) if env.is_none() => None,
        (None, from_env) => from_env.map(SecretString::from),
        (Some(file), None) => secret_file(&dir.join(&file.value), faults, |problem| {
            let text = format!("agent.token_file = {}: {problem}", shown::file(&file.value));
            problem_at.replace(Some((file.span.clone(), text)));
        }),
        (Some(file), Some(from_env)) => {
            let text = "agent.token_file: RINGBACK_TOKEN is set too; use one of them".to_owned();
            problem_at.replace(Some((file.span, text)));
            Some(SecretString::from(from_env))
        }
    };
    if let (Some(token), None) = (&token, &*problem_at.borrow()) {
        token::is_strong(super::TOKEN, token, faults, |text| faults.at(s.span(), text));
    }
    (token, problem_at.into_inner())
}

/// `[[agent.operator]]` and `[[agent.reader]]`. Without an environment no secret is needed, and none is read.
pub fn tokens(s: &mut Section<'_>, dir: &Path, env: Option<&dyn Env>) -> Vec<PersonalToken> {
    let mut all: Vec<PersonalToken> = Vec::new();
    for right in [TokenRight::Act, TokenRight::Read] {
        for section in s.sections(right.section()) {
            let (span, faults) = (section.span(), section.faults());
            let Some(person) = person(section, right, dir, env) else { continue };
            if let Some(other) = all.iter().find(|p| p.name == person.name && !p.name.is_empty()) {
                faults.at(span, format!("{} has two tokens: give each person one", other.name));
            } else {
                all.push(person);
            }
        }
    }
    all
}

fn person(mut s: Section<'_>, right: TokenRight, dir: &Path, env: Option<&dyn Env>) -> Option<PersonalToken> {
    let faults = s.faults();
    let span = s.span();
    s.require("name", "whose token is it?");
    let name = s.text("name").and_then(|name| {
        let is_name = !name.value.is_empty() && line(&name.value, LONGEST_NAME) == name.value;
        if !is_name {
            let text = format!("{}: one line of at most {LONGEST_NAME} characters", s.key("name"));
            faults.at(name.span.clone(), text);
        }
        if is_reserved(&name.value) {
            let text = format!("{}: the name of Ringback's own entries in the journal: say whose it is", s.key("name"));
            faults.at(name.span, text);
            return None;
        }
        is_name.then_some(name.value)
    });
    s.forbid("token", "name a file with token_file, or a variable with token_env");
    let (token, missing) = match (s.text("token_file"), s.text("token_env")) {
        (Some(_), None) if env.is_none() => (None, None),
        (Some(file), None) => {
            // Another's file cannot be read at a desk, and need not be.
            let missing = RefCell::new(None);
            let token = secret_file(&dir.join(&file.value), faults, |problem| {
                let key = s.key("token_file");
                missing.replace(Some((file.span.clone(), format!("{key} = {}: {problem}", shown::file(&file.value)))));
            });
            (token, missing.into_inner())
        }
        (None, Some(variable)) => {
            let token = env.and_then(|e| e.var(&variable.value)).map(SecretString::from);
            (token, Some((variable.span, format!("{:?} is not set", variable.value))))
        }
        (None, None) | (Some(_), Some(_)) => {
            faults.at(span, format!("{}: name one of token_file and token_env", s.key("token")));
            s.finish();
            return None;
        }
    };
    s.finish();
    let name = name.unwrap_or_default();
    if let Some(token) = &token {
        token::is_strong(&called_of(&name), token, faults, |text| faults.at(span.clone(), text));
    }
    let (place, missing) = missing.map_or((span, None), |(place, why)| (place, Some(why)));
    Some(PersonalToken { name, right, token, place, missing })
}

/// What a person's token is called in messages.
fn called_of(name: &str) -> String {
    if name.is_empty() { "the token of a person without a name".to_owned() } else { format!("the token of {name}") }
}

/// Notes a fault of every token that is not there, or is another's too. `general`: the token that is nobody's own.
pub fn are_set(people: &[PersonalToken], general: Option<&SecretString>, faults: &Faults) {
    for (nth, person) in people.iter().enumerate() {
        let Some(own) = &person.token else {
            let why = person.missing.as_deref().unwrap_or("it is not there");
            faults.at(person.place.clone(), format!("{}: {why}", called_of(&person.name)));
            continue;
        };
        let mut others = people[..nth].iter().filter_map(|p| p.token.as_ref()).chain(general);
        if others.any(|other| other.expose_secret() == own.expose_secret()) {
            let text = format!("{} is another's too: give each person their own", called_of(&person.name));
            faults.at(person.place.clone(), text);
        }
    }
}

/// The token of whoever sits at this desk: a person's own, where exactly one person's can be had here, or else the one
/// that is nobody's. The journal then names the person.
pub fn at_desk<'a>(people: &'a [PersonalToken], general: Option<&'a SecretString>) -> Option<&'a SecretString> {
    let mut own = people.iter().filter_map(|p| p.token.as_ref());
    match (own.next(), own.next()) {
        (Some(only), None) => Some(only),
        (Some(_), Some(_)) | (None, _) => general,
    }
}

/// `agent.tls` and `agent.proxy_does_tls`, and whether `agent.listen` may be what it is.
pub fn transport(
    s: &mut Section<'_>,
    dir: &Path,
    listen: Option<&Located<SocketAddr>>,
    has_token: bool,
) -> AdminTransport {
    let faults = s.faults();
    let is_behind_proxy = s.boolean("proxy_does_tls").unwrap_or(false);
    let tls = s.section("tls").map(|s| (s.span(), certificate(s, dir)));
    let remote = listen.filter(|l| !l.value.ip().is_loopback());
    if let (true, Some((span, _))) = (is_behind_proxy, &tls) {
        faults.at(span.clone(), "agent.tls: a proxy does that (agent.proxy_does_tls): leave out one of the two");
    }
    let is_open = is_behind_proxy || tls.is_some();
    if let Some(listen) = remote.filter(|_| !is_open) {
        faults.at(
            listen.span.clone(),
            format!(
                "agent.listen = \"{}\": beyond the loopback interface tokens need TLS: give the agent a certificate \
                 ([agent.tls] certificate_file, key_file), or say that a proxy does it (proxy_does_tls = true)",
                listen.value
            ),
        );
    }
    if let Some(listen) = remote.filter(|_| !has_token) {
        faults.at(
            listen.span.clone(),
            format!(
                "agent.listen = \"{}\": beyond the loopback interface nobody is let in without a token: set \
                 RINGBACK_TOKEN or agent.token_file, or give people theirs ([[agent.operator]], [[agent.reader]])",
                listen.value
            ),
        );
    }
    match tls {
        Some((_, Some(files))) => AdminTransport::Tls(files),
        Some((_, None)) | None if is_behind_proxy => AdminTransport::BehindProxy,
        Some((_, None)) | None => AdminTransport::Loopback,
    }
}

fn certificate(mut s: Section<'_>, dir: &Path) -> Option<CertificateFiles> {
    s.require("certificate_file", "the certificate with its chain, in PEM");
    s.require("key_file", "the certificate's key, in PEM");
    let [certificate, key] = ["certificate_file", "key_file"].map(|name| s.text(name).map(|t| dir.join(t.value)));
    if let Some(key) = &key {
        super::access::is_private(key, s.faults());
    }
    s.finish();
    Some(CertificateFiles { certificate: certificate?, key: key? })
}

/// Every token by what it is called.
pub fn called<'a>(general: Option<&'a SecretString>, people: &'a [PersonalToken]) -> Vec<(String, &'a SecretString)> {
    let general = general.map(|token| (super::TOKEN.to_owned(), token));
    let of = |p: &'a PersonalToken| Some((called_of(&p.name), p.token.as_ref()?));
    general.into_iter().chain(people.iter().filter_map(of)).collect()
}

/// Notes a fault of every token that is known to whoever knows the configuration.
pub fn are_not_known(tokens: &[(String, &SecretString)], known: token::KnownValues, faults: &Faults) {
    let known = known.in_order();
    for (name, token) in tokens {
        token::is_not_known(name, token, &known, faults);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::config::Config;

    /// No secret is there, wherever it should be: all are told at once.
    const MISSING: &str = r#"
        [twilio]
        account_sid = "ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

        [agent]
        token_file = "none/token"

        [[agent.operator]]
        name       = "Ada"
        token_file = "none/ada"

        [[agent.operator]]
        token_env = "RINGBACK_TOKEN_OF_GRACE"

        [[agent.reader]]
        name      = "wall"
        token_env = "RINGBACK_TOKEN_OF_WALL"

        [ports]
        webhook_token_file = "none/ports"

        [heartbeat]
        url_env = "HEARTBEAT_URL"

        [[notify]]
        name    = "oncall"
        kind    = "pagerduty"
        key_env = "PAGERDUTY_KEY"

        [[group]]
        name    = "support"
        numbers = ["+15005550100"]
    "#;

    #[test]
    fn nobodys_name_is_the_machines_own() {
        for name in ["ringback", "Detector", "r1ngback", "ring  back"] {
            let text = MISSING.replace("\"Ada\"", &format!("{name:?}"));
            let nothing: HashMap<&str, &str> = HashMap::new();
            let told = Config::parse(Path::new("ringback.toml"), &text, &nothing).unwrap_err().to_string();
            assert!(told.contains("the name of Ringback's own entries"), "{told}");
            assert!(told.contains("agent.operator"), "{told}");
        }
    }

    #[test]
    fn all_secrets_that_are_missing_are_told_at_once() {
        let nothing: HashMap<&str, &str> = HashMap::new();
        let told = Config::parse(Path::new("ringback.toml"), MISSING, &nothing).unwrap_err().to_string();
        for missing in [
            "no credentials: set TWILIO_AUTH_TOKEN",
            "agent.token_file = \"none/token\": ",
            "the token of Ada: ",
            "the token of a person without a name: \"RINGBACK_TOKEN_OF_GRACE\" is not set",
            "the token of wall: \"RINGBACK_TOKEN_OF_WALL\" is not set",
            "ports.webhook_token_file = \"none/ports\": ",
            "HEARTBEAT_URL",
            "PAGERDUTY_KEY",
        ] {
            assert!(told.contains(missing), "{missing} is not in:\n{told}");
        }
    }
}
