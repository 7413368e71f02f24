//! What is posted when something becomes of a port: the keys that three independent consumers read, for Twilio
//! documents none. Of what nobody fetches only the latest is kept.

use std::collections::VecDeque;

use super::World;
use crate::core::model::id::E164;
use crate::core::model::time::Time;
use crate::sim::chance;
use crate::sim::number::SimNumber;
use serde::Serialize;

/// What is kept for whoever posts it: a day's worth of a large account.
const KEPT: usize = 10_000;

/// What has become of one port, as it is posted.
#[derive(Clone, Debug, Serialize)]
pub struct PortWebhook {
    port_in_request_sid: String,
    port_in_phone_number_sid: String,
    phone_number: E164,
    status: String,
    last_date_updated: Time,
    portable: bool,
    rejection_reason: Option<String>,
    rejection_reason_code: Option<u32>,
    port_date: Option<Time>,
}

/// What waits to be posted.
#[derive(Debug, Default)]
pub struct PortWebhooks(VecDeque<PortWebhook>);

impl PortWebhooks {
    /// Something has become of this number's port.
    pub fn push(&mut self, now: Time, request: String, sid: String, n: &SimNumber) {
        let said = n.port_status.as_ref().map(|(_, said)| said);
        let status = if n.voice_ported.is_some() {
            "PortInPhoneNumberCompleted".to_owned()
        } else {
            said.map_or_else(|| "pending".to_owned(), |s| s.status.clone())
        };
        while self.0.len() >= KEPT {
            self.0.pop_front();
        }
        self.0.push_back(PortWebhook {
            port_in_request_sid: request,
            port_in_phone_number_sid: sid,
            phone_number: n.e164,
            status,
            last_date_updated: now,
            portable: true,
            rejection_reason: said.and_then(|s| s.reason.clone()),
            rejection_reason_code: said.and_then(|s| s.code),
            port_date: n.voice_ported,
        });
    }
}

impl World {
    /// What has become of ports since the last time.
    pub fn take_port_webhooks(&mut self) -> Vec<PortWebhook> {
        self.port_webhooks.0.drain(..).collect()
    }

    /// Something has become of this number's port.
    pub fn port_rings(&mut self, number: usize) {
        let n = &self.numbers[number];
        let group = &self.scenario.groups[n.group];
        if group.port.as_ref().is_some_and(|p| p.requested) {
            let (request, sid) = (chance::port_request(group.name.as_str()), chance::port_number(n.e164));
            self.port_webhooks.push(self.now, request, sid, n);
        }
    }
}
