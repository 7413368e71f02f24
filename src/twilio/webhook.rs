//! Asking a webhook for its TwiML as Twilio would, signed with the Auth Token.
//!
//! A TwiML Bin answers none but Twilio: requests must carry `X-Twilio-Signature`, which is HMAC-SHA1
//! under the Auth Token over the address and, in a POST, the parameters
//! (<https://www.twilio.com/docs/usage/security>). With an API key there is nothing to sign with.
//! Neither token nor password is sent.

use std::time::Duration;

use base64::Engine as _;
use hmac::{Hmac, Mac};
use secrecy::ExposeSecret;
use sha1::Sha1;
use url::Url;

use super::Client;
use super::credentials::Secret;
use super::host::Hosts;
use crate::core::model::facts::{BIN_HOST, LARGEST_TWIML, WEBHOOK_PATIENCE};

/// What a webhook answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    pub status: u16,
    pub body: String,
}

/// Why a webhook was not asked, or did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unasked {
    #[error("without the Auth Token a request cannot be signed as Twilio's are")]
    NoToken,
    #[error("twilio.base_url stands for Twilio, and this address is somebody else's")]
    NotTwilio,
    #[error("it does not answer: {0}")]
    Silent(String),
}

/// The signature of a GET of `url`, or of a POST of `form`, under `token`.
pub fn signature(token: &str, url: &str, form: &[(&str, &str)]) -> String {
    let mut sorted = form.to_vec();
    sorted.sort_unstable();
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(token.as_bytes()) else { return String::new() };
    mac.update(url.as_bytes());
    for (name, value) in sorted {
        mac.update(name.as_bytes());
        mac.update(value.as_bytes());
    }
    base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes())
}

impl Client {
    /// What the company's own webhook at `address` answers to a POST of `form` as Twilio would send it.
    ///
    /// Where one address stands for all of Twilio, only a webhook on this machine is asked.
    pub async fn post_webhook(&self, address: &str, form: &[(&str, String)]) -> Result<Answered, Unasked> {
        let (settings, http, _) = self.transport.parts();
        let Secret::AuthToken(token) = &settings.credentials.secret else { return Err(Unasked::NoToken) };
        let mut url = Url::parse(address).map_err(|e| Unasked::Silent(e.to_string()))?;
        url.set_fragment(None);
        if matches!(settings.hosts, Hosts::One(_)) && !super::request::is_loopback(&url) {
            return Err(Unasked::NotTwilio);
        }
        let account = settings.credentials.account.to_string();
        let mut form: Vec<(&str, &str)> = form.iter().map(|(k, v)| (*k, v.as_str())).collect();
        form.push(("AccountSid", &account));
        let signature = signature(token.expose_secret(), url.as_str(), &form);
        let request = http.post(url).header("X-Twilio-Signature", signature).form(&form);
        self.answer(request, WEBHOOK_PATIENCE).await
    }

    /// What the webhook at `address` answers to Twilio.
    pub async fn ask_webhook(&self, address: &str) -> Result<Answered, Unasked> {
        let (settings, http, _) = self.transport.parts();
        let Secret::AuthToken(token) = &settings.credentials.secret else { return Err(Unasked::NoToken) };
        let silent = |e: String| Unasked::Silent(e);
        let mut url = Url::parse(address).map_err(|e| silent(e.to_string()))?;
        url.set_fragment(None);
        let is_bin = url.host_str() == Some(BIN_HOST);
        let account = settings.credentials.account.to_string();
        url.query_pairs_mut().append_pair("AccountSid", &account);
        let signature = signature(token.expose_secret(), url.as_str(), &[]);
        let target = match &settings.hosts {
            Hosts::Twilio { .. } => url,
            Hosts::One(base) if is_bin => {
                let path = url.query().map_or_else(|| url.path().to_owned(), |q| format!("{}?{q}", url.path()));
                let base = base.as_str().trim_end_matches('/');
                Url::parse(&format!("{base}{path}")).map_err(|e| silent(e.to_string()))?
            }
            Hosts::One(_) => return Err(Unasked::NotTwilio),
        };
        self.answer(http.get(target).header("X-Twilio-Signature", signature), settings.timeout).await
    }

    async fn answer(&self, request: reqwest::RequestBuilder, within: Duration) -> Result<Answered, Unasked> {
        let silent = |e: String| Unasked::Silent(e);
        let ask = async {
            let mut answer = request.send().await?;
            let status = answer.status().as_u16();
            let mut body = Vec::new();
            while let Some(chunk) = answer.chunk().await? {
                body.extend_from_slice(&chunk);
                if body.len() > LARGEST_TWIML {
                    break;
                }
            }
            Ok::<_, reqwest::Error>(Answered { status, body: String::from_utf8_lossy(&body).into_owned() })
        };
        let (_, _, clock) = self.transport.parts();
        match clock.timeout(within, ask).await {
            Ok(Ok(answered)) => Ok(answered),
            // The URL in the error's own text may hold secrets in its query.
            Ok(Err(error)) => Err(silent(error.without_url().to_string())),
            Err(timed_out) => Err(silent(timed_out.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_the_one_of_twilios_documentation() {
        let form = [
            ("CallSid", "CA1234567890ABCDE"),
            ("Digits", "1234"),
            ("From", "+14158675309"),
            ("To", "+18005551212"),
            ("Caller", "+14158675309"),
        ];
        let url = "https://mycompany.com/myapp.php?foo=1&bar=2";
        assert_eq!(signature("12345", url, &form), "RSOYDt4T1cUTdK1PDd93/VVr8B8=");
    }
}
