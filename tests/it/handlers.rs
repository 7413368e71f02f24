//! `plan` and `apply`: what the file asks of the numbers' handlers, shown, made so, and undone.

use ringback::agent::planning::Planner;
use ringback::core::model::id::{Channel, E164};
use ringback::core::model::roster::NumberIx;
use ringback::core::routing::planned::{HandlerPlan, PlanFinding};
use ringback::sim::{ApiFault, ApiFaultKind, ApiFaultScope, Edit, EndpointClass, Happening};
use serde_json::{Value, json};

use crate::routings::PARTS;
use crate::support::{program, record, support, url, with_token, writes};
use crate::world::{BIN, Running, World, play};

pub const DAY: &str = r#"
name = "handlers"
seed = 7
lasts = "4h"
history = "0s"

[[bin]]
sid = "EH00000000000000000000000000000001"
does = "answer"

[[group]]
name = "support"
numbers = ["+15005550100", "+15005550101", "+15005550102"]
traffic = { calls_per_hour = 1, messages_per_hour = 1, shape = "flat", failure = 0.0 }
routing = { voice_url = "https://user:hunter2@old.example.com/voice?k=hunter3", sms_url = "https://old.example.com/sms" }

[[group]]
name = "sales"
numbers = ["+15005550200"]
traffic = { calls_per_hour = 1, shape = "flat", failure = 0.0 }
routing = { voice_url = "https://sales.example.com/voice" }
"#;

pub const NEW: &str = "voice_url = \"https://new.example.com/voice\"\n";

/// The configuration of the world, with this asked of the first group's handlers.
pub fn asking(w: &World, handler: &str) -> String {
    w.config_text().replacen("[group.fallback]", &format!("[group.handler]\n{handler}[group.fallback]"), 1)
}

#[test]
fn a_plan_tells_the_same_difference_once_and_writes_nothing() {
    play(DAY, async |w| {
        let config = asking(w, NEW);
        let (code, said, complained) = program(w, &config, &["plan"]).await;
        assert_eq!(
            said,
            "support voice: +15005550100 +15005550101 +15005550102: VoiceUrl https://old.example.com/voice?… → \
             https://new.example.com/voice\nnot as the file asks: channels of numbers: 3 to change\n",
            "{complained}"
        );
        assert_eq!(code, 1);
        let (code, said, _) = program(w, &config, &["plan", "--json"]).await;
        let json: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(json["changes"][0]["numbers"].as_array().unwrap().len(), 3);
        let fields = json!([{"field": "VoiceUrl", "from": "https://old.example.com/voice?…", "to": "https://new.example.com/voice"}]);
        assert_eq!((code, &json["changes"][0]["fields"], &json["is_as_wanted"]), (1, &fields, &json!(false)));
        assert!(!said.contains("hunter"), "{said}");
        // Nothing is asked of the other group, and what is as asked is nothing to do.
        let (code, said, _) = program(w, &config, &["plan", "--group", "sales"]).await;
        assert_eq!((code, said.as_str()), (0, "nothing to do: no [group.handler] names a handler for these numbers\n"));
        let is = asking(w, "voice_url = \"https://user:hunter2@old.example.com/voice?k=hunter3\"\n");
        let (code, said, _) = program(w, &is, &["plan"]).await;
        assert_eq!((code, said.as_str()), (0, "nothing to do: channels of numbers: 3 as wanted\n"));
        // What differs in what is not shown is said to differ.
        let other = asking(w, "voice_url = \"https://user:hunter9@old.example.com/voice?k=hunter3\"\n");
        let (_, said, _) = program(w, &other, &["plan", "+15005550100"]).await;
        assert!(said.contains("(they differ in what is not shown)") && !said.contains("hunter"), "{said}");
        assert!(writes(w).is_empty());
        assert_eq!(program(w, &config, &["plan", "+15005550999"]).await.0, 2);
        assert_eq!(program(w, "nonsense", &["plan"]).await.0, 2);
    });
}

