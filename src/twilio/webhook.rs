//! Asking a webhook for its TwiML as Twilio would, signed with the Auth Token.
//!
//! A TwiML Bin answers none but Twilio: requests must carry `X-Twilio-Signature`, which is HMAC-SHA1
//! under the Auth Token over the address and, in a POST, the parameters
//! (<https://www.twilio.com/docs/usage/security>). With an API key there is nothing to sign with.
//! Neither token nor password is sent.

use base64::Engine as _;
use hmac::{Hmac, Mac};
use secrecy::ExposeSecret;
use sha1::Sha1;
use url::Url;

use super::Client;
use super::credentials::Secret;
use super::host::Hosts;
use crate::core::model::facts::{BIN_HOST, LARGEST_TWIML, WEBHOOK_PATIENCE};
use crate::core::routing::twiml::TwimlDocument;

/// What a webhook answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    pub status: u16,
    /// Empty if it is not said.
    pub content_type: String,
    /// Where a redirect leads, as it is written.
    pub location: Option<String>,
    /// No more of it than Twilio takes.
    pub body: Vec<u8>,
    /// There was more.
    pub is_too_large: bool,
}

impl Answered {
    /// Its TwiML, as Twilio takes it up.
    pub fn document(&self) -> TwimlDocument<'_> {
        TwimlDocument { content_type: &self.content_type, body: &self.body, is_too_large: self.is_too_large }
    }
}

/// How a webhook is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Get,
    Post,
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
    /// What the webhook at `address` answers when it is asked as Twilio asks, with these parameters and the account's
    /// SID: in the query of a GET, in the form of a POST.
    ///
    /// Where one address stands for all of Twilio, it stands for the bins too; of other webhooks only those on this
    /// machine are asked then. Redirects are the caller's to follow.
    pub async fn ask_webhook(
        &self,
        address: &str,
        method: Method,
        parameters: &[(&str, String)],
    ) -> Result<Answered, Unasked> {
        let (settings, http, _) = self.transport.parts();
        let Secret::AuthToken(token) = &settings.credentials.secret else { return Err(Unasked::NoToken) };
        let silent = |e: url::ParseError| Unasked::Silent(e.to_string());
        let mut url = Url::parse(address).map_err(silent)?;
        url.set_fragment(None);
        let account = settings.credentials.account.to_string();
        let mut parameters: Vec<(&str, &str)> = parameters.iter().map(|(k, v)| (*k, v.as_str())).collect();
        parameters.push(("AccountSid", &account));
        if method == Method::Get {
            url.query_pairs_mut().extend_pairs(&parameters);
            parameters.clear();
        }
        let signature = signature(token.expose_secret(), url.as_str(), &parameters);
        let target = match &settings.hosts {
            Hosts::One(base) if is_bin(&url) => {
                let path = url.query().map_or_else(|| url.path().to_owned(), |q| format!("{}?{q}", url.path()));
                Url::parse(&format!("{}{path}", base.as_str().trim_end_matches('/'))).map_err(silent)?
            }
            Hosts::One(_) if !super::request::is_loopback(&url) => return Err(Unasked::NotTwilio),
            Hosts::One(_) | Hosts::Twilio { .. } => url,
        };
        let request = match method {
            Method::Get => http.get(target),
            Method::Post => http.post(target).form(&parameters),
        };
        self.answer(request.header("X-Twilio-Signature", signature)).await
    }

    /// With which HTTP status a file that a call would play is answered. It is fetched as Twilio fetches it: without
    /// parameters, for an address may be signed as it is.
    pub async fn ask_file(&self, address: &Url) -> Result<u16, Unasked> {
        let (settings, http, _) = self.transport.parts();
        if matches!(settings.hosts, Hosts::One(_)) && !super::request::is_loopback(address) {
            return Err(Unasked::NotTwilio);
        }
        self.answer(http.get(address.clone())).await.map(|answered| answered.status)
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> Result<Answered, Unasked> {
        let ask = async {
            let mut answer = request.send().await?;
            let status = answer.status().as_u16();
            let header = |name| answer.headers().get(name).map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned());
            let content_type = header(reqwest::header::CONTENT_TYPE).unwrap_or_default();
            let location = header(reqwest::header::LOCATION);
            let (mut body, mut is_too_large) = (Vec::new(), false);
            while let Some(chunk) = answer.chunk().await? {
                body.extend_from_slice(&chunk);
                is_too_large = body.len() > LARGEST_TWIML;
                if is_too_large {
                    body.truncate(LARGEST_TWIML);
                    break;
                }
            }
            Ok::<_, reqwest::Error>(Answered { status, content_type, location, body, is_too_large })
        };
        let (_, _, clock) = self.transport.parts();
        match clock.timeout(WEBHOOK_PATIENCE, ask).await {
            Ok(Ok(answered)) => Ok(answered),
            // The URL in the error's own text may hold secrets in its query.
            Ok(Err(error)) => Err(Unasked::Silent(error.without_url().to_string())),
            Err(timed_out) => Err(Unasked::Silent(timed_out.to_string())),
        }
    }
}

/// True of a TwiML Bin's address.
pub fn is_bin(url: &Url) -> bool {
    url.host_str() == Some(BIN_HOST)
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
