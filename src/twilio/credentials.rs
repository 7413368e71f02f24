//! Who we are to Twilio: an account with its Auth Token, or with an API key.

use secrecy::{ExposeSecret as _, SecretString};

use crate::core::model::id::AccountSid;
use crate::core::model::redact::own::OwnSecrets;

#[derive(Clone, Debug)]
pub struct Credentials {
    pub account: AccountSid,
    pub secret: Secret,
}

/// `Debug` prints the secrets as `[REDACTED]`.
#[derive(Clone, Debug)]
pub enum Secret {
    /// May do everything, and signs webhooks.
    AuthToken(SecretString),
    /// `SK…` and its secret. Cannot check or make webhook signatures.
    ApiKey { sid: String, secret: SecretString },
}

impl Credentials {
    /// User name of HTTP basic authentication.
    pub fn username(&self) -> String {
        match &self.secret {
            Secret::AuthToken(_) => self.account.to_string(),
            Secret::ApiKey { sid, .. } => sid.clone(),
        }
    }

    pub const fn password(&self) -> &SecretString {
        match &self.secret {
            Secret::AuthToken(token) => token,
            Secret::ApiKey { secret, .. } => secret,
        }
    }

    /// `text` of whoever answered, without our secret: a proxy may send back what it was sent.
    pub fn kept_from(&self, text: &str) -> String {
        let mut own = OwnSecrets::default();
        own.add_login(&self.username(), self.password().expose_secret());
        own.kept_from(text)
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;
    use crate::core::model::redact::own::HIDDEN;

    #[test]
    fn a_secret_that_comes_back_is_not_told() {
        let token = "0f1e2d3c4b5a6978279a4b6c3d1e8f50";
        let account: AccountSid = "AC00000000000000000000000000000001".parse().unwrap();
        let credentials = Credentials { account, secret: Secret::AuthToken(token.into()) };
        let basic = STANDARD.encode(format!("{account}:{token}"));
        for said in [
            format!("bad token {token}, sorry"),
            format!("Authorization: Basic {basic}"),
            format!("BAD TOKEN {}", token.to_ascii_uppercase()),
            format!("cut off {}", &token[..14]),
        ] {
            let told = credentials.kept_from(&said);
            assert!(told.contains('…') && !told.to_lowercase().contains(&token[2..12]), "{told}");
            assert!(!told.contains(&basic[60..70]), "{told}");
        }
        let grouped: Vec<&str> = (0..8).map(|i| &token[i * 4..i * 4 + 4]).collect();
        for said in [
            grouped.join(" "),
            grouped.join(":"),
            grouped.join(" and "),
            format!("{} then {} then {}", &token[..9], &token[9..18], &token[18..]),
            format!("first {}, {} last", &token[..7], &token[20..25]),
            token.bytes().map(|b| format!("%{b:02X}")).collect(),
            token.bytes().map(|b| format!("\\u00{b:02x}")).collect(),
            token.chars().rev().collect(),
            STANDARD.encode(token),
            STANDARD.encode(format!("x{token}")),
            STANDARD.encode(format!("{{\"{token}\"}}")),
        ] {
            let told = credentials.kept_from(&format!("you sent {said}!"));
            // In the Basic form's own place it is masked like that.
            assert!(told == HIDDEN || told.contains('…') && told.len() < said.len(), "{said}: {told}");
        }
        for said in ["Authenticate", "No such number ü: PN00000000000000000000000000000001", ""] {
            assert_eq!(credentials.kept_from(said), said);
        }
    }
}