#[test]
fn what_could_not_be_read_is_not_nothing_to_do() {
    play(DAY, async |w| {
        let config = asking(w, NEW);
        let fault = |class| ApiFault::new(ApiFaultKind::ServerError, ApiFaultScope::Class(class));
        w.sim.fault(fault(EndpointClass::Numbers)).unwrap();
        let (code, said, complained) = program(w, &config, &["plan"]).await;
        assert_eq!((code, said.as_str()), (3, ""), "{complained}");
        w.sim.calm();
        // Whether a service has its messages is not known: of voice the plan stands.
        w.sim.fault(fault(EndpointClass::ServiceNumbers)).unwrap();
        w.sim.fault(fault(EndpointClass::Services)).unwrap();
        let both = asking(w, &format!("{NEW}sms_url = \"https://new.example.com/sms\"\n"));
        let (code, said, complained) = program(w, &both, &["plan"]).await;
        assert!(
            code == 3 && said.contains("support messaging: +15005550100 +15005550101 +15005550102: COULD NOT BE READ"),
            "{said}{complained}"
        );
        assert!(said.contains("3 to change, 3 that could not be read"), "{said}");
    });
}

pub const APP: &str = "https://new.example.com/voice";

/// What the numbers are, against what the file asks.
async fn look(w: &World, config: &str) -> HandlerPlan {
    let config = w.parse(config).unwrap();
    let all: Vec<NumberIx> = config.roster.numbers().map(|(ix, _)| ix).collect();
    Planner::new(&config, &w.clock).unwrap().look(&all, None).await.unwrap()
}

/// An agent with this configuration, that has begun to watch.
pub async fn watching(w: &mut World, config: &str) -> Running {
    with_token(w);
    let agent = w.start_with(&w.parse(config).unwrap()).await.unwrap();
    w.pass(120).await;
    agent
}

fn all() -> Value {
    json!({"all": true, "reason": "new app"})
}

/// How each number's part of an order ended, with what is said of it.
fn ended(agent: &Running) -> Vec<(String, String)> {
    let status = agent.status();
    let latest = &status.orders[0];
    latest.ended.iter().map(|e| (e.result.label().to_owned(), e.detail.clone())).collect()
}

#[test]
fn apply_makes_it_so_once_and_is_undone_to_the_byte() {
    play(DAY, async |w| {
        let config = asking(w, NEW);
        let agent = watching(w, &config).await;
        let listen = format!("listen = \"{}\"", agent.url.trim_start_matches("http://"));
        let config = config.replace("listen = \"127.0.0.1:0\"", &listen);
        let before: Vec<Value> = support().iter().map(|n| record(w, *n)).collect();
        // Nobody says yes.
        let (code, said, _) = program(w, &config, &["apply", "--reason", "new app"]).await;
        assert_eq!((code, writes(w).len()), (1, 0), "{said}");
        let (code, said, complained) = program(w, &config, &["apply", "--yes", "--reason", "new app"]).await;
        assert_eq!(code, 0, "{said}{complained}");
        assert!(
            said.contains("voice: +15005550100 +15005550101 +15005550102: written: VoiceUrl https://old.example.com/voice?… → https://new.example.com/voice; now answered by https://new.example.com/voice"),
            "{said}"
        );
        assert!(!said.contains("hunter"), "{said}");
        assert!(support().iter().all(|n| url(w, *n) == APP && writes(w)[n] == 1));
        // Twice is an answer, and not an action.
        let (code, said, _) = program(w, &config, &["plan"]).await;
        assert_eq!((code, said.as_str()), (0, "nothing to do: channels of numbers: 3 as wanted\n"));
        let (code, said, _) = program(w, &config, &["apply", "--yes", "--reason", "again"]).await;
        assert_eq!((code, said.as_str()), (0, "nothing to do: channels of numbers: 3 as wanted\n"));
        agent.post("apply", all()).await;
        w.pass(60).await;
        assert!(ended(&agent).iter().all(|(_, why)| why == "it is as the file asks already"), "{:?}", ended(&agent));
        assert!(writes(w).values().all(|n| *n == 1), "it is so already");
        // It is nobody else's change.
        w.pass(180).await;
        assert_eq!(drifts(&agent).await, 0.0);
        // Plainly restored nothing is, for nothing was rolled back.
        let words = ["restore", "--group", "support", "--channel", "voice", "--reason", "no", "--yes"];
        assert_eq!(program(w, &config, &words).await.0, 0);
        assert!(writes(w).values().all(|n| *n == 1));
        let (code, said, complained) = program(w, &config, &[&words[..], &["--applied"]].concat()).await;
        assert_eq!(code, 0, "{said}{complained}");
        let after: Vec<Value> = support().iter().map(|n| record(w, *n)).collect();
        assert_eq!(after, before);
        let (code, said, _) = program(w, &config, &[&words[..], &["--applied"]].concat()).await;
        assert!(code == 0 && said.contains("there is no apply of it to undo"), "{said}");
        w.pass(180).await;
        assert_eq!(drifts(&agent).await, 0.0);
        agent.stop().await;
    });
}

