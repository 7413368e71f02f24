//! Numbers: list, fetch, and the answer to an update; and the account itself.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::date::Rfc2822;
use super::page::RowBody;
use super::view::{Below, Null, ResourceAnswer, ResourceText, ResourceView, one};
use crate::core::model::id::{AccountSid, E164, NumberSid};
use crate::core::model::time::Time;
use crate::sim::log;
use crate::sim::number::{SimField, SimNumber, SimNumberRecord};

/// A number's whole record.
pub struct NumberBody<'a> {
    account: AccountSid,
    number: &'a SimNumber,
    /// As kept, or as an update is answered.
    record: &'a SimNumberRecord,
    /// Its regulatory bundle.
    bundle: Option<&'a str>,
    has_sms: bool,
    created: Rfc2822,
    updated: Rfc2822,
}

impl Serialize for NumberBody<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Capabilities {
            voice: bool,
            sms: bool,
            mms: bool,
            fax: bool,
        }
        let uri = format!("/2010-04-01/Accounts/{}/IncomingPhoneNumbers/{}.json", self.account, self.number.sid);
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("sid", &self.number.sid)?;
        map.serialize_entry("account_sid", &self.account)?;
        map.serialize_entry("phone_number", &self.number.e164)?;
        self.record.serialize_into(&mut map)?;
        map.serialize_entry(
            "capabilities",
            &Capabilities { voice: !self.number.is_hosted, sms: self.has_sms, mms: self.has_sms, fax: false },
        )?;
        for (name, value) in [
            ("address_requirements", "none"),
            ("api_version", "2010-04-01"),
            ("origin", self.number.origin()),
            ("status", "in-use"),
            ("type", "local"),
            ("emergency_status", "Inactive"),
            ("emergency_address_status", "unregistered"),
        ] {
            map.serialize_entry(name, value)?;
        }
        map.serialize_entry("bundle_sid", &self.bundle)?;
        for name in ["address_sid", "identity_sid", "emergency_address_sid"] {
            map.serialize_entry(name, &Null)?;
        }
        map.serialize_entry("beta", &false)?;
        map.serialize_entry("date_created", &self.created)?;
        map.serialize_entry("date_updated", &self.updated)?;
        map.serialize_entry("uri", &uri)?;
        map.end()
    }
}

impl RowBody for NumberBody<'_> {
    fn sid(&self) -> String {
        self.number.sid.to_string()
    }
}

/// Twilio's pattern: `*` stands for a digit, and it may match anywhere; E.164 matches itself alone.
fn matches(pattern: &str, number: E164) -> bool {
    if let Ok(exact) = pattern.parse::<E164>() {
        return exact == number;
    }
    let digits = number.as_u64().to_string();
    let pattern: Vec<u8> = pattern.bytes().filter(|c| c.is_ascii_digit() || *c == b'*').collect();
    let fits = |window: &[u8]| window.iter().zip(&pattern).all(|(d, p)| *p == b'*' || d == p);
    !pattern.is_empty() && digits.as_bytes().windows(pattern.len()).any(fits)
}

impl ResourceView<'_> {
    pub fn number<'n>(&'n self, number: &'n SimNumber, record: &'n SimNumberRecord) -> NumberBody<'n> {
        NumberBody {
            account: self.account(),
            number,
            record,
            bundle: self.world.scenario.groups[number.group].bundle.as_deref(),
            has_sms: !self.world.scenario.groups[number.group].voice_only,
            created: self.rfc2822(record.created),
            updated: self.rfc2822(record.updated),
        }
    }

    pub fn numbers(&self) -> ResourceAnswer {
        let (paging, now) = (self.paging()?, self.listed());
        let (pattern, name) = (self.query.get("PhoneNumber"), self.query.get("FriendlyName"));
        let origin = self.query.get("Origin");
        let wanted = |n: &&SimNumber| {
            n.is_listed(now)
                && pattern.is_none_or(|p| matches(p, n.e164))
                && name.is_none_or(|f| n.record.get(SimField::FriendlyName) == f)
                && origin.is_none_or(|o| o == n.origin())
        };
        let rows = self.world.numbers.iter().rev().filter(wanted);
        let slice = log::slice(rows, |n| n.sid.as_u128(), paging.anchor, paging.size);
        self.list_2010("incoming_phone_numbers", &paging, slice, |n| self.number(n, &n.record))
    }

    pub fn number_by_sid(&self) -> ResourceAnswer {
        let n = &self.world.numbers[self.number_of_path().ok_or_else(|| self.not_found())? as usize];
        one(&self.number(n, &n.record))
    }

    /// The number that the path names, if it is in the account.
    pub fn number_of_path(&self) -> Option<u32> {
        let index = self.route.sid.parse::<NumberSid>().ok().and_then(|sid| self.world.number_with(sid))?;
        self.world.numbers[index as usize].is_listed(self.world.now).then_some(index)
    }

    /// When things that the scenario never dates came to be.
    pub fn long_ago(&self) -> Time {
        self.world.scenario.start.unwrap_or(Time::EPOCH) - std::time::Duration::from_secs(90 * 86_400)
    }
}

const ACCOUNT_PARTS: [(&str, &str); 20] = [
    ("available_phone_numbers", "/AvailablePhoneNumbers.json"),
    ("calls", "/Calls.json"),
    ("conferences", "/Conferences.json"),
    ("incoming_phone_numbers", "/IncomingPhoneNumbers.json"),
    ("notifications", "/Notifications.json"),
    ("outgoing_caller_ids", "/OutgoingCallerIds.json"),
    ("recordings", "/Recordings.json"),
    ("transcriptions", "/Transcriptions.json"),
    ("addresses", "/Addresses.json"),
    ("signing_keys", "/SigningKeys.json"),
    ("connect_apps", "/ConnectApps.json"),
    ("sip", "/SIP.json"),
    ("authorized_connect_apps", "/AuthorizedConnectApps.json"),
    ("usage", "/Usage.json"),
    ("keys", "/Keys.json"),
    ("applications", "/Applications.json"),
    ("short_codes", "/SMS/ShortCodes.json"),
    ("queues", "/Queues.json"),
    ("messages", "/Messages.json"),
    ("balance", "/Balance.json"),
];

impl ResourceView<'_> {
    pub fn account_itself(&self) -> ResourceAnswer {
        #[derive(Serialize)]
        struct AccountBody<'a> {
            auth_token: &'a str,
            date_created: Rfc2822,
            date_updated: Rfc2822,
            friendly_name: &'a str,
            owner_account_sid: AccountSid,
            sid: AccountSid,
            status: &'a str,
            subresource_uris: Below<'static>,
            r#type: &'a str,
            uri: ResourceText<String>,
        }
        let (account, sid) = (&self.world.scenario.account, self.account());
        let date = self.rfc2822(self.long_ago());
        let stem = format!("/2010-04-01/Accounts/{sid}");
        one(&AccountBody {
            auth_token: &account.auth_token,
            date_created: date,
            date_updated: date,
            friendly_name: &account.friendly_name,
            owner_account_sid: sid,
            sid,
            status: &self.world.scenario.standing.status,
            uri: ResourceText(format!("{stem}.json")),
            subresource_uris: Below { stem, names: &ACCOUNT_PARTS },
            r#type: &self.world.scenario.standing.kind,
        })
    }
}
