//! What numbers may point at: applications, trunks, Messaging Services; and the region of a number.

use serde::Serialize;

use super::date::{Iso, Rfc2822};
use super::error::ApiError;
use super::page::RowBody;
use super::view::{Below, Null, ResourceAnswer, ResourceView, one, trunk_domain};
use crate::core::model::id::{AccountSid, ApplicationSid, E164, NumberSid, ServiceSid, TrunkSid};
use crate::sim::chance;
use crate::sim::log;
use crate::sim::number::SimNumber;
use crate::sim::scenario::{ScenarioApplication, ScenarioService, Trunk};

#[derive(Serialize)]
struct ApplicationBody<'a> {
    account_sid: AccountSid,
    api_version: &'static str,
    date_created: Rfc2822,
    date_updated: Rfc2822,
    friendly_name: &'a str,
    message_status_callback: Null,
    sid: ApplicationSid,
    sms_fallback_method: &'static str,
    sms_fallback_url: Option<&'a str>,
    sms_method: &'static str,
    sms_status_callback: Null,
    sms_url: Option<&'a str>,
    status_callback: Option<&'a str>,
    status_callback_method: &'static str,
    uri: String,
    voice_caller_id_lookup: bool,
    voice_fallback_method: &'static str,
    voice_fallback_url: Option<&'a str>,
    voice_method: &'static str,
    voice_url: Option<&'a str>,
    public_application_connect_enabled: bool,
}

impl RowBody for ApplicationBody<'_> {
    fn sid(&self) -> String {
        self.sid.to_string()
    }
}

fn set(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

impl ResourceView<'_> {
    fn application<'s>(&self, a: &'s ScenarioApplication) -> ApplicationBody<'s> {
        let date = self.rfc2822(self.long_ago());
        ApplicationBody {
            account_sid: self.account(),
            api_version: "2010-04-01",
            date_created: date,
            date_updated: date,
            friendly_name: &a.friendly_name,
            message_status_callback: Null,
            sid: a.sid,
            sms_fallback_method: "POST",
            sms_fallback_url: set(&a.sms_fallback_url),
            sms_method: "POST",
            sms_status_callback: Null,
            sms_url: set(&a.sms_url),
            status_callback: set(&a.status_callback),
            status_callback_method: "POST",
            uri: format!("/2010-04-01/Accounts/{}/Applications/{}.json", self.account(), a.sid),
            voice_caller_id_lookup: false,
            voice_fallback_method: "POST",
            voice_fallback_url: set(&a.voice_fallback_url),
            voice_method: "POST",
            voice_url: set(&a.voice_url),
            public_application_connect_enabled: false,
        }
    }

    pub fn applications(&self) -> ResourceAnswer {
        let paging = self.paging()?;
        let name = self.query.get("FriendlyName");
        let rows =
            self.world.scenario.applications.iter().filter(|a| !a.gone && name.is_none_or(|n| a.friendly_name == n));
        let slice = log::slice(rows, |a| a.sid.as_u128(), paging.anchor, paging.size);
        self.list_2010("applications", &paging, slice, |a| self.application(a))
    }

    pub fn application_by_sid(&self) -> ResourceAnswer {
        let found = self.world.scenario.applications.iter().find(|a| !a.gone && self.route.sid.parse() == Ok(a.sid));
        one(&self.application(found.ok_or_else(|| self.not_found())?))
    }
}

const TRUNK_PARTS: [(&str, &str); 4] = [
    ("origination_urls", "/OriginationUrls"),
    ("credential_lists", "/CredentialLists"),
    ("ip_access_control_lists", "/IpAccessControlLists"),
    ("phone_numbers", "/PhoneNumbers"),
];

#[derive(Serialize)]
struct TrunkBody<'a> {
    account_sid: AccountSid,
    domain_name: String,
    disaster_recovery_method: &'static str,
    disaster_recovery_url: Option<&'a str>,
    friendly_name: &'a str,
    secure: bool,
    recording: Recording,
    transfer_mode: &'static str,
    transfer_caller_id: &'static str,
    cnam_lookup_enabled: bool,
    auth_type: &'static str,
    symmetric_rtp_enabled: bool,
    auth_type_set: [(); 0],
    date_created: Iso,
    date_updated: Iso,
    sid: TrunkSid,
    url: String,
    links: Below<'static>,
}

#[derive(Serialize)]
struct Recording {
    mode: &'static str,
    trim: &'static str,
}

#[derive(Serialize)]
struct OriginationBody<'a> {
    account_sid: AccountSid,
    sid: String,
    trunk_sid: TrunkSid,
    weight: u32,
    enabled: bool,
    sip_url: &'a str,
    friendly_name: &'a str,
    priority: u32,
    date_created: Iso,
    date_updated: Iso,
    url: String,
}

