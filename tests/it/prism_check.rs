//! The same stranger between `ringback check` and the simulator: every request that a check makes, and every answer.
//!
//! Run by `tests/all`, as the other one.

use ringback::check::{Options, REGIONS, check};
use ringback::core::check::facts::ListenFound;
use ringback::core::check::text;
use tokio::task::JoinSet;

use crate::check_traps::CLEAN;
use crate::prism::{Prism, front};
use crate::world::{BIN, play_based, with_prober};

/// With whatever a check asks for more than the numbers have.
const MORE: &str = r#"
[[trunk]]
sid = "TK00000000000000000000000000000001"
friendly_name = "Desk"
origination_url = "sip:desk.example.com"

[standing.toll_free]
"+18005550101" = "PENDING_REVIEW"

[[group]]
name = "desk"
numbers = ["+15005550300", "+18005550101"]
bundle = "BU00000000000000000000000000000001"
traffic = { calls_per_hour = 60, messages_per_hour = 1 }
routing = { trunk = "TK00000000000000000000000000000001", sms_url = "{base}/handlers/sms" }
"#;

/// What must have been asked, beside the numbers and the logs. No description has the rules of webhooks, nor, of this
/// version, the regions of messages.
const WANTED: [&str; 9] = [
    "GET account",
    "GET balance",
    "GET events",
    "GET campaigns",
    "GET brand",
    "GET toll-free",
    "GET bundle",
    "GET dialing-permissions",
    "GET origination-urls",
];

#[test]
#[ignore = "needs Prism, which tests/all installs"]
fn prism_finds_no_violation_of_a_check_in_either_direction() {
    let day = CLEAN.replace("does = \"answer\"", "does = \"forward\"\nto = \"+442079460000\"");
    play_based(&with_prober(&format!("{day}{MORE}")), async |w| {
        let prism = Prism::start(&w.base_url);
        let mut servers = JoinSet::new();
        let url = front(&mut servers, &prism.url, &w.base_url).await;
        // The handlers are asked where they are.
        let text = w.config_text().replace(&format!("base_url = \"{}\"", w.base_url), &format!("base_url = \"{url}\""));
        assert!(text.contains(BIN));
        let options =
            Options { webhooks: true, regions: REGIONS, notify: false, update: true, listen: Ok(ListenFound::Free) };
        let report = check(&w.parse(&text).unwrap(), &w.clock, &options).await.unwrap();
        let violations: Vec<String> = prism.violations();
        assert_eq!(violations, Vec::<String>::new());
        let open: Vec<_> = report.not_looked_at.iter().filter(|n| n.is_needed).collect();
        assert!(open.is_empty(), "{}", text::whole(&report, false));
        let requests = w.sim.stats().requests;
        let missing: Vec<_> = WANTED.into_iter().filter(|kind| !requests.contains_key(*kind)).collect();
        assert_eq!(missing, [""; 0], "{requests:?}");
        println!("no violation: {requests:?}");
    });
}
