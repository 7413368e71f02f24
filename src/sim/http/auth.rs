//! Who asks: HTTP Basic with the account's token or an API key.

use base64::Engine;

use super::error::ApiError;
use super::route::{EndpointClass, Route};
use crate::sim::scenario::{Account, ScenarioKeyKind};

/// Lets the request pass, or says what Twilio would.
pub fn check(account: &Account, header: Option<&str>, route: &Route<'_>, path: &str) -> Result<(), ApiError> {
    let (user, password) = header.and_then(basic).ok_or_else(ApiError::authenticate)?;
    if user == account.sid.to_string() {
        if password != account.auth_token {
            return Err(ApiError::authenticate());
        }
    } else {
        let key = account.keys.iter().find(|k| k.sid == user && k.secret == password);
        let key = key.ok_or_else(ApiError::authenticate)?;
        match key.kind {
            ScenarioKeyKind::Main => {}
            // Looks like bad credentials, and is a matter of rights.
            ScenarioKeyKind::Standard if route.class == EndpointClass::Account => return Err(ApiError::authenticate()),
            ScenarioKeyKind::Standard => {}
            ScenarioKeyKind::Restricted if key.permissions.iter().any(|p| p == route.class.label()) => {}
            ScenarioKeyKind::Restricted => {
                let message = format!("Authorization failed: the API key lacks the permission {}", route.class.label());
                return Err(ApiError::new(401, 70051, &message));
            }
        }
    }
    match route.account {
        Some(sid) if sid != account.sid.to_string() => Err(ApiError::not_found(path)),
        _ => Ok(()),
    }
}

fn basic(header: &str) -> Option<(String, String)> {
    let encoded = header.strip_prefix("Basic ")?;
    let bytes = base64::engine::general_purpose::STANDARD.decode(encoded).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    text.split_once(':').map(|(user, password)| (user.to_owned(), password.to_owned()))
}
