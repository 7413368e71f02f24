//! How the account stands: balance, registrations, permissions, and the rules of the Webhooks configuration.

use serde::Serialize;
use serde_json::{Value, json};

use super::date::Iso;
use super::page::RowBody;
use super::view::{ResourceAnswer, ResourceView, one};
use crate::core::model::id::{E164, NumberSid};
use crate::sim::chance;
use crate::sim::log;
use crate::sim::number::SimNumber;
use crate::sim::scenario::ScenarioCampaign;

/// A row that is written out as JSON.
#[derive(Serialize)]
#[serde(transparent)]
struct Row(Value);

impl RowBody for Row {
    fn sid(&self) -> String {
        let sid = self.0["sid"].as_str().or(self.0["iso_code"].as_str()).or(self.0["id"].as_str());
        sid.unwrap_or_default().to_owned()
    }
}

/// Countries of this world, with their calling codes.
const COUNTRIES: [(&str, &str, &str, &str); 6] = [
    ("US", "United States/Canada", "North America", "1"),
    ("CA", "Canada", "North America", "1"),
    ("GB", "United Kingdom", "Europe", "44"),
    ("DE", "Germany", "Europe", "49"),
    ("IE", "Ireland", "Europe", "353"),
    ("LV", "Latvia", "Europe", "371"),
];

/// What a toll-free verification has beside what is told of it here.
const VERIFICATION: [&str; 42] = [
    "customer_profile_sid",
    "trust_product_sid",
    "regulated_item_sid",
    "business_street_address",
    "business_street_address2",
    "business_city",
    "business_state_province_region",
    "business_postal_code",
    "business_country",
    "business_website",
    "business_contact_first_name",
    "business_contact_last_name",
    "business_contact_email",
    "business_contact_phone",
    "notification_email",
    "use_case_categories",
    "use_case_summary",
    "production_message_sample",
    "opt_in_image_urls",
    "message_volume",
    "additional_information",
    "rejection_reason",
    "error_code",
    "edit_expiration",
    "edit_allowed",
    "business_registration_number",
    "business_registration_authority",
    "business_registration_country",
    "business_type",
    "business_registration_phone_number",
    "doing_business_as",
    "opt_in_confirmation_message",
    "help_message_sample",
    "privacy_policy_url",
    "terms_and_conditions_url",
    "age_gated_content",
    "opt_in_keywords",
    "rejection_reasons",
    "resource_links",
    "external_reference_id",
    "vetting_id",
    "vetting_id_expiration",
];

/// A campaign's SID.
fn campaign(c: &ScenarioCampaign) -> u128 {
    chance::sid("QE", &c.service.to_string())
}

/// A brand's SID.
fn brand(c: &ScenarioCampaign) -> String {
    format!("BN{:032x}", chance::sid("BN", &c.service.to_string()))
}

