//! How the account stands: what a preflight finds beside the numbers. The defaults are an account that is in order.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::core::model::id::{E164, ServiceSid};

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScenarioStanding {
    /// `active`, `suspended` or `closed`.
    pub status: String,
    /// `Full` or `Trial`.
    pub kind: String,
    pub balance: String,
    pub currency: String,
    /// 10DLC campaigns, each of a Messaging Service.
    #[serde(rename = "campaign")]
    pub campaigns: Vec<ScenarioCampaign>,
    /// Statuses of toll-free verifications, by number.
    pub toll_free: BTreeMap<E164, String>,
    /// Statuses of regulatory bundles, by SID; those that numbers name and are not here are approved.
    pub bundles: BTreeMap<String, String>,
    /// Countries that may not be called, by ISO code.
    pub barred: Vec<String>,
    /// Of the Webhooks configuration. None: the account does not use it.
    #[serde(rename = "rule")]
    pub rules: Vec<ScenarioRule>,
}

impl Default for ScenarioStanding {
    fn default() -> ScenarioStanding {
        ScenarioStanding {
            status: "active".into(),
            kind: "Full".into(),
            balance: "5000.00".into(),
            currency: "USD".into(),
            campaigns: Vec::new(),
            toll_free: BTreeMap::new(),
            bundles: BTreeMap::new(),
            barred: Vec::new(),
            rules: Vec::new(),
        }
    }
}

/// A 10DLC campaign with its brand.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScenarioCampaign {
    pub service: ServiceSid,
    #[serde(default = "verified")]
    pub status: String,
    #[serde(default = "approved")]
    pub brand_status: String,
}

fn verified() -> String {
    "VERIFIED".into()
}

fn approved() -> String {
    "APPROVED".into()
}

/// A rule of the Webhooks configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScenarioRule {
    pub name: String,
    /// URLs that begin so.
    pub prefix: String,
    /// It names a shared key.
    #[serde(default)]
    pub signs: bool,
    /// It changes time-outs.
    #[serde(default)]
    pub times: bool,
}
