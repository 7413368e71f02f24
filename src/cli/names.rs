//! Arguments that are one of several names: shells complete them, and a wrong one is answered by the command itself.

use std::ffi::OsStr;

use clap::builder::{PossibleValue, TypedValueParser};
use clap::{Arg, Command, Error};

/// Takes any text, and lets shells know of the right ones.
#[derive(Clone)]
pub struct OneOf(pub fn() -> Vec<(&'static str, &'static str)>);

impl TypedValueParser for OneOf {
    type Value = String;

    fn parse_ref(&self, _: &Command, _: Option<&Arg>, value: &OsStr) -> Result<String, Error> {
        Ok(value.to_string_lossy().into_owned())
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new((self.0)().into_iter().map(|(name, about)| PossibleValue::new(name).help(about))))
    }
}
