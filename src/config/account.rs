//! `[twilio]`: the account, and the secrets from the environment or from files.

use std::path::Path;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use super::section::{Faults, Located, Section};
use super::{Env, MINUTE, SECOND, access, address, shown, text};
use crate::core::model::bounds;
use crate::core::model::facts::{HOME_REGION, REGIONS, RETIRED_ON, Region};
use crate::core::model::id::AccountSid;
use crate::core::model::roster::UNNAMED_ACCOUNT;
use crate::twilio;
use crate::twilio::credentials::{Credentials, Secret};
use crate::twilio::host::Hosts;

pub(super) fn read_twilio(
    mut s: Section<'_>,
    dir: &Path,
    env: &dyn Env,
    faults: &Faults,
) -> Option<twilio::ClientSettings> {
    let account = read_account(&mut s, env, faults);
    let secret = read_secret(&mut s, dir, env, faults);
    let base_url = read_base_url(&mut s);
    let label = |s: &mut Section<'_>, key| {
        let mut text = s.text(key)?;
        let fits = !text.value.is_empty() && text.value.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-');
        if !fits {
            s.faults().at(
                text.span.clone(),
                format!("{} = {:?}: must be a name such as \"dublin\" or \"ie1\"", s.key(key), text.value),
            );
        }
        text.value.make_ascii_lowercase();
        fits.then_some(text)
    };
    let edge = label(&mut s, "edge");
    let region = label(&mut s, "region");
    if let (Some(region), None, None) = (&region, &edge, &base_url) {
        let problem = match Region::of(&region.value) {
            Region::Home | Region::By(_) => None,
            Region::Retired => Some(format!(
                "all that it named was processed in {HOME_REGION}, and Twilio switched its hosts off on {RETIRED_ON}: \
                 remove region"
            )),
            Region::Unknown => {
                let known: Vec<String> = REGIONS.iter().map(|(region, edge)| format!("{region} by {edge}")).collect();
                Some(format!(
                    "hosts of a region need an edge as well, and which leads to this one is not known ({HOME_REGION} \
                     needs none, {}): write twilio.edge too",
                    known.join(", ")
                ))
            }
        };
        if let Some(problem) = problem {
            faults.at(region.span.clone(), format!("twilio.region = {:?}: {problem}", region.value));
        }
    }
    if let (Some(region), Some(edge)) = (&region, &edge)
        && let Region::By(only) = Region::of(&region.value)
        && edge.value != only
    {
        faults.at(
            edge.span.clone(),
            format!(
                "twilio.edge = {:?}: only the edge {only} leads to region {}: write it, or leave edge out",
                edge.value, region.value
            ),
        );
    }
    if let (Some(url), true) = (&base_url, edge.is_some() || region.is_some()) {
        faults.at(url.span.clone(), "twilio.base_url stands for every host: remove edge and region, or base_url");
    }
    for name in ["TWILIO_EDGE", "TWILIO_REGION"] {
        if env.var(name).is_some() && edge.is_none() && region.is_none() && base_url.is_none() {
            faults.nowhere(format!(
                "environment: {name} is set, which would silently send requests elsewhere: write edge and region into \
                 [twilio], or unset it"
            ));
        }
    }
    let timeout = s.duration("timeout", SECOND, 5 * MINUTE).map_or(Duration::from_secs(20), |t| t.value);
    let max_in_flight = s.integer("max_in_flight", 1, 100).unwrap_or(32);
    s.finish();
    let hosts = match base_url {
        Some(url) => Hosts::One(url.value),
        None => Hosts::Twilio { edge: edge.map(|e| e.value), region: region.map(|r| r.value) },
    };
    Some(twilio::ClientSettings {
        credentials: Credentials { account: account?, secret: secret? },
        hosts,
        timeout,
        max_in_flight: max_in_flight as usize,
        seed: u64::from(std::process::id()),
        silence: twilio::SilenceListener::default(),
    })
}

/// The one address that stands for all of Twilio's hosts: it is sent the account's credentials with every request.
fn read_base_url(s: &mut Section<'_>) -> Option<Located<Url>> {
    let is_plain_allowed = s.boolean("plain_http").unwrap_or(false);
    let text = s.text("base_url")?;
    let bad = |problem: &str| {
        let value = address::shown(&text.value);
        s.faults().at(text.span.clone(), format!("twilio.base_url = {value}: {problem}"));
    };
    let url = match text.value.parse::<Url>() {
        Ok(url) => url,
        Err(e) => {
            bad(&format!("{e}: write it whole, such as \"https://proxy.example.com\""));
            return None;
        }
    };
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        bad("must be http:// or https:// and a host");
    } else if address::is_in_the_clear(&url) && !is_plain_allowed {
        bad("every request would carry the account's credentials in the clear: write https://, or plain_http = true \
             beside it if nobody else is on the way there");
    }
    if let Some(problem) = address::misleads(&text.value, &url) {
        bad(&problem);
    } else if address::has_user(&text.value, &url) {
        bad("credentials do not belong in it: remove what is before the @, and set TWILIO_AUTH_TOKEN");
    }
    if url.query().is_some() {
        bad("the paths of Twilio's API are appended to it, and would become part of its query: remove the ? and what \
             follows");
    }
    if url.fragment().is_some() {
        bad(
            "the paths of Twilio's API are appended to it, and a fragment is never sent: remove the # and what follows",
        );
    }
    Some(Located { value: url, span: text.span.clone() })
}

