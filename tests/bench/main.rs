//! Benchmarks, side by side in one run, as ratios: `cargo bench`, or `cargo bench -- ingest`.
//!
//! * `ingest`: calls a second from HTTP to settled outcome, beside Twilio's own Python SDK on the same
//!   pages from the same server, and beside parsing the same bytes and nothing else.
//! * `memory`: 10,000 numbers and 1,000,000 calls in the window.
//! * `scrape`: `/metrics` at 10,000 numbers, and what a scrape every second does to the engine's tick.
//! * `replay`: a recorded log of 2,000 numbers, beside parsing it and nothing else, short and long.
//! * `catch_up`: 500,000 calls that an outage has kept from us, all at once: the slowest turn of the control task.
//! * `swap`: 1,000 numbers against 100 ms latency and a hidden limit of 20 requests at once, in
//!   virtual time, beside the ideal 5 s.
//!
//! The SDK is found where `tests/all` has put it.
//!
//! `cargo bench -- ratchet` measures the ratios that have a limit in `limits.toml`, and fails where one has become
//! worse by half.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // A bench that panics has failed, and it prints.

mod catch_up;
mod ingest;
mod ratchet;
mod replay;
mod scale;
mod swap;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    if wanted.iter().any(|w| w == "ratchet") {
        return ratchet::ratchet();
    }
    let all: [(&str, fn()); 6] = [
        ("ingest", ingest::ingest),
        ("replay", replay::replay),
        ("memory", scale::memory),
        ("scrape", scale::scrape),
        ("catch_up", catch_up::catch_up),
        ("swap", swap::swap),
    ];
    for (name, bench) in all {
        if wanted.is_empty() || wanted.iter().any(|w| w == name) {
            println!("\n{name}");
            bench();
        }
    }
}
