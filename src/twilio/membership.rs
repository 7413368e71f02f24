//! Which Messaging Service a number is in: looked up for one number, and changed.
//!
//! A number is in one service at the most, and Twilio refuses a second (21712) as it refuses the same again (21710): so
//! none is ever moved out of a service by being put into another. Taking it out names the service and the number's
//! place in it; the number itself stays in the account.

use serde::Deserialize;

use super::gate::Gate;
use super::host::Product;
use super::{Client, Error, ErrorKind, UnansweredWrite, endpoint};
use crate::core::model::id::{NumberSid, ServiceSid};

/// The number is in this service already.
pub const ALREADY_IN_IT: u32 = 21_710;

#[derive(Deserialize)]
struct RawMember {
    sid: String,
    service_sid: String,
}

/// Fails if the answer is of another number or service.
fn member(body: &[u8], service: ServiceSid, number: NumberSid) -> Result<(), String> {
    let raw: RawMember = serde_json::from_slice(body).map_err(|e| e.to_string())?;
    let is_it = raw.sid.parse() == Ok(number) && raw.service_sid.parse() == Ok(service);
    if is_it { Ok(()) } else { Err("it is of another number or service than was asked for".to_owned()) }
}

impl Client {
    /// Whether a number is in this service. A 404 without its code is a proxy's that may not know.
    pub async fn is_member(&self, service: ServiceSid, number: NumberSid) -> Result<bool, Error> {
        let path = format!("/v1/Services/{service}/PhoneNumbers/{number}");
        let read = |body: &[u8]| member(body, service, number);
        let product = Product::Messaging;
        match self.transport.read(self.precedence, endpoint::FETCH_SERVICE_NUMBER, product, &path, read).await {
            Ok(()) => Ok(true),
            Err(error) if error.kind == ErrorKind::NotFound && error.code == Some(20_404) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Puts a number into a service, once, if `gate` lets it. An error that
    /// [`Error::is_ambiguous`] leaves open whether it happened.
    pub async fn join_service<G: Gate>(
        &self,
        service: ServiceSid,
        number: NumberSid,
        gate: G,
    ) -> Result<(), UnansweredWrite<G::Stop>> {
        let path = format!("/v1/Services/{service}/PhoneNumbers");
        let form = [("PhoneNumberSid", number.to_string())];
        let read = |body: &[u8]| member(body, service, number);
        self.transport.write(endpoint::JOIN_SERVICE, Product::Messaging, &path, &form, gate, read).await
    }

    /// Takes a number out of a service, in the same way.
    pub async fn leave_service<G: Gate>(
        &self,
        service: ServiceSid,
        number: NumberSid,
        gate: G,
    ) -> Result<(), UnansweredWrite<G::Stop>> {
        self.transport.leave_service(endpoint::LEAVE_SERVICE, service, number, gate).await
    }
}