/// Numbers that somebody else has changed.
async fn drifts(agent: &Running) -> f64 {
    agent.sum("ringback_config_drift", &["group=\"support\""]).await
}

#[test]
fn what_stands_against_every_write_stands_against_apply() {
    play(DAY, async |w| {
        let config = asking(w, NEW);
        let agent = watching(w, &config).await;
        let lines = async |ask: Value| {
            let (status, plan) = agent.post("apply", ask).await;
            assert_eq!(status, 200, "{plan}");
            plan["lines"].clone()
        };
        agent.post("mode", json!({"mode": "observe", "reason": "look"})).await;
        let said = lines(all()).await;
        assert!(
            said[0]["action"] == "refuse" && said[0]["detail"].as_str().unwrap().contains("ringback mode"),
            "{said}"
        );
        agent.post("mode", json!({"mode": "confirm", "reason": "go"})).await;
        agent.post("hold", json!({"numbers": ["+15005550100"], "reason": "look"})).await;
        let said = lines(all()).await;
        let of = |n: &str| {
            said.as_array().unwrap().iter().find(|l| l["number"] == n && l["channel"] == "voice").unwrap().clone()
        };
        assert!(of("+15005550100")["detail"].as_str().unwrap().contains("ringback release"), "{said}");
        assert_eq!(
            (&of("+15005550101")["action"], &of("+15005550200")["action"]),
            (&json!("apply"), &json!("nothing"))
        );
        w.pass(60).await;
        let is = support().map(|n| url(w, n) == APP);
        assert_eq!(is, [false, true, true]);
        // What was seen must be what is there, number by number.
        agent.post("release", json!({"all": true, "reason": "looked"})).await;
        let bad = json!({"reads": [{"read": "0000000000000000", "numbers": ["+15005550100"]}], "channel": "voice", "reason": "x"});
        agent.post("apply", bad).await;
        w.pass(60).await;
        let (result, why) = ended(&agent).remove(0);
        assert!(result == "refused" && why.contains("it has changed since it was looked at"), "{result}: {why}");
        for ask in [
            json!({"reads": [{"read": "oops", "numbers": ["+15005550100"]}], "channel": "voice", "reason": "x"}),
            json!({"reads": [{"read": "0000000000000000", "numbers": ["+15005550100"]}], "reason": "x"}),
            json!({"all": true}),
        ] {
            assert_eq!(agent.post("apply", ask).await.0, 422);
        }
        assert_eq!(agent.post_as("guess", "apply", all()).await.0, 401);
        agent.stop().await;
    });
}

#[test]
fn an_edit_between_the_look_and_the_write_is_left() {
    play(DAY, async |w| {
        let config = asking(w, NEW);
        let agent = watching(w, &config).await;
        let plan = look(w, &config).await;
        let set = [("VoiceUrl".to_owned(), "https://theirs.example.com/voice".to_owned())].into();
        w.sim.happen(Happening::Edit(Edit { number: support()[1], set })).unwrap();
        let reads: Vec<Value> = plan
            .changes()
            .map(|n| json!({"read": n.seen.as_ref().unwrap().read, "numbers": [n.number.e164]}))
            .collect();
        assert_eq!(reads.len(), 3);
        agent.post("apply", json!({"reads": reads, "channel": "voice", "reason": "new app"})).await;
        w.pass(60).await;
        assert_eq!(support().map(|n| url(w, n)), [APP, "https://theirs.example.com/voice", APP]);
        assert_eq!(ended(&agent).iter().filter(|(result, _)| result == "refused").count(), 1);
        // And a write that somebody else has changed since is not undone unforced.
        let set = [("VoiceUrl".to_owned(), "https://theirs.example.com/voice".to_owned())].into();
        w.sim.happen(Happening::Edit(Edit { number: support()[0], set })).unwrap();
        let mut undo = json!({"group": "support", "channel": "voice", "reason": "back", "applied": true});
        agent.post("restore", undo.clone()).await;
        w.pass(60).await;
        assert_eq!(url(w, support()[0]), "https://theirs.example.com/voice");
        undo["force"] = json!(true);
        agent.post("restore", undo).await;
        w.pass(60).await;
        assert!(url(w, support()[0]).contains("old.example.com"));
        agent.stop().await;
    });
}

