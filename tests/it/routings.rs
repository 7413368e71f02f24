//! Numbers with every routing that Twilio knows, there and back.

use ringback::core::model::id::{Channel, E164};
use serde_json::{Value, json};

use crate::support::{record, with_token};
use crate::world::{BIN, play};

/// What numbers can point at.
pub const PARTS: &str = r#"
[[application]]
sid = "AP00000000000000000000000000000001"
friendly_name = "Support"
voice_url = "https://app.example.com/voice"
sms_url = "https://app.example.com/sms"

[[service]]
sid = "MG00000000000000000000000000000001"
friendly_name = "Reminders"
use_inbound_webhook_on_number = true

[[trunk]]
sid = "TK00000000000000000000000000000001"
friendly_name = "Desk"
origination_url = "sip:desk.example.com"
"#;

/// Two groups whose numbers have everything that a number can have.
fn combinations() -> String {
    let mut day = String::from(
        r#"
name = "combinations"
seed = 1
lasts = "1h"
history = "0s"

[[bin]]
sid = "EH00000000000000000000000000000001"
does = "answer"
"#,
    );
    day += PARTS;
    let mut index = 0;
    // Twilio has no number with a trunk and an application, nor with a fallback URL and no URL.
    for over in [
        "",
        "trunk = \"TK00000000000000000000000000000001\", ",
        "application = \"AP00000000000000000000000000000001\", ",
    ] {
        for (voice, fallback) in [(false, false), (true, false), (true, true)] {
            for sms in 0..4 {
                for service in [false, true] {
                    if over.is_empty() && !voice {
                        continue;
                    }
                    let mut routing = over.to_owned();
                    if voice {
                        routing += "voice_url = \"https://app.example.com/voice?a=1#rc=0\", ";
                    }
                    if fallback {
                        routing += "voice_fallback_url = \"https://app.example.com/fallback\", ";
                    }
                    if sms & 1 == 1 {
                        routing += "sms_url = \"https://app.example.com/sms\", sms_fallback_url = \"https://app.example.com/sms2\", ";
                    }
                    if sms & 2 == 2 {
                        routing += "sms_application = \"AP00000000000000000000000000000001\", ";
                    }
                    if service {
                        routing += "service = \"MG00000000000000000000000000000001\", ";
                    }
                    let routing = routing.trim_end_matches(", ");
                    day += &format!(
                        "\n[[group]]\nname = \"g{index}\"\nfirst = \"+1500555{:04}\"\ncount = {COUNT}\ntraffic = {{ calls_per_hour = 1, messages_per_hour = 1, shape = \"flat\" }}\nrouting = {{ {routing} }}\n",
                        1000 + index * COUNT
                    );
                    index += 1;
                }
            }
        }
    }
    day
}

/// Numbers of each combination: 64 of these make more than a thousand numbers.
const COUNT: usize = 16;

#[test]
fn a_thousand_numbers_of_every_kind_are_byte_for_byte_as_they_were() {
    play(&combinations(), async |w| {
        with_token(w);
        // The detector would rightly swap those that have no handler at all.
        w.agent_section = "mode = \"confirm\"\n".into();
        let numbers: Vec<E164> =
            w.sim.scenario().groups.iter().flat_map(|g| g.all_numbers().collect::<Vec<_>>()).collect();
        let before: Vec<String> = numbers.iter().map(|n| bytes(&record(w, *n))).collect();
        // One group of ours, whatever each number is.
        let text = w.config_text();
        let (head, _) = text.split_once("[[group]]").unwrap();
        let all: Vec<String> = numbers.iter().map(|n| format!("\"{n}\"")).collect();
        let group = format!(
            "{head}[[group]]\nname = \"all\"\nnumbers = [{}]\n[group.fallback]\nvoice_url = \"{BIN}\"\nsms_url = \"{BIN}\"\n",
            all.join(", ")
        );
        let agent = w.start_with(&w.parse(&group).unwrap()).await.unwrap();
        let ask = json!({"all": true, "at_once": false, "reason": "drill"});
        agent.post("rollback", ask.clone()).await;
        w.pass(600).await;
        let is = |n: &E164, state| Channel::ALL.iter().all(|c| agent.channel(*n, *c).rollback_state == state);
        assert!(numbers.iter().all(|n| is(n, "read_back")));
        let mut back = ask;
        back["at_once"] = json!(true);
        agent.post("restore", back).await;
        w.pass(600).await;
        for (n, before) in numbers.iter().zip(before) {
            assert!(is(n, "restored"), "{n}");
            assert_eq!(bytes(&record(w, *n)), before, "{n}");
        }
        println!("{} numbers", numbers.len());
        assert!(numbers.len() >= 1000);
        agent.stop().await;
    });
}

/// The record as text. A URL that was never set is `null`, and Twilio's API can only clear it to `""`.
fn bytes(record: &Value) -> String {
    record.to_string().replace("\"voice_url\":null", "\"voice_url\":\"\"")
}
