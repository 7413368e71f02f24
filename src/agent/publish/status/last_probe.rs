//! The latest test call or message of a number, and what it does not prove.

use serde::Serialize;
use utoipa::ToSchema;

use crate::caller::CallerKey;
use crate::core::detect::observation::{Probe, ProbeResult};
use crate::core::model::time::Time;
use crate::core::probe::Origin;

/// What the latest test call or message showed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct LastProbe {
    #[schema(value_type = String)]
    pub started_at: Time,
    #[schema(value_type = Value)]
    pub result: ProbeResult,
    /// Where it came from: `twilio`, another number of the account, or `external`, a command of the user's.
    pub origin: &'static str,
    /// What it does not prove.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caution: Option<&'static str>,
}

/// Of every probe from a number on Twilio.
const ON_NET: &str =
    "from Twilio to Twilio: it may never have left Twilio's network, and proves nothing about the port";

impl LastProbe {
    pub(super) fn of(probe: &Probe) -> LastProbe {
        let is_on_net = probe.origin == CallerKey::public().hash(&Origin::Twilio.name());
        let origin = if is_on_net { Origin::Twilio } else { Origin::External(0) };
        LastProbe {
            started_at: probe.started_at,
            result: probe.result,
            origin: origin.label(),
            caution: is_on_net.then_some(ON_NET),
        }
    }
}