#[test]
fn a_rollback_lies_over_an_apply_and_each_is_undone_by_itself() {
    play(DAY, async |w| {
        let config = asking(w, NEW);
        let agent = watching(w, &config).await;
        let before: Vec<Value> = support().iter().map(|n| record(w, *n)).collect();
        agent.post("apply", all()).await;
        w.pass(60).await;
        let applied: Vec<Value> = support().iter().map(|n| record(w, *n)).collect();
        let ask = json!({"group": "support", "channel": "voice", "reason": "drill", "at_once": true});
        let drill = json!({"group": "support", "channel": "voice", "reason": "drill"});
        agent.post("rollback", drill.clone()).await;
        w.pass(60).await;
        assert!(support().iter().all(|n| url(w, *n) == BIN));
        // Neither an apply nor its undo comes between.
        let mut undo = ask.clone();
        undo["applied"] = json!(true);
        for (verb, ask) in [("apply", drill.clone()), ("restore", undo.clone())] {
            let (_, plan) = agent.post(verb, ask).await;
            let said = plan["lines"][0]["detail"].as_str().unwrap();
            assert!(said.contains("on the fallback") && said.contains("ringback restore"), "{plan}");
            assert_eq!(plan["lines"][0]["action"], "refuse");
        }
        let plan = look(w, &config).await;
        assert_eq!(plan.count(|f| matches!(f, PlanFinding::Cannot(_))), 3, "{plan:?}");
        agent.post("restore", ask.clone()).await;
        w.pass(60).await;
        assert_eq!(support().iter().map(|n| record(w, *n)).collect::<Vec<_>>(), applied);
        // An agent that starts anew knows all that.
        agent.stop().await;
        let agent = watching(w, &config).await;
        agent.post("restore", undo).await;
        w.pass(60).await;
        assert_eq!(support().iter().map(|n| record(w, *n)).collect::<Vec<_>>(), before);
        assert_eq!(drifts(&agent).await, 0.0);
        agent.stop().await;
    });
}

/// Numbers with every routing that a number can have.
fn every_routing() -> String {
    let [trunk, application, service] =
        ["TK", "AP", "MG"].map(|kind| format!("\"{kind}00000000000000000000000000000001\""));
    let over = [String::new(), format!("trunk = {trunk}, "), format!("application = {application}, ")];
    let urls = [
        "",
        "voice_url = \"https://old.example.com/voice?a=1#rc=0\", ",
        "voice_url = \"https://old.example.com/voice\", voice_fallback_url = \"https://old.example.com/f\", status_callback = \"https://old.example.com/s\", ",
    ];
    let texts = [
        String::new(),
        "sms_url = \"https://old.example.com/sms\", sms_fallback_url = \"https://old.example.com/f\", ".to_owned(),
        format!("sms_application = {application}, "),
        format!("sms_url = \"https://old.example.com/sms\", sms_application = {application}, service = {service}, "),
    ];
    let mut day = format!(
        "name = \"every\"\nseed = 1\nlasts = \"1h\"\nhistory = \"0s\"\n[[bin]]\nsid = \"EH00000000000000000000000000000001\"\ndoes = \"answer\"\n{PARTS}"
    );
    let mut index = 0;
    for over in &over {
        for url in urls {
            for text in &texts {
                let routing = format!("{over}{url}{text}");
                day += &format!(
                    "\n[[group]]\nname = \"g{index}\"\nnumbers = [\"+1500555{}\"]\ntraffic = {{ calls_per_hour = 1, messages_per_hour = 1, shape = \"flat\" }}\nrouting = {{ {} }}\n",
                    1000 + index,
                    routing.trim_end_matches(", ")
                );
                index += 1;
            }
        }
    }
    day
}

