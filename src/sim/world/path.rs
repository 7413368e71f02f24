//! From what a number's record names to the URLs that Twilio would ask, all references followed.

use super::World;
use crate::sim::number::{MessageRoute, SimNumber, SimNumberRecord, VoiceRoute};
use crate::sim::text::TextPath;
use crate::sim::voice::VoicePath;

impl World {
    /// Trunk, application or URL: whoever Twilio would ask about a call.
    pub fn voice_path(&self, n: &SimNumber) -> VoicePath {
        let routing = &self.scenario.groups[n.group].routing;
        let record = if routing.voice_region == "us1" {
            n.record.voice_route()
        } else {
            // What was set up in the other region, which this region's API does not change.
            SimNumberRecord::new(n.e164, routing, n.record.created).voice_route()
        };
        match record {
            VoiceRoute::Fax => VoicePath::Fax,
            VoiceRoute::Nobody => VoicePath::Nobody,
            VoiceRoute::Urls { primary, fallback } => VoicePath::Urls { primary, fallback },
            VoiceRoute::Application(sid) => match self.scenario.applications.iter().find(|a| a.sid == sid) {
                Some(a) if !a.voice_url.is_empty() => {
                    VoicePath::Urls { primary: a.voice_url.clone(), fallback: a.voice_fallback_url.clone() }
                }
                _ => VoicePath::Nobody,
            },
            VoiceRoute::Trunk(sid) => match self.scenario.trunks.iter().position(|t| t.sid == sid) {
                Some(i) => VoicePath::Trunk {
                    index: i as u16,
                    url: self.scenario.trunks[i].origination_url.clone(),
                    recovery: self.scenario.trunks[i].disaster_recovery_url.clone(),
                },
                None => VoicePath::Nobody,
            },
        }
    }

    /// A Messaging Service comes first, unless it defers to the number.
    pub fn text_path(&self, n: &SimNumber) -> TextPath {
        let service = self.scenario.services.iter().position(|s| Some(s.sid) == n.service);
        if let Some(i) = service.filter(|i| !self.scenario.services[*i].use_inbound_webhook_on_number) {
            let s = &self.scenario.services[i];
            return match &s.inbound_request_url {
                None => TextPath::Vanishes,
                Some(url) => TextPath::Urls {
                    primary: url.clone(),
                    fallback: s.fallback_url.clone().unwrap_or_default(),
                    service: Some(i as u16),
                },
            };
        }
        let routing = &self.scenario.groups[n.group].routing;
        let record = if routing.messaging_region == "us1" {
            n.record.message_route()
        } else {
            SimNumberRecord::new(n.e164, routing, n.record.created).message_route()
        };
        match record {
            MessageRoute::Urls { primary, fallback } => TextPath::Urls { primary, fallback, service: None },
            MessageRoute::Application(sid) => match self.scenario.applications.iter().find(|a| a.sid == sid) {
                Some(a) if !a.sms_url.is_empty() => {
                    TextPath::Urls { primary: a.sms_url.clone(), fallback: a.sms_fallback_url.clone(), service: None }
                }
                _ => TextPath::Nobody,
            },
            MessageRoute::Nobody => TextPath::Nobody,
        }
    }
}
