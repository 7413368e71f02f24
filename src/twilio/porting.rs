//! Port requests, as the Porting API tells of them. Reads only: there is no way here to make, change or withdraw one.
//!
//! A request's answer also has the losing carrier's account, address and PIN. None of these is a field of what is read
//! here, so that none can be printed; of a refusal in somebody's own words only the reason is kept.

use std::collections::HashSet;

use serde::Deserialize;

use super::error::{Error, ErrorKind};
use super::host::Product;
use super::pager::not_to_be_followed;
use super::wire::{PageRows, Text, date};
use super::{Client, endpoint, query};
use crate::core::model::bounds;
use crate::core::model::facts::{LARGEST_PORT, LARGEST_PORT_PAGE};
use crate::core::model::foreign::Line;
use crate::core::model::id::{AccountSid, E164, PortRequestSid};
use crate::core::model::redact::told;
use crate::core::model::roster::Roster;
use crate::core::model::time::Time;
use crate::core::port::news::{PortFound, PortState};
use crate::core::port::prepare::{NumberType, PortabilityAnswer};
use crate::core::port::rejection::Rejection;
use crate::core::port::status::{PortStatus, Progress};

/// Pages of the list of requests, at the most: 20,000 requests are more than a company makes.
const PAGES: usize = 200;

/// Numbers whose status their request does not say, and which are asked for one by one with each look.
const ASKED_SINGLY: usize = 50;

/// A port request, as the list has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortRequestLine {
    pub sid: PortRequestSid,
    pub status: PortStatus,
    pub changed: Option<Time>,
}

/// A number of a request whose status is not said there: its own address has it.
pub struct Unsaid {
    sid: String,
    number: E164,
}

#[derive(Deserialize)]
struct RawList<'a> {
    #[serde(borrow)]
    port_in_requests: PageRows<RawLine<'a>>,
    #[serde(borrow, default)]
    meta: RawMeta<'a>,
}

#[derive(Default, Deserialize)]
struct RawMeta<'a> {
    #[serde(borrow, default)]
    next_token: Text<'a>,
}

#[derive(Deserialize)]
struct RawLine<'a> {
    #[serde(borrow)]
    port_in_request_sid: Text<'a>,
    #[serde(borrow, default)]
    port_in_request_status: Text<'a>,
    #[serde(borrow, default)]
    status_last_updated_timestamp: Text<'a>,
}

#[derive(Deserialize)]
struct RawRequest<'a> {
    #[serde(borrow)]
    port_in_request_sid: Text<'a>,
    #[serde(borrow, default)]
    account_sid: Text<'a>,
    #[serde(borrow, default)]
    port_in_request_status: Text<'a>,
    #[serde(borrow, default)]
    support_ticket_id: Text<'a>,
    #[serde(borrow)]
    phone_numbers: PageRows<RawPorting<'a>>,
}

/// A number, in either of the API's two forms: within its request, or by itself.
#[derive(Deserialize)]
struct RawPorting<'a> {
    #[serde(borrow)]
    phone_number: Text<'a>,
    #[serde(borrow, default)]
    port_in_phone_number_sid: Text<'a>,
    #[serde(borrow, default)]
    port_in_phone_number_status: Text<'a>,
    #[serde(borrow, default)]
    rejection_reason: Text<'a>,
    #[serde(borrow, default)]
    rejection_reason_code: Text<'a>,
    #[serde(borrow, default)]
    not_portability_reason: Text<'a>,
    #[serde(borrow, default)]
    not_portability_reason_code: Text<'a>,
    #[serde(borrow, default)]
    port_date: Text<'a>,
    #[serde(borrow, default)]
    status_last_time_updated_timestamp: Text<'a>,
    #[serde(borrow, default)]
    last_updated: Text<'a>,
}