#[test]
fn every_routing_is_what_is_asked_after_one_apply_and_what_it_was_after_its_undo() {
    let [trunk, application] = ["TK", "AP"].map(|kind| format!("\"{kind}00000000000000000000000000000001\""));
    let voices = [
        "voice_url = \"https://new.example.com/voice?b=2#rc=1\"\n".to_owned(),
        "voice_url = \"https://new.example.com/voice\"\nvoice_method = \"GET\"\nvoice_fallback_url = \"https://new.example.com/f\"\nstatus_callback = \"https://new.example.com/s\"\n".to_owned(),
        format!("voice_application_sid = {application}\nstatus_callback = \"https://new.example.com/s\"\n"),
        format!("trunk_sid = {trunk}\n"),
        "status_callback = \"https://new.example.com/s\"\n".to_owned(),
    ];
    let texts = [
        "sms_url = \"https://new.example.com/sms\"\n".to_owned(),
        "sms_url = \"https://new.example.com/sms\"\nsms_method = \"GET\"\nsms_fallback_url = \"https://new.example.com/f\"\n".to_owned(),
        format!("sms_application_sid = {application}\n"),
        String::new(),
        "sms_url = \"https://new.example.com/sms\"\n".to_owned(),
    ];
    for (voice, text) in voices.iter().zip(&texts) {
        play(&every_routing(), async |w| {
            // The detector would rightly swap those that nobody serves.
            w.agent_section = "mode = \"confirm\"\n".into();
            let numbers: Vec<E164> =
                w.sim.scenario().groups.iter().flat_map(|g| g.all_numbers().collect::<Vec<_>>()).collect();
            let bytes = |w: &World| -> Vec<String> {
                let text = |n: &E164| record(w, *n).to_string().replace(":null", ":\"\"");
                numbers.iter().map(text).collect()
            };
            let before = bytes(w);
            let config =
                w.config_text().replace("[group.fallback]", &format!("[group.handler]\n{voice}{text}[group.fallback]"));
            let agent = watching(w, &config).await;
            let first = look(w, &config).await;
            let changed = first.changes().count();
            assert!(
                changed > 0 && changed + first.count(|f| *f == PlanFinding::AsWanted) == first.numbers.len(),
                "{first:?}"
            );
            agent.post("apply", all()).await;
            w.pass(300).await;
            let second = look(w, &config).await;
            assert_eq!(second.count(|f| *f != PlanFinding::AsWanted), 0, "{voice}{text}: {:?}", second.lines());
            assert_eq!(writes(w).values().sum::<usize>(), changed, "once each, and nothing else");
            agent.post("restore", json!({"all": true, "reason": "back", "applied": true})).await;
            w.pass(300).await;
            for ((number, is), was) in numbers.iter().zip(bytes(w)).zip(&before) {
                assert_eq!(&is, was, "{number} after {voice}{text}");
            }
            assert_eq!(agent.sum("ringback_config_drift", &[]).await, 0.0);
            let unrolled = |n: &E164| Channel::ALL.iter().all(|c| agent.channel(*n, *c).rollback_state == "idle");
            assert!(numbers.iter().all(unrolled), "applies are no rollbacks");
            agent.stop().await;
        });
    }
}

#[test]
fn the_canary_goes_first_and_what_is_wrong_with_it_stops_the_others() {
    play(DAY, async |w| {
        let config = asking(w, NEW);
        let agent = watching(w, &config).await;
        let listen = format!("listen = \"{}\"", agent.url.trim_start_matches("http://"));
        let config = config.replace("listen = \"127.0.0.1:0\"", &listen);
        let words = ["apply", "--canary", "1", "--yes", "--reason", "new app"];
        w.sim
            .fault(ApiFault {
                code: 21215,
                ..ApiFault::new(ApiFaultKind::Refuse, ApiFaultScope::Class(EndpointClass::NumberUpdate))
            })
            .unwrap();
        let (code, said, complained) = program(w, &config, &words).await;
        assert!(
            code == 1 && said.contains(": failed: ") && complained.contains("nothing else was written"),
            "{said}{complained}"
        );
        let status = agent.status();
        assert_eq!(status.orders.iter().map(|o| o.order.numbers.len()).collect::<Vec<_>>(), [1]);
        w.sim.calm();
        let (code, said, complained) = program(w, &config, &words).await;
        assert_eq!(code, 0, "{said}{complained}");
        let status = agent.status();
        assert_eq!(status.orders.iter().map(|o| o.order.numbers.len()).collect::<Vec<_>>(), [2, 1, 1]);
        assert!(support().iter().all(|n| url(w, *n) == APP));
        agent.stop().await;
    });
}
