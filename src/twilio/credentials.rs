//! Who we are to Twilio: an account with its Auth Token, or with an API key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretString};

use crate::core::model::id::AccountSid;

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

    /// `text` of whoever answered, without our secret: a proxy may send back what it was sent. A piece of it is as
    /// little to be told, for texts are cut.
    pub fn kept_from(&self, text: &str) -> String {
        let secret = self.password().expose_secret();
        let basic = STANDARD.encode(format!("{}:{secret}", self.username()));
        let known = [secret.to_ascii_lowercase(), basic.to_ascii_lowercase()];
        let bytes = text.to_ascii_lowercase().into_bytes();
        let mut is_secret = vec![false; bytes.len()];
        for (i, piece) in bytes.windows(PIECE).enumerate() {
            if known.iter().any(|k| k.as_bytes().windows(PIECE).any(|w| w == piece)) {
                is_secret[i..i + PIECE].fill(true);
            }
        }
        let mut told = String::with_capacity(text.len());
        for (i, c) in text.char_indices() {
            match (is_secret[i], i > 0 && is_secret[i - 1]) {
                (true, true) => {}
                (true, false) => told.push('…'),
                (false, _) => told.push(c),
            }
        }
        told
    }
}

/// So much of a secret in a row is no accident.
const PIECE: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_comes_back_is_not_told() {
        let token = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";
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
        for said in ["Authenticate", "No such number ü: PN00000000000000000000000000000001", ""] {
            assert_eq!(credentials.kept_from(said), said);
        }
    }
}