#[derive(Deserialize)]
struct RawPortability<'a> {
    #[serde(borrow, default)]
    phone_number: Text<'a>,
    #[serde(default)]
    portable: Option<bool>,
    #[serde(default)]
    pin_and_account_number_required: Option<bool>,
    #[serde(borrow, default)]
    not_portable_reason: Text<'a>,
    #[serde(borrow, default)]
    not_portable_reason_code: Text<'a>,
    #[serde(borrow, default)]
    number_type: Text<'a>,
}

/// A date where it can be read; what cannot is not said.
fn optional(text: &Text<'_>) -> Option<Time> {
    text.get().and_then(|t| date(t).ok())
}

fn number_in(text: &Text<'_>) -> Option<u32> {
    text.get().and_then(|t| t.trim().parse().ok())
}

impl RawPorting<'_> {
    fn state(&self, ours: &Roster) -> PortState {
        let due = optional(&self.port_date);
        let word = self.port_in_phone_number_status.get().unwrap_or_default();
        let status = PortStatus::read(word, due);
        let is_unknown = status == PortStatus::Unknown && !word.is_empty();
        let reason = |code: &Text<'_>, words: &Text<'_>| Rejection::read(number_in(code), words.get());
        let rejection = reason(&self.rejection_reason_code, &self.rejection_reason)
            .or_else(|| reason(&self.not_portability_reason_code, &self.not_portability_reason));
        PortState {
            status,
            date: due,
            rejection: rejection.filter(|_| status.progress() != Progress::Done),
            word: is_unknown.then(|| Line::new(&told(word, ours))),
            since: optional(&self.status_last_time_updated_timestamp).or_else(|| optional(&self.last_updated)),
            request: None,
            ticket: None,
            is_hosted: false,
        }
    }
}

fn shape<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, String> {
    // What the library quotes of a wrong value may be the losing carrier's.
    serde_json::from_slice(body)
        .map_err(|e| format!("line {}, column {}: not as Twilio writes it", e.line(), e.column()))
}

/// A page of the list: `None` for a request without a SID, by which it could be asked for.
pub fn list(body: &[u8]) -> Result<(Vec<Option<PortRequestLine>>, Option<String>), String> {
    let raw: RawList<'_> = shape(body)?;
    let line = |r: &RawLine<'_>| {
        Some(PortRequestLine {
            sid: r.port_in_request_sid.get()?.parse().ok()?,
            status: PortStatus::read(r.port_in_request_status.get().unwrap_or_default(), None),
            changed: optional(&r.status_last_updated_timestamp),
        })
    };
    let rows = raw.port_in_requests.0.iter().map(line).collect();
    Ok((rows, raw.meta.next_token.get().map(str::to_owned)))
}

/// The numbers of a request that can be told, and those of which it says too little.
pub fn request(
    body: &[u8],
    sid: PortRequestSid,
    account: AccountSid,
    ours: &Roster,
) -> Result<(Vec<PortFound>, Vec<Unsaid>), String> {
    let raw: RawRequest<'_> = shape(body)?;
    if raw.port_in_request_sid.get().and_then(|t| t.parse().ok()) != Some(sid) {
        return Err("it is of another request".to_owned());
    }
    if raw.account_sid.get().and_then(|t| t.parse::<AccountSid>().ok()).is_some_and(|other| other != account) {
        return Err("it is of another account".to_owned());
    }
    let of_request = PortStatus::read(raw.port_in_request_status.get().unwrap_or_default(), None);
    let ticket = number_in(&raw.support_ticket_id).map(u64::from);
    let (mut found, mut unsaid) = (Vec::new(), Vec::new());
    for row in &raw.phone_numbers.0 {
        // A number that is none is nobody's of ours.
        let Some(number) = row.phone_number.get().and_then(|t| t.parse::<E164>().ok()) else { continue };
        let own = row.state(ours);
        if row.port_in_phone_number_status.get().is_none()
            && let Some(sid) =
                row.port_in_phone_number_sid.get().filter(|s| s.bytes().all(|b| b.is_ascii_alphanumeric()))
        {
            unsaid.push(Unsaid { sid: sid.to_owned(), number });
        }
        let status = own.status.within(of_request);
        found.push(PortFound { number, state: PortState { status, request: Some(sid), ticket, ..own } });
    }
    Ok((found, unsaid))
}

