//! Port-in requests: one for each group that ports, with its numbers.
//!
//! The three answers spell statuses differently, as Twilio's do: `In Progress` in the list,
//! `in_progress` in a request, `Completed` for the numbers in it, `completed` for a number by itself. What an event of
//! the day says of a number is answered as the event writes it.

use serde::Serialize;

use super::error::ApiError;
use super::view::{Null, ResourceAnswer, ResourceView, one};
use crate::core::model::id::{AccountSid, E164};
use crate::core::model::time::Time;
use crate::sim::chance;
use crate::sim::number::SimNumber;
use crate::sim::scenario::ScenarioGroup;

use super::date::Iso;

#[derive(Serialize)]
struct LosingCarrier {
    customer_name: &'static str,
    account_number: &'static str,
    account_telephone_number: E164,
    address_sid: String,
    address: Address,
    authorized_representative: &'static str,
    authorized_representative_email: &'static str,
    customer_type: &'static str,
    authorized_representative_katakana: &'static str,
    sub_municipality: &'static str,
    building: &'static str,
    katakana_name: &'static str,
}

#[derive(Serialize)]
struct Address {
    street: &'static str,
    street_2: &'static str,
    city: &'static str,
    state: &'static str,
    zip: &'static str,
    country: &'static str,
}

#[derive(Serialize)]
struct RequestLine {
    port_in_request_sid: String,
    port_in_request_status: String,
    status_last_updated_timestamp: Iso,
    phone_numbers_requested: usize,
    phone_numbers_ported: usize,
    suggested_action: Null,
}

#[derive(Serialize)]
struct NumberLine {
    not_portability_reason: Null,
    not_portability_reason_code: Null,
    number_type: &'static str,
    phone_number: E164,
    port_date: Option<Iso>,
    port_in_phone_number_sid: String,
    port_in_phone_number_status: String,
    portable: bool,
    rejection_reason: Option<String>,
    rejection_reason_code: Option<String>,
    status_last_time_updated_timestamp: Iso,
    external_porting_vendor_phone_number_id: Null,
}

#[derive(Serialize)]
struct RequestBody {
    port_in_request_sid: String,
    url: String,
    account_sid: AccountSid,
    notification_emails: [&'static str; 1],
    target_port_in_date: Option<String>,
    target_port_in_time_range_start: Option<&'static str>,
    target_port_in_time_range_end: Option<&'static str>,
    port_in_request_status: String,
    order_cancellation_reason: Null,
    losing_carrier_information: LosingCarrier,
    phone_numbers: Vec<NumberLine>,
    bundle_sid: Null,
    portability_advance_carrier: Null,
    auto_cancel_approval_numbers: Null,
    documents: [String; 1],
    date_created: Iso,
    support_ticket_id: u32,
    signature_request_url: Null,
}

#[derive(Serialize)]
struct NumberBody {
    port_in_request_sid: String,
    phone_number_sid: String,
    url: String,
    account_sid: AccountSid,
    phone_number_type: &'static str,
    date_created: Iso,
    country: &'static str,
    missing_required_fields: bool,
    last_updated: Iso,
    phone_number: E164,
    portable: bool,
    not_portability_reason: Null,
    not_portability_reason_code: Null,
    port_in_phone_number_status: String,
    port_out_pin: &'static str,
    rejection_reason: Option<String>,
    rejection_reason_code: Option<u32>,
    port_date: Option<Iso>,
}

fn request_sid(group: &ScenarioGroup) -> String {
    chance::port_request(group.name.as_str())
}

fn number_sid(number: &SimNumber) -> String {
    chance::port_number(number.e164)
}

impl ResourceView<'_> {
    /// The groups that port, with their index.
    fn porting(&self) -> impl Iterator<Item = (usize, &ScenarioGroup)> {
        self.world
            .scenario
            .groups
            .iter()
            .enumerate()
            .filter(|(_, g)| !g.hosted && g.port.as_ref().is_some_and(|p| p.requested))
    }

    fn numbers_in(&self, group: usize) -> impl Iterator<Item = &SimNumber> {
        self.world.numbers.iter().filter(move |n| n.group == group)
    }

    fn ported_of(&self, group: usize) -> usize {
        self.numbers_in(group).filter(|n| n.voice_ported.is_some()).count()
    }

    /// The number's status, in words or as the API's own.
    fn status_of(n: &SimNumber, in_words: bool) -> String {
        let word = match (&n.voice_ported, &n.port_status) {
            (Some(_), _) => "Completed",
            // However the day writes it.
            (None, Some((_, said))) => return said.status.clone(),
            (None, None) => "Pending",
        };
        if in_words { word.to_owned() } else { word.to_lowercase() }
    }

    fn rejection_of(n: &SimNumber) -> (Option<String>, Option<u32>) {
        match (&n.voice_ported, &n.port_status) {
            (None, Some((_, said))) => (said.reason.clone(), said.code),
            (Some(_), _) | (None, None) => (None, None),
        }
    }

