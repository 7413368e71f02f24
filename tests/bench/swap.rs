use std::collections::HashMap;
use std::time::Duration;

use ringback::agent::Agent;
use ringback::agent::publish::status::RollbackStatus;
use ringback::clock::{Clock, Pace};
use ringback::config::Config;
use ringback::core::model::time::Time;
use ringback::sim::{HandlerCondition, HandlerState, Scenario, Sim};
use tokio::net::TcpListener;

const DAY: &str = r#"
name = "swap"
seed = 1
lasts = "2h"
[api]
latency = ["100ms", "100ms"]
concurrency = 20
[[bin]]
sid = "EH00000000000000000000000000000001"
does = "answer"
[[group]]
name = "all"
first = "+15005550000"
count = 1000
traffic = { calls_per_hour = 10, floor_per_hour = 4, shape = "flat", failure = 0.0 }
routing = { voice_url = "https://app.example.com/voice" }
"#;

/// What it came to, in virtual time: the same on every machine.
pub struct Swap {
    pub numbers: usize,
    pub seconds: f64,
    /// Updates sent, and those of them that met a 429.
    pub updates: f64,
    pub refused: f64,
}

impl Swap {
    pub fn by_ideal(&self) -> f64 {
        self.seconds / 5.0
    }

    pub fn refused_share(&self) -> f64 {
        self.refused / self.updates
    }
}

pub fn swap() {
    let swap = measure();
    println!(
        "  {:.1} s from the decision on {} numbers to the last read-back: {:.2} times the ideal 5 s for the writes alone",
        swap.seconds,
        swap.numbers,
        swap.by_ideal()
    );
    println!("  {} of {} updates met a 429, {:.1} %", swap.refused, swap.updates, 100.0 * swap.refused_share());
}

pub fn measure() -> Swap {
    let scenario = Scenario::parse(DAY).unwrap();
    let clock = Clock::virtual_at(Time::from_secs(1_795_000_000));
    let folder = std::env::temp_dir().join(format!("ringback-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let swap = runtime.block_on(clock.drive(Pace::Free, async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let numbers: Vec<String> = scenario.groups[0].all_numbers().map(|n| format!("\"{n}\"")).collect();
        let text = format!(
            "[twilio]\naccount_sid = \"{}\"\nbase_url = \"http://{}\"\n[agent]\nmode = \"auto\"\n[[group]]\nname = \
             \"all\"\nchannels = [\"voice\"]\nnumbers = [{}]\n[group.fallback]\nvoice_url = \
             \"https://handler.twilio.com/twiml/EH00000000000000000000000000000001\"\n",
            scenario.account.sid,
            listener.local_addr().unwrap(),
            numbers.join(",")
        );
        let env = HashMap::from([("TWILIO_AUTH_TOKEN", scenario.account.auth_token.as_str())]);
        let config = Config::parse(&folder.join("ringback.toml"), &text, &env).unwrap();
        let sim = Sim::new(scenario.clone(), clock.clone()).unwrap();
        let mut servers = tokio::task::JoinSet::new();
        servers.spawn(sim.clone().serve(listener, tokio_util::sync::CancellationToken::new()));
        let agent = Agent::start(&config, &clock).await.unwrap();
        clock.sleep(Duration::from_secs(300)).await;
        sim.set_handler("https://app.example.com/voice", HandlerState::all(HandlerCondition::Status(500))).unwrap();
        let (mut first, mut last) = (None, None);
        while last.is_none() {
            clock.sleep(Duration::from_millis(500)).await;
            let status = agent.status.borrow().clone();
            first = status.decisions.iter().max_by_key(|d| d.numbers.len()).map(|d| (d.at, d.numbers.len())).or(first);
            let done = |n: &ringback::agent::publish::status::NumberStatus| match n.channels[0].rollback {
                RollbackStatus::Done { since } => Some(since),
                RollbackStatus::None | RollbackStatus::Pending | RollbackStatus::Unproven { .. } => None,
            };
            let all: Option<Vec<Time>> = status.numbers().map(|(_, n)| done(n)).collect();
            last = all.and_then(|all| all.into_iter().max());
        }
        let (decided_at, numbers) = first.unwrap();
        let took = last.unwrap().since(decided_at).as_secs_f64();
        let text = agent.metrics.render().unwrap();
        let count = |code: &str| {
            let prefix = "ringback_twilio_requests_total{";
            text.lines()
                .filter(|l| l.starts_with(prefix) && l.contains("update_number") && l.contains(code))
                .filter_map(|l| l.rsplit(' ').next()?.parse::<f64>().ok())
                .sum::<f64>()
        };
        let swap = Swap { numbers, seconds: took, updates: count("code"), refused: count("code=\"429\"") };
        agent.stop().await;
        swap
    }));
    std::fs::remove_dir_all(&folder).unwrap();
    swap
}