impl Client {
    /// The account's port requests, to the end of the list, and what is wrong with those that have no SID.
    pub async fn port_requests(&self) -> Result<(Vec<PortRequestLine>, Option<Error>), Error> {
        let (mut lines, mut seen, mut token) = (Vec::new(), HashSet::new(), None::<String>);
        let mut bad = 0;
        for _ in 0..PAGES {
            let size = LARGEST_PORT_PAGE.to_string();
            let mut asked = vec![("Size", size.as_str())];
            asked.extend(token.as_deref().map(|t| ("Token", t)));
            let path = format!("/v1/Porting/PortIn/PortInRequests?{}", query(&asked));
            let (rows, next) = self
                .transport
                .read(self.precedence, endpoint::LIST_PORT_REQUESTS, Product::Numbers, &path, list)
                .await?;
            bad += rows.iter().filter(|row| row.is_none()).count();
            lines.extend(rows.into_iter().flatten());
            match next {
                None => {
                    let problem = || format!("{bad} of its requests have no SID by which they could be asked for");
                    return Ok((lines, (bad > 0).then(|| not_to_be_followed(endpoint::LIST_PORT_REQUESTS, problem()))));
                }
                Some(next) if !seen.insert(next.clone()) => {
                    let problem = "a page names one as the next that was read before".to_owned();
                    return Err(not_to_be_followed(endpoint::LIST_PORT_REQUESTS, problem));
                }
                Some(next) => token = Some(next),
            }
        }
        Err(not_to_be_followed(endpoint::LIST_PORT_REQUESTS, "the list does not end".to_owned()))
    }

    /// The numbers of a request and how far each is. A number whose status the request does not say is asked for by
    /// itself; one of which that fails is left out, and why is said.
    pub async fn port_request(
        &self,
        sid: PortRequestSid,
        ours: &Roster,
    ) -> Result<(Vec<PortFound>, Option<Error>), Error> {
        let path = format!("/v1/Porting/PortIn/{sid}");
        let account = self.account();
        let read = |body: &[u8]| request(body, sid, account, ours);
        let (mut found, unsaid) =
            self.transport.read(self.precedence, endpoint::FETCH_PORT_REQUEST, Product::Numbers, &path, read).await?;
        found.truncate(LARGEST_PORT);
        let mut failed = None;
        for Unsaid { sid: of, number } in unsaid.into_iter().take(ASKED_SINGLY) {
            let path = format!("/v1/Porting/PortIn/{sid}/PhoneNumber/{of}");
            let read = |body: &[u8]| {
                let raw: RawPorting<'_> = shape(body)?;
                if raw.phone_number.get().and_then(|t| t.parse().ok()) != Some(number) {
                    return Err("it is of another number".to_owned());
                }
                Ok(raw.state(ours))
            };
            let endpoint = endpoint::FETCH_PORT_NUMBER;
            let state = match self.transport.read(self.precedence, endpoint, Product::Numbers, &path, read).await {
                Ok(state) => state,
                Err(error) => {
                    found.retain(|f| f.number != number);
                    failed = Some(error);
                    continue;
                }
            };
            for known in found.iter_mut().filter(|f| f.number == number) {
                known.state = PortState { request: known.state.request, ticket: known.state.ticket, ..state.clone() };
            }
        }
        Ok((found, failed))
    }

