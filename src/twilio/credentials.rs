//! Who we are to Twilio: an account with its Auth Token, or with an API key.

use secrecy::SecretString;

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
}
