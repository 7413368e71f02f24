//! A port day for a real Prometheus: played in virtual time and scraped as it goes, into a file that
//! `promtool tsdb create-blocks-from openmetrics` reads. `tests/strangers/dashboards` looks at it through
//! both dashboards; the day has a cause for nearly everything that they can show.

use std::io::Write as _;

use ringback::sim::{ApiFault, ApiFaultKind, ApiFaultScope, HandlerCondition, HandlerState, Scenario};
use serde_json::json;
use tokio::task::JoinSet;

use crate::receiver::{Receiver, webhook};
use crate::world::{BIN, Running, World, play_scenario};

const DAY: &str = include_str!("../scenarios/port-day.toml");
const BIN_OF_DAY: &str = "https://handler.twilio.com/twiml/EH5e1f0000000000000000000000000001";

/// Support is probed, seldom enough that its callers are what decides.
const PROBE: &str = "[group.probe]\nfrom = \"+12125550199\"\nevery = \"5m\"\n";

/// Seconds between scrapes.
const EVERY: u64 = 15;

struct Recorder<'a> {
    out: std::io::BufWriter<std::fs::File>,
    agent: &'a Running,
    world: &'a World,
}

impl Recorder<'_> {
    /// Lets time pass, with a scrape every now and then.
    async fn pass(&mut self, minutes: u64) {
        for _ in 0..minutes * 60 / EVERY {
            self.world.pass(EVERY).await;
            let at = self.world.now().as_secs_f64();
            let (_, text) = self.agent.get("/metrics").await;
            for line in text.lines().filter(|l| !l.starts_with('#')) {
                let (sample, value) = line.rsplit_once(' ').unwrap();
                let who = r#"instance="ringback:9466",job="ringback""#;
                let sample = match sample.split_once('{') {
                    Some((name, labels)) => format!("{name}{{{who},{labels}"),
                    None => format!("{sample}{{{who}}}"),
                };
                // The test's own process says nothing of the day.
                let value = if sample.starts_with("process_start_time") { "1795183190" } else { value };
                writeln!(self.out, "{sample} {value} {at}").unwrap();
            }
        }
    }
}

#[test]
#[ignore = "writes a file for tests/strangers/dashboards, named by RINGBACK_DAY"]
fn a_port_day_for_prometheus() {
    let path = std::env::var("RINGBACK_DAY").expect("RINGBACK_DAY names the file");
    play_scenario(Scenario::parse(DAY).unwrap(), async |w| {
        w.env = [("RINGBACK_TOKEN", "open sesame"), ("HOOK_KEY", "a key")].into();
        let mut servers = JoinSet::new();
        let hook = Receiver::listen(w, &mut servers).await;
        let text = w.config_text().replace(BIN, BIN_OF_DAY).replace("channels =", "port_at = \"unknown\"\nchannels =");
        let (support, others) = text.split_once("\n[[group]]\nname = \"sales\"").unwrap();
        let text = format!("{support}{PROBE}\n[[group]]\nname = \"sales\"{others}{}", webhook("on-call", &hook));
        let agent = w.start_with(&w.parse(&text).unwrap()).await.unwrap();
        let out = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
        let mut day = Recorder { out, agent: &agent, world: w };
        // Numbers port one by one; a storm, a busy lunch; two hours in, support's webhook breaks.
        day.pass(125).await;
        let handler = |url: &str, is| w.sim.set_handler(url, HandlerState::all(is)).unwrap();
        handler("https://app.example.com/support/voice", HandlerCondition::Healthy);
        // Sales breaks while somebody holds it, until the hold is released.
        let hold = json!({"group": "sales", "seconds": 3600, "reason": "we are looking"});
        assert_eq!(agent.post("hold", hold).await.0, 200);
        handler("https://app.example.com/sales/voice", HandlerCondition::Status(502));
        day.pass(15).await;
        let back = json!({"group": "support", "at_once": true, "reason": "the app is back"});
        assert_eq!(agent.post("restore", back).await.0, 200);
        day.pass(5).await;
        assert_eq!(agent.post("release", json!({"group": "sales", "reason": "go on"})).await.0, 200);
        day.pass(15).await;
        // Twilio's API is gone for a while: nothing can be seen.
        let gone =
            ApiFault::new(ApiFaultKind::Unavailable, ApiFaultScope::Reads).lasts(std::time::Duration::from_secs(300));
        w.sim.fault(gone).unwrap();
        day.pass(20).await;
        writeln!(day.out, "# EOF").unwrap();
        day.out.flush().unwrap();
        drop(day);
        assert!(agent.sum("ringback_restores_total", &[r#"result="restored""#]).await > 0.0, "support was restored");
        agent.stop().await;
    });
}
