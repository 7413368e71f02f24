//! The API's own faults as one request meets them.

use std::time::Duration;

use super::error::ApiError;
use super::route::EndpointClass;
use crate::sim::chance::Chance;
use crate::sim::fault::ApiFaultKind;
use crate::sim::world::World;

/// How far Twilio's clock goes wrong, when it does.
const SKEW: Duration = Duration::from_secs(3600);

/// The faults that a request meets, how long each takes, and its code.
pub struct RequestFaults(Vec<(ApiFaultKind, Duration, u32)>);

/// How an answer reaches the client.
pub enum TroubledAnswer {
    Whole,
    /// Not within this time.
    Never(Duration),
    Cut,
    Slow(Duration),
    /// Not even a status line.
    Abort,
}

impl RequestFaults {
    pub fn of(world: &World, class: EndpointClass, luck: &mut Chance) -> RequestFaults {
        let at_work = world.faults.iter().filter(|f| f.fault.on.meets(class) && f.at_work(world.now));
        let is_dropped = |kind| kind == ApiFaultKind::Late && class != EndpointClass::NumberUpdate;
        let kind = |kind| if is_dropped(kind) { ApiFaultKind::Drop } else { kind };
        let met = at_work.filter(|f| luck.hits(f.fault.share));
        RequestFaults(met.map(|f| (kind(f.fault.kind), f.fault.takes, f.fault.code)).collect())
    }

    pub fn has(&self, kind: ApiFaultKind) -> bool {
        self.takes(kind).is_some()
    }

    pub fn takes(&self, kind: ApiFaultKind) -> Option<Duration> {
        self.0.iter().find(|(k, ..)| *k == kind).map(|(_, takes, _)| *takes)
    }

    /// Why the request with this query is not processed at all, if it is not.
    pub fn refusal(&self, query: Option<&str>) -> Option<ApiError> {
        let is_later = query.is_some_and(|q| q.contains("PageToken="));
        let refuse = |kind, code| {
            Some(match kind {
                ApiFaultKind::Drop | ApiFaultKind::Unavailable => ApiError::foreign(503, ""),
                ApiFaultKind::TooMany => ApiError::too_many(),
                ApiFaultKind::ServerError => ApiError::new(500, 20500, "An internal server error has occurred"),
                ApiFaultKind::BadGateway => {
                    ApiError::foreign(502, "<html><head><title>502 Bad Gateway</title></head></html>")
                }
                ApiFaultKind::Unauthorized => ApiError::authenticate(),
                ApiFaultKind::Refuse => ApiError::bad_request(code, "This account may not do that"),
                ApiFaultKind::LaterPages if is_later => ApiError::bad_request(20001, "Page token is invalid"),
                ApiFaultKind::LaterPages
                | ApiFaultKind::Hang
                | ApiFaultKind::Late
                | ApiFaultKind::Cut
                | ApiFaultKind::Slow
                | ApiFaultKind::Truncated
                | ApiFaultKind::BadRow
                | ApiFaultKind::Unknown
                | ApiFaultKind::Stall
                | ApiFaultKind::Skew
                | ApiFaultKind::Ineffective => return None,
            })
        };
        self.0.iter().find_map(|(kind, _, code)| refuse(*kind, *code))
    }

    /// What becomes of the answer on its way.
    pub fn delivery(&self) -> TroubledAnswer {
        if self.has(ApiFaultKind::Drop) || self.has(ApiFaultKind::Late) {
            TroubledAnswer::Abort
        } else if let Some(takes) = self.takes(ApiFaultKind::Hang) {
            TroubledAnswer::Never(takes)
        } else if self.has(ApiFaultKind::Cut) {
            TroubledAnswer::Cut
        } else if let Some(takes) = self.takes(ApiFaultKind::Slow) {
            TroubledAnswer::Slow(takes)
        } else {
            TroubledAnswer::Whole
        }
    }

    /// By how much Twilio's clock is ahead.
    pub fn skew(&self) -> Duration {
        if self.has(ApiFaultKind::Skew) { SKEW } else { Duration::ZERO }
    }

    /// Makes of a good answer the one that is sent.
    pub fn spoil(&self, body: &mut Vec<u8>, luck: &mut Chance) {
        if self.has(ApiFaultKind::BadRow) {
            change_a_row(body, luck, |row| {
                row.insert("sid".into(), serde_json::Value::Null);
                row.insert("date_created".into(), "yesterday".into());
            });
        }
        if self.has(ApiFaultKind::Unknown) {
            change_a_row(body, luck, |row| {
                row.insert("brand_new_field".into(), serde_json::json!({ "depth": 1 }));
                for name in ["status", "log_level", "log", "port_in_request_status"] {
                    if row.contains_key(name) {
                        row.insert(name.into(), "quantum".into());
                    }
                }
            });
        }
        if self.has(ApiFaultKind::Truncated) {
            body.truncate(body.len() / 2);
        }
    }
}

type JsonMap = serde_json::Map<String, serde_json::Value>;

/// Changes one row of a page, or the one resource.
fn change_a_row(body: &mut Vec<u8>, luck: &mut Chance, change: impl FnOnce(&mut JsonMap)) {
    let Ok(mut json) = serde_json::from_slice::<serde_json::Value>(body) else { return };
    let Some(map) = json.as_object_mut() else { return };
    let row = match map.values_mut().find_map(|v| v.as_array_mut()) {
        Some(rows) => {
            let count = rows.len() as u64;
            rows.get_mut(luck.below(count) as usize).and_then(|r| r.as_object_mut())
        }
        None => Some(map),
    };
    if let Some(row) = row {
        change(row);
    }
    if let Ok(changed) = serde_json::to_vec(&json) {
        *body = changed;
    }
}
