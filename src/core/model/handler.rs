//! What the configuration asks of a number's handler: the nouns of `[group.handler]`.
//!
//! What is not named is not touched. Of what may answer a channel at most one is named, which then is to be the
//! *effective* handler: whatever would win over it goes. What that takes is said in [`crate::routing::wanted`].

use serde::{Deserialize, Serialize};

use super::foreign::Line;
use super::id::{ApplicationSid, ServiceSid, TrunkSid};
use super::value::FieldValue;

/// How Twilio asks a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum WebhookMethod {
    #[serde(rename = "GET")]
    Get,
    #[serde(rename = "POST")]
    Post,
}

impl WebhookMethod {
    pub const ALL: [WebhookMethod; 2] = [WebhookMethod::Get, WebhookMethod::Post];

    pub const fn label(self) -> &'static str {
        match self {
            WebhookMethod::Get => "GET",
            WebhookMethod::Post => "POST",
        }
    }
}

/// Who is to answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WantedTarget {
    Url(FieldValue),
    Application(ApplicationSid),
    /// Calls only.
    Trunk(TrunkSid),
}

/// The application to which numbers are handed over after their port, and which then sets its own handler.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    pub name: Line,
    /// What the URLs of its handlers begin with.
    pub urls: Vec<FieldValue>,
    /// Its trunks, TwiML applications and Messaging Services.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub sids: Vec<String>,
}

/// What is asked of one channel.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WantedHandler {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<WantedTarget>,
    /// Of the number's own URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<WebhookMethod>,
    /// Beside the number's own URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback_url: Option<FieldValue>,
    /// Who is told what became of the number's calls. Of voice alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_callback: Option<FieldValue>,
    /// The Messaging Service that the number is to be in. Of messaging alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceSid>,
    /// Whose handler is as right as the one that is named, once they have set it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
}

impl WantedHandler {
    /// True if nothing is asked. Who is expected to set another handler asks nothing.
    pub fn is_empty(&self) -> bool {
        let WantedHandler { target, method, fallback_url, status_callback, service, owner: _ } = self;
        target.is_none() && method.is_none() && fallback_url.is_none() && status_callback.is_none() && service.is_none()
    }
}
