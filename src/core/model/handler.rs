//! What the configuration asks of a number's handler: the nouns of `[group.handler]`.
//!
//! What is not named is not touched. Of what may answer a channel at most one is named, which then is to be the
//! *effective* handler: whatever would win over it goes. What that takes is said in [`crate::core::routing::wanted`].

use serde::{Deserialize, Serialize};

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
}

impl WantedHandler {
    /// True if nothing is asked.
    pub fn is_empty(&self) -> bool {
        *self == WantedHandler::default()
    }
}