    /// Whether a number could be ported to this account, and what that needs.
    pub async fn portability(&self, number: E164) -> Result<PortabilityAnswer, Error> {
        let path = format!("/v1/Porting/Portability/PhoneNumber/%2B{}", number.to_string().trim_start_matches('+'));
        let read = |body: &[u8]| {
            if body.len() > bounds::RECORD_BYTES {
                return Err("it is longer than any such answer".to_owned());
            }
            let raw: RawPortability<'_> = shape(body)?;
            if raw.phone_number.get().and_then(|t| t.parse::<E164>().ok()).is_some_and(|of| of != number) {
                return Err("it is of another number".to_owned());
            }
            let number_type = NumberType::read(raw.number_type.get().unwrap_or_default());
            let reason = Rejection::read(number_in(&raw.not_portable_reason_code), raw.not_portable_reason.get());
            match (raw.portable, reason) {
                (Some(true), _) => {
                    Ok(PortabilityAnswer::Portable { number_type, needs_pin: raw.pin_and_account_number_required })
                }
                (Some(false), reason) => {
                    let reason = reason.unwrap_or(Rejection::Other);
                    Ok(PortabilityAnswer::NotPortable { number_type, reason })
                }
                (None, _) => Err("it does not say whether the number can be ported".to_owned()),
            }
        };
        self.transport.read(self.precedence, endpoint::FETCH_PORTABILITY, Product::Numbers, &path, read).await
    }
}

/// True if the account may not ask the Porting API, or has none: nothing that passes by itself.
pub const fn is_not_for_us(error: &Error) -> bool {
    matches!(error.kind, ErrorKind::Permission | ErrorKind::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SID: &str = "KW00000000000000000000000000000001";

    fn read(numbers: &str, status: &str) -> Result<(Vec<PortFound>, Vec<Unsaid>), String> {
        let body = format!(
            r#"{{"port_in_request_sid":"{SID}","port_in_request_status":"{status}","support_ticket_id":17,
                "losing_carrier_information":{{"account_number":"100200300","customer_name":"Example"}},
                "phone_numbers":[{numbers}]}}"#
        );
        request(body.as_bytes(), SID.parse().unwrap(), AccountSid::from_u128(1), &Roster::default())
    }

    #[test]
    fn a_request_is_read_in_each_form_and_writing() {
        let (found, unsaid) = read(
            r#"{"phone_number":"+12125550100","port_in_phone_number_status":"port_pending",
                "port_date":"2026-11-21T14:00:00Z","rejection_reason_code":null},
               {"phone_number":"+12125550101","port_in_phone_number_status":"Rejected","rejection_reason_code":"22155",
                "rejection_reason":"PIN 47110815 of account 100200300 is wrong"},
               {"phone_number":"+12125550102","port_in_phone_number_status":"In Review"},
               {"phone_number":"+12125550103","port_in_phone_number_sid":"PU1"},
               {"phone_number":"+12125550104","port_in_phone_number_status":"teleported 4711"},
               {"phone_number":"none"}"#,
            "Action Required",
        )
        .unwrap();
        let said: Vec<_> = found.iter().map(|f| (f.state.status, f.state.rejection)).collect();
        assert_eq!(
            said,
            [
                (PortStatus::DateConfirmed, None),
                (PortStatus::Rejected, Some(Rejection::Pin)),
                (PortStatus::ActionRequired, None),
                (PortStatus::ActionRequired, None),
                (PortStatus::ActionRequired, None),
            ]
        );
        assert_eq!(unsaid.len(), 1);
        assert!(found.iter().all(|f| f.state.ticket == Some(17)));
        let kept = format!("{found:?}{}", serde_json::to_string(&found[1].state).unwrap());
        assert!(!kept.contains("47110815") && !kept.contains("100200300") && !kept.contains("Example"), "{kept}");
    }

    #[test]
    fn what_is_wrong_with_an_answer_says_nothing_of_what_is_in_it() {
        let wrong = read(r#"{"phone_number":["47110815"]}"#, "In Progress").map(|_| ()).unwrap_err();
        assert!(!wrong.contains("47110815"), "{wrong}");
        assert_eq!(list(br#"{"port_in_requests":[{"port_in_request_sid":"KW1"}]}"#).unwrap(), (vec![None], None));
        let page = format!(r#"{{"port_in_requests":[{{"port_in_request_sid":"{SID}"}}],"meta":{{"next_token":"t"}}}}"#);
        let (lines, next) = list(page.as_bytes()).unwrap();
        assert_eq!((lines[0].as_ref().unwrap().status, next.as_deref()), (PortStatus::Unknown, Some("t")));
    }
}