impl ResourceView<'_> {
    fn since(&self) -> Iso {
        self.iso(self.long_ago())
    }

    pub fn balance(&self) -> ResourceAnswer {
        let standing = &self.world.scenario.standing;
        one(&json!({
            "account_sid": self.account(), "balance": standing.balance, "currency": standing.currency,
        }))
    }

    pub fn campaigns(&self) -> ResourceAnswer {
        let paging = self.paging()?;
        let of = self.world.scenario.standing.campaigns.iter();
        let rows = of.filter(|c| self.route.parent.parse() == Ok(c.service));
        let slice = log::slice(rows, campaign, paging.anchor, paging.size);
        self.list_v1("compliance", &paging, slice, |c| {
            let sid = format!("QE{:032x}", campaign(c));
            let url = format!("{}/v1/Services/{}/Compliance/Usa2p/{sid}", self.base, c.service);
            Row(json!({
                "sid": sid, "account_sid": self.account(), "brand_registration_sid": brand(c),
                "messaging_service_sid": c.service, "description": "Replies to callers",
                "message_samples": ["We will call you back."], "us_app_to_person_usecase": "CUSTOMER_CARE",
                "has_embedded_links": false, "has_embedded_phone": false, "subscriber_opt_in": true,
                "age_gated": false, "direct_lending": false, "campaign_status": c.status, "campaign_id": "C0SIM01",
                "is_externally_registered": false, "rate_limits": {}, "message_flow": "Callers write first.",
                "opt_in_message": null, "opt_out_message": null, "help_message": null, "opt_in_keywords": null,
                "opt_out_keywords": null, "help_keywords": null, "date_created": self.since(),
                "date_updated": self.since(), "url": url, "mock": false, "errors": [],
            }))
        })
    }

    pub fn brand(&self) -> ResourceAnswer {
        let all = &self.world.scenario.standing.campaigns;
        let c = all.iter().find(|c| brand(c) == self.route.sid).ok_or_else(|| self.not_found())?;
        let sid = brand(c);
        one(&json!({
            "sid": sid, "account_sid": self.account(), "customer_profile_bundle_sid": null, "a2p_profile_bundle_sid": null,
            "date_created": self.since(), "date_updated": self.since(), "brand_type": "STANDARD",
            "status": c.brand_status, "tcr_id": "B0SIM01", "failure_reason": null, "errors": [],
            "url": format!("{}/v1/a2p/BrandRegistrations/{sid}", self.base), "brand_score": 42, "brand_feedback": [],
            "identity_status": "VERIFIED", "russell_3000": false, "government_entity": false,
            "tax_exempt_status": null, "skip_automatic_sec_vet": false, "mock": false,
            "links": {
                "brand_vettings": format!("{}/v1/a2p/BrandRegistrations/{sid}/Vettings", self.base),
                "brand_registration_otps": format!("{}/v1/a2p/BrandRegistrations/{sid}/SmsOtp", self.base),
            },
        }))
    }

    pub fn toll_free(&self) -> ResourceAnswer {
        let paging = self.paging()?;
        let number = |e164: &E164| self.world.number_of(*e164).map(|n| &self.world.numbers[n as usize]);
        let all: Vec<(&SimNumber, &String)> =
            self.world.scenario.standing.toll_free.iter().filter_map(|(e, s)| Some((number(e)?, s))).collect();
        let only = self.query.get("TollfreePhoneNumberSid").and_then(|sid| sid.parse::<NumberSid>().ok());
        let rows = all.iter().filter(|(n, _)| only.is_none_or(|sid| sid == n.sid));
        let slice = log::slice(rows, |(n, _)| n.sid.as_u128(), paging.anchor, paging.size);
        self.list_v1("verifications", &paging, slice, |(n, status)| {
            let sid = format!("HH{:032x}", n.sid.as_u128());
            let mut row: serde_json::Map<String, Value> =
                VERIFICATION.iter().map(|name| ((*name).to_owned(), Value::Null)).collect();
            let own = json!({
                "sid": sid, "account_sid": self.account(), "tollfree_phone_number_sid": n.sid,
                "tollfree_phone_number": n.e164, "status": status, "business_name": "Example",
                "opt_in_type": "VERBAL", "vetting_provider": "CAMPAIGN_VERIFY", "date_created": self.since(),
                "date_updated": self.since(), "url": format!("{}/v1/Tollfree/Verifications/{sid}", self.base),
            });
            row.extend(own.as_object().cloned().unwrap_or_default());
            Row(Value::Object(row))
        })
    }

    pub fn hosted_orders(&self) -> ResourceAnswer {
        let paging = self.paging()?;
        let rows = self.world.numbers.iter().filter(|n| n.is_hosted);
        let slice = log::slice(rows, |n| chance::sid("HR", &n.e164.to_string()), paging.anchor, paging.size);
        self.list_v1("items", &paging, slice, |n| {
            let sid = format!("HR{:032x}", chance::sid("HR", &n.e164.to_string()));
            let url = format!("{}/v2/HostedNumber/Orders/{sid}", self.base);
            let (status, since) = match (&n.messages_ported, &n.port_status) {
                // What has failed is not completed by its date.
                (_, Some((at, said))) if said.status == "failed" => ("failed", *at),
                (Some(at), _) => ("completed", *at),
                (None, Some((at, said))) => (said.status.as_str(), *at),
                (None, None) => ("carrier-processing", self.long_ago()),
            };
            Row(json!({
                "sid": sid, "account_sid": self.account(), "incoming_phone_number_sid": n.sid,
                "address_sid": format!("AD{:032x}", chance::sid("AD", "office")), "signing_document_sid": null,
                "phone_number": n.e164, "capabilities": { "sms": true, "voice": false },
                "friendly_name": "Example Company", "status": status, "failure_reason": "", "date_created": self.since(),
                "date_updated": self.iso(since), "email": "oncall@example.com", "cc_emails": [], "url": url,
                "contact_title": "Owner", "contact_phone_number": n.e164, "bulk_hosting_request_sid": null,
                "next_step": null, "verification_attempts": 0, "verification_call_sids": [], "verification_code": null,
                "verification_type": "phone-call", "verification_call_delay": 0, "verification_call_extension": null,
            }))
        })
    }

    pub fn bundle(&self) -> ResourceAnswer {
        let (scenario, sid) = (&self.world.scenario, self.route.sid);
        let is_named = scenario.groups.iter().any(|g| g.bundle.as_deref() == Some(sid));
        if !is_named {
            return Err(self.not_found());
        }
        let status = scenario.standing.bundles.get(sid).map_or("twilio-approved", String::as_str);
        let url = format!("{}/v2/RegulatoryCompliance/Bundles/{sid}", self.base);
        one(&json!({
            "sid": sid, "account_sid": self.account(), "regulation_sid": null, "friendly_name": "Bundle",
            "status": status, "valid_until": null, "email": "ops@example.com", "status_callback": null,
            "date_created": self.since(), "date_updated": self.since(), "url": url,
            "links": {
                "evaluations": format!("{url}/Evaluations"), "copies": format!("{url}/Copies"),
                "item_assignments": format!("{url}/ItemAssignments"),
            },
        }))
    }

    pub fn dialing_permissions(&self) -> ResourceAnswer {
        let paging = self.paging()?;
        let barred = &self.world.scenario.standing.barred;
        let (code, iso) = (self.query.get("CountryCode"), self.query.get("IsoCode"));
        let wanted = |c: &&(&str, &str, &str, &str)| code.is_none_or(|x| x == c.3) && iso.is_none_or(|x| x == c.0);
        let rows = COUNTRIES.iter().filter(wanted);
        let slice = log::slice(rows, |c| chance::sid("IS", c.0), paging.anchor, paging.size);
        self.list_v1("content", &paging, slice, |(iso, name, continent, code)| {
            let url = format!("{}/v1/DialingPermissions/Countries/{iso}", self.base);
            Row(json!({
                "iso_code": iso, "name": name, "continent": continent, "country_codes": [format!("+{code}")],
                "low_risk_numbers_enabled": !barred.iter().any(|b| b == iso),
                "high_risk_special_numbers_enabled": false, "high_risk_tollfraud_numbers_enabled": false,
                "url": url, "links": { "highrisk_special_prefixes": format!("{url}/HighRiskSpecialPrefixes") },
            }))
        })
    }

    pub fn webhook_rules(&self) -> ResourceAnswer {
        let rules = &self.world.scenario.standing.rules;
        if rules.is_empty() {
            return Err(self.not_found());
        }
        let paging = self.paging()?;
        let slice = log::slice(rules.iter(), |r| chance::sid("WR", &r.name), paging.anchor, paging.size);
        self.list_v1("rules", &paging, slice, |r| {
            let mut setting = json!({ "id": "webhooks_setting_1", "type": "CUSTOMER" });
            if r.signs {
                setting["signature"] = json!({ "sharedKey": "webhooks_shared_key_1", "algorithm": "HMAC-SHA256" });
            }
            if r.times {
                setting["connection"] = json!({ "readTimeout": 30_000 });
            }
            Row(json!({
                "id": format!("webhooks_rule_{:x}", chance::sid("WR", &r.name)), "friendlyName": r.name,
                "description": "", "matchType": "PREFIX_MATCH", "value": null, "prefix": r.prefix,
                "settings": [setting],
            }))
        })
    }
}
