//! Numbers, and what they refer to: applications and Messaging Services.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{BadRow, Listed, Reader, Text, WireRow, optional_sid, sid};
use crate::core::model::bounds;
use crate::core::model::id::{AccountSid, ApplicationSid, NumberSid, ServiceSid};
use crate::core::model::redact::told;
use crate::core::model::roster::Roster;
use crate::core::model::value::RawRecord;
use crate::core::routing::record::{Application, NumberRecord, Service};
use crate::core::routing::values::in_service;

/// A number's record: what we understand of it, and the whole of it as Twilio wrote it.
#[derive(Debug, Clone, PartialEq)]
pub struct NumberRead {
    /// Applications carry their SIDs only, and no Messaging Service is known yet.
    pub record: NumberRecord,
    /// Every field, for the snapshot.
    pub raw: RawRecord,
}

impl NumberRead {
    /// It is in this Messaging Service, or in none.
    pub fn be_in(&mut self, service: Option<Service>) {
        if let Some(service) = &service {
            self.raw = in_service(self.raw.whole(), Some(service.sid)).into();
        }
        self.record.service = service;
    }
}

#[derive(Deserialize)]
struct RawNumber<'a> {
    #[serde(borrow)]
    sid: Text<'a>,
    #[serde(borrow)]
    phone_number: Text<'a>,
    #[serde(borrow, default)]
    trunk_sid: Text<'a>,
    #[serde(borrow, default)]
    voice_application_sid: Text<'a>,
    #[serde(borrow, default)]
    voice_url: Text<'a>,
    #[serde(borrow, default)]
    voice_fallback_url: Text<'a>,
    #[serde(borrow, default)]
    voice_receive_mode: Text<'a>,
    #[serde(borrow, default)]
    sms_application_sid: Text<'a>,
    #[serde(borrow, default)]
    sms_url: Text<'a>,
    #[serde(borrow, default)]
    sms_fallback_url: Text<'a>,
    #[serde(borrow, default)]
    status_callback: Text<'a>,
    #[serde(default)]
    capabilities: Option<RawCapabilities>,
}

/// What a number can do. What is not said it is taken to be able to.
#[derive(Deserialize)]
struct RawCapabilities {
    #[serde(default)]
    voice: Option<bool>,
    #[serde(default)]
    sms: Option<bool>,
}

/// Reads one number's record.
pub fn number(raw: &RawValue) -> Result<NumberRead, BadRow> {
    if raw.get().len() > bounds::RECORD_BYTES {
        return Err(BadRow::new("row", format!("has {} bytes, which no number's record has", raw.get().len())));
    }
    let n: RawNumber<'_> = serde_json::from_str(raw.get()).map_err(|e| BadRow::new("row", e))?;
    let application = |field, text| {
        optional_sid::<ApplicationSid>(field, text).map(|sid| {
            sid.map(|sid| Application {
                sid,
                voice_url: None,
                voice_fallback_url: None,
                sms_url: None,
                sms_fallback_url: None,
                status_callback: None,
                is_read: false,
            })
        })
    };
    let record = NumberRecord {
        sid: sid("sid", &n.sid)?,
        number: sid("phone_number", &n.phone_number)?,
        trunk: optional_sid("trunk_sid", &n.trunk_sid)?,
        voice_application: application("voice_application_sid", &n.voice_application_sid)?,
        voice_url: n.voice_url.value(),
        voice_fallback_url: n.voice_fallback_url.value(),
        fax: n.voice_receive_mode.get().is_some_and(|mode| mode.trim().eq_ignore_ascii_case("fax")),
        sms_application: application("sms_application_sid", &n.sms_application_sid)?,
        sms_url: n.sms_url.value(),
        sms_fallback_url: n.sms_fallback_url.value(),
        status_callback: n.status_callback.value(),
        service: None,
        elsewhere: [None, None],
        lacks: n.capabilities.map_or([false; 2], |c| [c.voice == Some(false), c.sms == Some(false)]),
        unread: [false; 2],
        gone: [false; 2],
    };
    Ok(NumberRead { record, raw: raw.get().into() })
}

/// Whose record it is, if it says so.
pub(super) fn account(raw: &RawValue) -> Result<Option<AccountSid>, BadRow> {
    #[derive(Deserialize)]
    struct Owned<'a> {
        #[serde(borrow, default)]
        account_sid: Text<'a>,
    }
    let raw: Owned<'_> = serde_json::from_str(raw.get()).map_err(|e| BadRow::new("row", e))?;
    optional_sid("account_sid", &raw.account_sid)
}

pub struct Numbers;