impl RowBody for OriginationBody<'_> {
    fn sid(&self) -> String {
        self.sid.clone()
    }
}

impl ResourceView<'_> {
    fn find_trunk(&self, sid: &str) -> Result<&Trunk, ApiError> {
        self.world.scenario.trunks.iter().find(|t| sid.parse() == Ok(t.sid)).ok_or_else(|| self.not_found())
    }

    pub fn trunk(&self) -> ResourceAnswer {
        let t = self.find_trunk(self.route.sid)?;
        let (date, url) = (self.iso(self.long_ago()), format!("{}/v1/Trunks/{}", self.base, t.sid));
        one(&TrunkBody {
            account_sid: self.account(),
            domain_name: trunk_domain(t.sid),
            disaster_recovery_method: "POST",
            disaster_recovery_url: set(&t.disaster_recovery_url),
            friendly_name: &t.friendly_name,
            secure: false,
            recording: Recording { mode: "do-not-record", trim: "do-not-trim" },
            transfer_mode: "disable-all",
            transfer_caller_id: "from-transferor",
            cnam_lookup_enabled: false,
            auth_type: "",
            symmetric_rtp_enabled: false,
            auth_type_set: [],
            date_created: date,
            date_updated: date,
            sid: t.sid,
            links: Below { stem: url.clone(), names: &TRUNK_PARTS },
            url,
        })
    }

    pub fn origination_urls(&self) -> ResourceAnswer {
        let t = self.find_trunk(self.route.parent)?;
        let paging = self.paging()?;
        let date = self.iso(self.long_ago());
        let sid = chance::sid("OU", &t.sid.to_string());
        let slice = log::slice(t.origination_url.iter(), |_| sid, paging.anchor, paging.size);
        self.list_v1("origination_urls", &paging, slice, |sip_url| OriginationBody {
            account_sid: self.account(),
            sid: format!("OU{sid:032x}"),
            trunk_sid: t.sid,
            weight: 10,
            enabled: true,
            sip_url,
            friendly_name: &t.friendly_name,
            priority: 10,
            date_created: date,
            date_updated: date,
            url: format!("{}/v1/Trunks/{}/OriginationUrls/OU{sid:032x}", self.base, t.sid),
        })
    }
}

const SERVICE_PARTS: [(&str, &str); 8] = [
    ("phone_numbers", "/PhoneNumbers"),
    ("short_codes", "/ShortCodes"),
    ("alpha_senders", "/AlphaSenders"),
    ("messages", "/Messages"),
    ("us_app_to_person", "/Compliance/Usa2p"),
    ("us_app_to_person_usecases", "/Compliance/Usa2p/Usecases"),
    ("channel_senders", "/ChannelSenders"),
    ("destination_alpha_senders", "/DestinationAlphaSenders"),
];

#[derive(Serialize)]
struct ServiceBody<'a> {
    sid: ServiceSid,
    account_sid: AccountSid,
    friendly_name: &'a str,
    date_created: Iso,
    date_updated: Iso,
    inbound_request_url: Option<&'a str>,
    inbound_method: &'static str,
    fallback_url: Option<&'a str>,
    fallback_method: &'static str,
    status_callback: Null,
    sticky_sender: bool,
    mms_converter: bool,
    smart_encoding: bool,
    scan_message_content: &'static str,
    fallback_to_long_code: bool,
    area_code_geomatch: bool,
    synchronous_validation: bool,
    validity_period: u32,
    url: String,
    links: Below<'static>,
    usecase: &'static str,
    us_app_to_person_registered: bool,
    use_inbound_webhook_on_number: bool,
}

impl RowBody for ServiceBody<'_> {
    fn sid(&self) -> String {
        self.sid.to_string()
    }
}

