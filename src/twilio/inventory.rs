//! Lists of all that an account has, for whoever makes the first configuration. Nothing of it is watched.

use serde_json::value::RawValue;

use super::host::Product;
use super::wire::{self, AccountNumbers, Applications, BadRow, Named, NamedServices};
use super::{Client, Error, Pager, endpoint};
use crate::core::model::facts::{LARGEST_PAGE, LARGEST_SERVICE_PAGE};
use crate::core::model::foreign::Line;
use crate::core::model::id::TrunkSid;
use crate::core::routing::record::{Application, Service};

impl Client {
    /// All of the account's numbers, whoever watches them.
    pub fn account_numbers(&self) -> Pager<'_, AccountNumbers> {
        let path = self.account_path(&format!("IncomingPhoneNumbers.json?PageSize={LARGEST_PAGE}"));
        self.pager(endpoint::LIST_NUMBERS, Product::Api, path)
    }

    /// The TwiML applications, and the rows that could not be read.
    pub async fn applications(&self) -> Result<(Vec<Named<Application>>, Vec<BadRow>), Error> {
        let path = self.account_path(&format!("Applications.json?PageSize={LARGEST_PAGE}"));
        let pager: Pager<'_, Applications> = self.pager(endpoint::LIST_APPLICATIONS, Product::Api, path);
        pager.all().await
    }

    /// The Messaging Services, and the rows that could not be read.
    pub async fn named_services(&self) -> Result<(Vec<Named<Service>>, Vec<BadRow>), Error> {
        let path = format!("/v1/Services?PageSize={LARGEST_SERVICE_PAGE}");
        let pager: Pager<'_, NamedServices> = self.pager(endpoint::LIST_SERVICES, Product::Messaging, path);
        pager.all().await
    }

    /// What a trunk is called.
    pub async fn trunk_name(&self, sid: TrunkSid) -> Result<Line, Error> {
        let path = format!("/v1/Trunks/{sid}");
        let read = self.asked().sid(sid).one(|body| {
            let raw: &RawValue = serde_json::from_slice(body).map_err(|e| e.to_string())?;
            Ok(wire::name(raw))
        });
        self.transport.read(self.precedence, endpoint::FETCH_TRUNK, Product::Trunking, &path, read).await
    }
}