    fn changed(&self, n: &SimNumber) -> Time {
        n.voice_ported.or(n.port_status.as_ref().map(|(at, _)| *at)).unwrap_or_else(|| self.long_ago())
    }

    /// The request's: all that its numbers say alike, trouble if one of them has it.
    fn status_of_request(&self, group: usize, in_words: bool) -> String {
        let plain = |n: &SimNumber| Self::status_of(n, false).to_lowercase().replace([' ', '-'], "_");
        let all: Vec<String> = self.numbers_in(group).map(plain).collect();
        let is_over = |s: &String| s == "completed" || s.contains("cancel");
        let word = match all.first() {
            Some(first)
                if ["in_review", "waiting_for_signature", "canceled", "expired"].contains(&first.as_str())
                    && all.iter().all(|s| s == first) =>
            {
                first.as_str()
            }
            _ if all.iter().all(is_over) => "completed",
            _ if all.iter().any(|s| s.contains("reject")) => "action_required",
            _ => "in_progress",
        };
        if !in_words {
            return word.to_owned();
        }
        let capital = |w: &str| w.get(..1).unwrap_or_default().to_uppercase() + w.get(1..).unwrap_or_default();
        word.split('_').map(capital).collect::<Vec<_>>().join(" ")
    }

    /// The date that was agreed upon, if any: the scenario's, whatever has happened since.
    fn port_date(&self, n: &SimNumber) -> Option<Time> {
        let port = self.world.scenario.groups[n.group].port.as_ref()?;
        // A date is there once the old provider has agreed to one.
        let is_agreed = n.port_status.as_ref().is_none_or(|(_, s)| s.status.to_lowercase().contains("pending"));
        if n.voice_ported.is_none() && !is_agreed {
            return None;
        }
        let start = self.world.scenario.start.unwrap_or(Time::EPOCH);
        port.of_rank(n.rank).map(|offset| start + offset).or(n.voice_ported)
    }

    fn last_change(&self, group: usize) -> Time {
        self.numbers_in(group).map(|n| self.changed(n)).max().unwrap_or_else(|| self.long_ago())
    }

    pub fn port_requests(&self) -> ResourceAnswer {
        #[derive(Serialize)]
        struct Meta {
            previous_token: Option<String>,
            next_token: Option<String>,
        }
        #[derive(Serialize)]
        struct List {
            port_in_requests: Vec<RequestLine>,
            meta: Meta,
        }
        let size = match self.query.get("Size").map(str::parse::<usize>) {
            None => 20,
            Some(Ok(size)) if (1..=100).contains(&size) => size,
            Some(_) => return Err(ApiError::bad_request(20001, "Size must be between 1 and 100")),
        };
        let sids: Option<Vec<&str>> = self.query.get("PortInRequestSid").map(|s| s.split(',').collect());
        let status = self.query.get("PortInRequestStatus").map(|s| s.to_lowercase().replace([' ', '-'], "_"));
        let all: Vec<(usize, &ScenarioGroup)> = self
            .porting()
            .filter(|(_, g)| sids.as_ref().is_none_or(|sids| sids.contains(&request_sid(g).as_str())))
            .filter(|(i, _)| status.as_ref().is_none_or(|s| *s == self.status_of_request(*i, false)))
            .collect();
        let begin = match self.query.get("Token") {
            None => 0,
            Some(token) => all
                .iter()
                .position(|(_, g)| request_sid(g) == token)
                .ok_or_else(|| ApiError::bad_request(20001, "Invalid Token"))?,
        };
        let token = |at: usize| all.get(at).map(|(_, g)| request_sid(g));
        let line = |(i, g): &(usize, &ScenarioGroup)| RequestLine {
            port_in_request_sid: request_sid(g),
            port_in_request_status: self.status_of_request(*i, true),
            status_last_updated_timestamp: self.iso(self.last_change(*i)),
            phone_numbers_requested: self.numbers_in(*i).count(),
            phone_numbers_ported: self.ported_of(*i),
            suggested_action: Null,
        };
        one(&List {
            port_in_requests: all.iter().skip(begin).take(size).map(line).collect(),
            meta: Meta {
                previous_token: if begin == 0 { None } else { token(begin.saturating_sub(size)) },
                next_token: token(begin + size),
            },
        })
    }

    fn find_port(&self, sid: &str) -> Result<(usize, &ScenarioGroup), ApiError> {
        self.porting().find(|(_, g)| request_sid(g) == sid).ok_or_else(|| self.not_found())
    }