#[derive(Serialize)]
pub(super) struct MemberBody {
    sid: NumberSid,
    account_sid: AccountSid,
    service_sid: ServiceSid,
    date_created: Iso,
    date_updated: Iso,
    phone_number: E164,
    country_code: &'static str,
    capabilities: [&'static str; 3],
    url: String,
}

impl RowBody for MemberBody {
    fn sid(&self) -> String {
        self.sid.to_string()
    }
}

impl ResourceView<'_> {
    fn service<'s>(&self, s: &'s ScenarioService) -> ServiceBody<'s> {
        let (date, url) = (self.iso(self.long_ago()), format!("{}/v1/Services/{}", self.base, s.sid));
        ServiceBody {
            sid: s.sid,
            account_sid: self.account(),
            friendly_name: &s.friendly_name,
            date_created: date,
            date_updated: date,
            inbound_request_url: s.inbound_request_url.as_deref(),
            inbound_method: "POST",
            fallback_url: s.fallback_url.as_deref(),
            fallback_method: "POST",
            status_callback: Null,
            sticky_sender: true,
            mms_converter: true,
            smart_encoding: true,
            scan_message_content: "inherit",
            fallback_to_long_code: true,
            area_code_geomatch: true,
            synchronous_validation: false,
            validity_period: 36_000,
            links: Below { stem: url.clone(), names: &SERVICE_PARTS },
            url,
            usecase: "undeclared",
            us_app_to_person_registered: false,
            use_inbound_webhook_on_number: s.use_inbound_webhook_on_number,
        }
    }

    pub(super) fn find_service(&self, sid: &str) -> Result<&ScenarioService, ApiError> {
        self.world.scenario.services.iter().find(|s| sid.parse() == Ok(s.sid)).ok_or_else(|| self.not_found())
    }

    pub fn services(&self) -> ResourceAnswer {
        let paging = self.paging()?;
        let slice = log::slice(self.world.scenario.services.iter(), |s| s.sid.as_u128(), paging.anchor, paging.size);
        self.list_v1("services", &paging, slice, |s| self.service(s))
    }

    pub fn service_by_sid(&self) -> ResourceAnswer {
        one(&self.service(self.find_service(self.route.sid)?))
    }

    fn members(&self, service: ServiceSid) -> impl Iterator<Item = &SimNumber> {
        let now = self.world.now;
        self.world.numbers.iter().rev().filter(move |n| n.is_listed(now) && n.service == Some(service))
    }

    pub(super) fn member(&self, service: ServiceSid, n: &SimNumber) -> MemberBody {
        MemberBody {
            sid: n.sid,
            account_sid: self.account(),
            service_sid: service,
            date_created: self.iso(n.record.created),
            date_updated: self.iso(n.record.created),
            phone_number: n.e164,
            country_code: "US",
            capabilities: ["MMS", "SMS", "Voice"],
            url: format!("{}/v1/Services/{service}/PhoneNumbers/{}", self.base, n.sid),
        }
    }

    pub fn service_numbers(&self) -> ResourceAnswer {
        let service = self.find_service(self.route.parent)?.sid;
        let paging = self.paging()?;
        let slice = log::slice(self.members(service), |n| n.sid.as_u128(), paging.anchor, paging.size);
        self.list_v1("phone_numbers", &paging, slice, |n| self.member(service, n))
    }

    pub fn service_number(&self) -> ResourceAnswer {
        let service = self.find_service(self.route.parent)?.sid;
        let found = self.members(service).find(|n| self.route.sid.parse() == Ok(n.sid));
        one(&self.member(service, found.ok_or_else(|| self.not_found())?))
    }

    /// Which regions handle the number's calls and messages.
    pub fn regions(&self) -> ResourceAnswer {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Regions<'a> {
            phone_number: E164,
            url: String,
            account_sid: AccountSid,
            friendly_name: String,
            voice_region: &'a str,
            messaging_region: &'a str,
            date_created: Iso,
            date_updated: Iso,
        }
        let n = self.routed()?;
        let routing = &self.world.scenario.groups[n.group].routing;
        one(&Regions {
            phone_number: n.e164,
            url: format!("{}/v3/PhoneNumbers/{}", self.base, n.e164),
            account_sid: self.account(),
            friendly_name: n.e164.to_string(),
            voice_region: &routing.voice_region,
            messaging_region: &routing.messaging_region,
            date_created: self.iso(n.record.created),
            date_updated: self.iso(n.record.created),
        })
    }

    /// The number that a route is asked for.
    fn routed(&self) -> Result<&SimNumber, ApiError> {
        let text = self.route.sid.replace("%2B", "+").replace("%2b", "+");
        let number = text.parse::<E164>().ok().and_then(|e| self.world.number_of(e)).ok_or_else(|| self.not_found())?;
        let n = &self.world.numbers[number as usize];
        if n.is_listed(self.world.now) { Ok(n) } else { Err(self.not_found()) }
    }

    /// Which region handles the number's calls.
    pub fn region(&self) -> ResourceAnswer {
        #[derive(Serialize)]
        struct Region<'a> {
            phone_number: E164,
            url: String,
            sid: String,
            account_sid: AccountSid,
            friendly_name: String,
            voice_region: &'a str,
            date_created: Iso,
            date_updated: Iso,
        }
        let n = self.routed()?;
        one(&Region {
            phone_number: n.e164,
            url: format!("{}/v2/PhoneNumbers/{}", self.base, n.e164),
            sid: format!("QQ{:032x}", chance::sid("QQ", &n.e164.to_string())),
            account_sid: self.account(),
            friendly_name: n.e164.to_string(),
            voice_region: &self.world.scenario.groups[n.group].routing.voice_region,
            date_created: self.iso(n.record.created),
            date_updated: self.iso(n.record.created),
        })
    }
}
