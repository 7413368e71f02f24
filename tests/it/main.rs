//! One test binary: everything that is tested through an outer door.

#![allow(clippy::unwrap_used)] // A test that panics has failed, as it should.

mod agent;
mod config;
mod faults;
mod layers;
mod prism;
mod simulate;
mod world;