    pub fn port_request(&self) -> ResourceAnswer {
        let (index, group) = self.find_port(self.route.sid)?;
        let first = self.numbers_in(index).next().ok_or_else(|| self.not_found())?;
        let target = self.port_date(first);
        let line = |n: &SimNumber| NumberLine {
            not_portability_reason: Null,
            not_portability_reason_code: Null,
            number_type: "LOCAL",
            phone_number: n.e164,
            port_date: self.port_date(n).map(|t| self.iso(t)),
            port_in_phone_number_sid: number_sid(n),
            port_in_phone_number_status: Self::status_of(n, true),
            portable: true,
            rejection_reason: Self::rejection_of(n).0,
            rejection_reason_code: Self::rejection_of(n).1.map(|code| code.to_string()),
            status_last_time_updated_timestamp: self.iso(self.changed(n)),
            external_porting_vendor_phone_number_id: Null,
        };
        one(&RequestBody {
            url: format!("{}/v1/Porting/PortIn/{}", self.base, request_sid(group)),
            port_in_request_sid: request_sid(group),
            account_sid: self.account(),
            notification_emails: ["oncall@example.com"],
            target_port_in_date: target.map(|t| self.iso(t).to_string().chars().take(10).collect()),
            target_port_in_time_range_start: target.map(|_| "00:00:00Z"),
            target_port_in_time_range_end: target.map(|_| "23:59:59Z"),
            port_in_request_status: self.status_of_request(index, false),
            order_cancellation_reason: Null,
            losing_carrier_information: LosingCarrier {
                customer_name: "Example Company",
                account_number: "100200300",
                account_telephone_number: first.e164,
                address_sid: format!("AD{:032x}", chance::sid("AD", "office")),
                address: Address {
                    street: "1 Main Street",
                    street_2: "",
                    city: "Springfield",
                    state: "NY",
                    zip: "10001",
                    country: "US",
                },
                authorized_representative: "A. Person",
                authorized_representative_email: "oncall@example.com",
                customer_type: "Business",
                authorized_representative_katakana: "",
                sub_municipality: "",
                building: "",
                katakana_name: "",
            },
            phone_numbers: self.numbers_in(index).map(line).collect(),
            bundle_sid: Null,
            portability_advance_carrier: Null,
            auto_cancel_approval_numbers: Null,
            documents: [format!("RD{:032x}", chance::sid("RD", group.name.as_str()))],
            date_created: self.iso(self.long_ago()),
            support_ticket_id: 100_001 + index as u32,
            signature_request_url: Null,
        })
    }

    pub fn port_number(&self) -> ResourceAnswer {
        let (index, group) = self.find_port(self.route.parent)?;
        let found = self.numbers_in(index).find(|n| number_sid(n) == self.route.sid);
        let n = found.ok_or_else(|| self.not_found())?;
        let request = request_sid(group);
        one(&NumberBody {
            url: format!("{}/v1/Porting/PortIn/{request}/PhoneNumber/{}", self.base, number_sid(n)),
            port_in_request_sid: request,
            phone_number_sid: number_sid(n),
            account_sid: self.account(),
            phone_number_type: "LOCAL",
            date_created: self.iso(self.long_ago()),
            country: "US",
            missing_required_fields: false,
            last_updated: self.iso(self.changed(n)),
            phone_number: n.e164,
            portable: true,
            not_portability_reason: Null,
            not_portability_reason_code: Null,
            port_in_phone_number_status: Self::status_of(n, false),
            port_out_pin: "47110815",
            rejection_reason: Self::rejection_of(n).0,
            rejection_reason_code: Self::rejection_of(n).1,
            port_date: self.port_date(n).map(|t| self.iso(t)),
        })
    }

    /// Whether a number could be ported to this account.
    pub fn portability(&self) -> ResourceAnswer {
        #[derive(Serialize)]
        struct PortabilityBody {
            phone_number: E164,
            account_sid: Option<AccountSid>,
            portable: bool,
            pin_and_account_number_required: Option<bool>,
            not_portable_reason: Option<&'static str>,
            not_portable_reason_code: Option<u32>,
            number_type: &'static str,
            country: &'static str,
            url: String,
        }
        let text = self.route.sid.replace("%2B", "+").replace("%2b", "+");
        let number = text.parse::<E164>().map_err(|_| self.not_found())?;
        let ours = self.world.number_of(number).map(|i| &self.world.numbers[i as usize]);
        let reason = match ours {
            Some(n) if n.voice_ported.is_some() || n.is_listed(self.world.now) => {
                Some(("PHONE_NUMBER_ALREADY_IN_ACCOUNT", 22_131))
            }
            Some(_) => Some(("PORT_IN_PROGRESS", 22_137)),
            None if number.is_toll_free() => Some(("MANUAL_PORTING_AVAILABLE", 22_133)),
            None => None,
        };
        one(&PortabilityBody {
            phone_number: number,
            account_sid: ours.map(|_| self.account()),
            portable: reason.is_none(),
            pin_and_account_number_required: reason.is_none().then_some(true),
            not_portable_reason: reason.map(|(words, _)| words),
            not_portable_reason_code: reason.map(|(_, code)| code),
            number_type: if number.is_toll_free() { "TOLL-FREE" } else { "LOCAL" },
            country: "US",
            url: format!("{}/v1/Porting/Portability/PhoneNumber/{number}", self.base),
        })
    }
}