fn read_account(s: &mut Section<'_>, env: &dyn Env, faults: &Faults) -> Option<AccountSid> {
    let from_env = env.var("TWILIO_ACCOUNT_SID").and_then(|text| match text.parse::<AccountSid>() {
        Ok(sid) => Some(sid),
        Err(_) => {
            // SID and token are easily swapped: whatever stands there may be the token.
            faults.nowhere(format!(
                "environment: TWILIO_ACCOUNT_SID ({} characters, not shown) is not a SID: AC and 32 hexadecimal digits; \
                 are SID and token swapped?",
                text.chars().count()
            ));
            None
        }
    });
    let in_file = s.parse::<AccountSid>("account_sid");
    let named = in_file.as_ref().map(|f| f.value).or(from_env);
    if named == Some(UNNAMED_ACCOUNT) {
        faults.nowhere(format!(
            "twilio.account_sid = \"{UNNAMED_ACCOUNT}\": a placeholder: write your account's own SID"
        ));
    }
    match (in_file, from_env) {
        (Some(file), Some(env)) if file.value != env => {
            faults.at(
                file.span,
                format!(
                    "twilio.account_sid = \"{}\": TWILIO_ACCOUNT_SID says {env}; make them agree, or unset one",
                    file.value
                ),
            );
            None
        }
        (Some(file), _) => Some(file.value),
        (None, Some(env)) => Some(env),
        (None, None) => {
            s.require("account_sid", "write it here, or set TWILIO_ACCOUNT_SID");
            None
        }
    }
}

fn read_secret(s: &mut Section<'_>, dir: &Path, env: &dyn Env, faults: &Faults) -> Option<Secret> {
    s.forbid("auth_token", "set TWILIO_AUTH_TOKEN, or name a file with auth_token_file");
    s.forbid("api_secret", "set TWILIO_API_SECRET, or name a file with api_secret_file");
    let from = |s: &mut Section<'_>, key: &'static str, variable: &str| {
        let file = s.text(key);
        match (env.var(variable), file) {
            (Some(value), None) => Some(SecretString::from(value)),
            (Some(_), Some(file)) => {
                faults.at(file.span, format!("{}: {variable} is set too; use one of them", s.key(key)));
                None
            }
            (None, Some(file)) => secret_file(&dir.join(&file.value), faults, |problem| {
                faults.at(file.span.clone(), format!("{} = {}: {problem}", s.key(key), shown::file(&file.value)));
            }),
            (None, None) => None,
        }
    };
    let before = faults.is_empty();
    let token = from(s, "auth_token_file", "TWILIO_AUTH_TOKEN");
    let key_secret = from(s, "api_secret_file", "TWILIO_API_SECRET");
    let key = s.text("api_key").map(|k| k.value).or_else(|| env.var("TWILIO_API_KEY"));
    match (key, key_secret, token) {
        (Some(sid), Some(secret), _) => {
            let digits = sid.strip_prefix("SK").unwrap_or_default();
            if digits.len() != 32 || !digits.bytes().all(|c| c.is_ascii_hexdigit()) {
                // Key and secret are easily swapped: whatever stands there may be the secret.
                faults.nowhere(format!(
                    "the API key ({} characters, not shown) is not a SID: SK and 32 hexadecimal digits; are key and \
                     secret swapped?",
                    sid.chars().count()
                ));
                return None;
            }
            Some(Secret::ApiKey { sid, secret })
        }
        (Some(_), None, None) => {
            faults.nowhere("there is an API key without its secret: set TWILIO_API_SECRET, or name api_secret_file");
            None
        }
        (None, Some(_), None) => {
            faults.nowhere("there is an API secret without its key: set TWILIO_API_KEY, or write twilio.api_key");
            None
        }
        (_, _, Some(token)) => Some(Secret::AuthToken(token)),
        (None, None, None) => {
            if before == faults.is_empty() {
                faults.nowhere(
                    "environment: no credentials: set TWILIO_AUTH_TOKEN, or TWILIO_API_KEY and TWILIO_API_SECRET",
                );
            }
            None
        }
    }
}

/// The content of a file that holds one secret, without the line end and the byte order mark that editors add.
pub(super) fn secret_file(path: &Path, faults: &Faults, fault: impl Fn(String)) -> Option<SecretString> {
    access::is_private(path, faults);
    let text = match text::read(path, bounds::SECRET_BYTES, text::IN_AN_EDITOR) {
        Ok(Ok(text)) => text,
        Ok(Err(e)) => {
            fault(e.to_string());
            return None;
        }
        Err(e) => {
            fault(format!("cannot be read: {e}"));
            return None;
        }
    };
    let secret = text.trim();
    if secret.is_empty() {
        fault("the file is empty".to_owned());
        None
    } else if secret.contains(char::is_control) {
        fault("the file has more than one line; it holds the secret and nothing else".to_owned());
        None
    } else {
        Some(SecretString::from(secret.to_owned()))
    }
}