impl Listed for Numbers {
    const KEY: &'static str = "incoming_phone_numbers";
    const OF: &'static [&'static str] = &["phone_number"];
    type Raw<'a> = &'a RawValue;
    type Item = NumberRead;

    fn convert(raw: &&RawValue, reader: Reader<'_>) -> Result<WireRow<NumberRead>, BadRow> {
        let read = number(raw)?;
        if let Some(other) = account(raw)?.filter(|account| *account != reader.account) {
            return Err(BadRow::new("account_sid", format!("is {other}, whose list was not asked for")));
        }
        if !reader.is_ours(read.record.number) {
            return Ok(WireRow::NotOurs(None));
        }
        reader.sids.note(read.record.sid, read.record.number);
        Ok(WireRow::Ours(read))
    }

    fn bytes(item: &NumberRead) -> usize {
        // The record is a part of it, once more.
        size_of::<NumberRead>() + 2 * item.raw.whole().len()
    }
}

/// Which regions process a number. Version 3 of the Routes API has both, spelt `voiceRegion`; version 2 has that of
/// calls alone, spelt `voice_region`.
#[derive(Deserialize)]
pub struct RawRegions<'a> {
    #[serde(borrow, default, alias = "voiceRegion")]
    voice_region: Text<'a>,
    #[serde(borrow, default, alias = "messagingRegion")]
    messaging_region: Text<'a>,
}

impl RawRegions<'_> {
    /// By the index of the channel. None: it is not said.
    pub fn regions(&self, ours: &Roster) -> [Option<String>; 2] {
        [&self.voice_region, &self.messaging_region].map(|region| region.get().map(|region| told(region, ours)))
    }
}

#[derive(Deserialize)]
pub struct RawApplication<'a> {
    #[serde(borrow)]
    sid: Text<'a>,
    #[serde(borrow, default)]
    voice_url: Text<'a>,
    #[serde(borrow, default)]
    voice_fallback_url: Text<'a>,
    #[serde(borrow, default)]
    sms_url: Text<'a>,
    #[serde(borrow, default)]
    sms_fallback_url: Text<'a>,
    #[serde(borrow, default)]
    status_callback: Text<'a>,
}

impl RawApplication<'_> {
    pub fn convert(&self) -> Result<Application, BadRow> {
        Ok(Application {
            sid: sid("sid", &self.sid)?,
            voice_url: self.voice_url.value(),
            voice_fallback_url: self.voice_fallback_url.value(),
            sms_url: self.sms_url.value(),
            sms_fallback_url: self.sms_fallback_url.value(),
            status_callback: self.status_callback.value(),
            is_read: true,
        })
    }
}

#[derive(Deserialize)]
pub struct RawService<'a> {
    #[serde(borrow)]
    sid: Text<'a>,
    #[serde(borrow, default)]
    inbound_request_url: Text<'a>,
    #[serde(borrow, default)]
    fallback_url: Text<'a>,
    #[serde(default)]
    use_inbound_webhook_on_number: Option<bool>,
}

pub struct Services;

impl Listed for Services {
    const KEY: &'static str = "services";
    type Raw<'a> = RawService<'a>;
    type Item = Service;

    fn convert(raw: &RawService<'_>, _: Reader<'_>) -> Result<WireRow<Service>, BadRow> {
        Ok(WireRow::Ours(Service {
            sid: sid::<ServiceSid>("sid", &raw.sid)?,
            inbound_url: raw.inbound_request_url.value(),
            fallback_url: raw.fallback_url.value(),
            defers_to_number: raw.use_inbound_webhook_on_number.unwrap_or(false),
        }))
    }

    fn bytes(item: &Service) -> usize {
        let urls =
            [&item.inbound_url, &item.fallback_url].into_iter().flatten().map(|url| url.whole().len()).sum::<usize>();
        size_of::<Service>() + urls
    }
}

#[derive(Deserialize)]
pub struct RawServiceNumber<'a> {
    #[serde(borrow)]
    sid: Text<'a>,
    #[serde(borrow, default)]
    service_sid: Text<'a>,
}

/// Numbers of a Messaging Service, and of which, if it is said.
pub struct ServiceNumbers;

impl Listed for ServiceNumbers {
    const KEY: &'static str = "phone_numbers";
    type Raw<'a> = RawServiceNumber<'a>;
    type Item = (NumberSid, Option<ServiceSid>);

    fn bytes(_: &Self::Item) -> usize {
        size_of::<Self::Item>()
    }

    fn convert(raw: &RawServiceNumber<'_>, _: Reader<'_>) -> Result<WireRow<Self::Item>, BadRow> {
        Ok(WireRow::Ours((sid("sid", &raw.sid)?, optional_sid("service_sid", &raw.service_sid)?)))
    }
}

/// A trunk, as far as it says who takes calls that its SIP addresses do not.
#[derive(Deserialize)]
pub struct RawTrunk<'a> {
    #[serde(borrow, default)]
    disaster_recovery_url: Text<'a>,
}

impl RawTrunk<'_> {
    pub fn has_recovery(&self) -> bool {
        self.disaster_recovery_url.get().is_some()
    }
}
