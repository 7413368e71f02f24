//! Numbers that are put into Messaging Services, and taken out of them.

use super::error::ApiError;
use super::page::Query;
use super::route::{EndpointClass, Route};
use super::view::{ResourceAnswer, ResourceView, one};
use crate::core::model::id::{NumberSid, ServiceSid};
use crate::sim::number::{SimEffect, Update};
use crate::sim::row::AuditActor;
use crate::sim::truth::TimelineMark;
use crate::sim::world::World;

/// Does what the request asks, if `is_real`. Gives the number, where it is in a service now.
pub fn act(
    world: &mut World,
    route: Route<'_>,
    path: &str,
    form: &Query,
    is_real: bool,
) -> Result<Option<(u32, ServiceSid)>, ApiError> {
    let not_found = || ApiError::not_found(path);
    let service = route.parent.parse::<ServiceSid>().ok();
    let service = service.filter(|sid| world.scenario.services.iter().any(|s| s.sid == *sid)).ok_or_else(not_found)?;
    let is_create = route.class == EndpointClass::ServiceNumberCreate;
    let named = if is_create { form.get("PhoneNumberSid").unwrap_or_default() } else { route.sid };
    let number = named.parse::<NumberSid>().ok().and_then(|sid| world.number_with(sid));
    let number = number.filter(|n| world.numbers[*n as usize].is_listed(world.now)).ok_or_else(not_found)?;
    match (is_create, world.numbers[number as usize].service) {
        (true, Some(is)) if is == service => {
            Err(ApiError::new(409, 21710, "Phone Number or Short Code is already in the Messaging Service."))
        }
        (true, Some(_)) => {
            Err(ApiError::new(409, 21712, "Phone Number or Short Code is associated with another Messaging Service."))
        }
        (true, None) => {
            if is_real {
                world.move_to_service(number, Some(service));
            }
            Ok(Some((number, service)))
        }
        (false, Some(is)) if is == service => {
            if is_real {
                world.move_to_service(number, None);
            }
            Ok(None)
        }
        (false, _) => Err(not_found()),
    }
}

impl ResourceView<'_> {
    /// What is answered: the row of a number that is in a service now, and nothing of one that is in none.
    pub fn membership(&self, done: Option<(u32, ServiceSid)>) -> ResourceAnswer {
        match done {
            Some((number, service)) => one(&self.member(service, &self.world.numbers[number as usize])),
            None => Ok(Vec::new()),
        }
    }
}

impl World {
    /// A number is in this Messaging Service from now on, or in none. Its own record stays as it is.
    fn move_to_service(&mut self, number: u32, service: Option<ServiceSid>) {
        let n = &mut self.numbers[number as usize];
        let (from, e164) = (std::mem::replace(&mut n.service, service), n.e164);
        let text = |sid: Option<ServiceSid>| sid.map_or(String::new(), |sid| sid.to_string());
        let changes = vec![("messaging_service_sid", text(from), text(service))];
        let update = Update { number: e164, by: AuditActor::Api, effect: SimEffect::Real, changes };
        self.ledger.mark(self.now, TimelineMark::Updated(update));
    }
}
