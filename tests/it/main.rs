//! One test binary: everything that is tested through an outer door.

#![allow(clippy::unwrap_used)] // A test that panics has failed, as it should.

mod agent;
mod alerts;
mod audio;
mod config;
mod control;
mod day;
mod detector;
mod evidence;
mod execute;
mod explain;
mod faults;
mod field;
mod guards;
mod hands;
mod histories;
mod incidents;
mod kill;
mod kill_drill;
mod kill_run;
mod layers;
mod log_lines;
mod metrics;
mod notices;
mod orders;
mod polling;
mod prism;
mod privacy;
mod probe_restart;
mod probe_trouble;
mod probes;
mod recordings;
mod rehearse;
mod replay;
mod simulate;
mod store;
mod suspicion;
mod verbs;
mod words;
mod world;
