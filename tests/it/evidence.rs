//! What counts as evidence, and for what: through the outermost door.

use ringback::core::model::id::{Channel, E164};
use ringback::core::model::verdict::Verdict;
use ringback::sim::{HandlerCondition, HandlerState};

use crate::agent::DAY;
use crate::support::{break_app, support};
use crate::world::{BIN, World, play};

const APP: &str = "https://app.example.com/voice";
const SMS: &str = "https://app.example.com/sms";

fn sms_url(w: &World, number: E164) -> String {
    w.sim.number(number).unwrap()["sms_url"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_number_whose_row_says_voice_is_left_alone_on_messaging() {
    let day = DAY.replacen("calls_per_hour = 90,", "calls_per_hour = 90, messages_per_hour = 240,", 1).replacen(
        &format!("voice_url = \"{APP}\""),
        &format!("voice_url = \"{APP}\", sms_url = \"{SMS}\""),
        1,
    );
    play(&day, async |w| {
        let [voice_only, both, _] = support();
        let rows = format!("number,label,channels,timezone\n{voice_only},desk,voice,\n{both},shop,,\n");
        std::fs::write(w.folder.path().join("support.csv"), rows).unwrap();
        // A rule without a channel is one for both, and it alone decides.
        let text = w.config_text();
        let (head, rest) = text.split_once("numbers = [").unwrap();
        let rest = &rest[rest.find('\n').unwrap()..];
        let (of_support, others) = rest.split_once("\n[[group]]").unwrap();
        let text = format!(
            "{head}numbers_file = \"support.csv\"{of_support}\n[group.detector]\nenabled = false\n\
             [[group.threshold]]\ncallers = 3\nratio = 0.1\nwithin = \"10m\"\naction = \"rollback\"\n\n[[group]]{others}"
        );
        let config = w.parse(&text).unwrap_or_else(|e| panic!("{e}"));
        let agent = w.start_with(&config).await.unwrap();
        w.pass(600).await;
        w.sim.set_handler(SMS, HandlerState::all(HandlerCondition::Status(500))).unwrap();
        w.pass(1200).await;
        assert_eq!(sms_url(w, both), BIN, "watched, and swapped");
        assert_eq!(sms_url(w, voice_only), SMS, "not watched, and not touched");
        agent.stop().await;
    });
}

#[test]
fn what_failed_hours_after_a_number_was_last_written_down_has_failed_after_a_restart_too() {
    // What a number points at is stored once a day, and entries are read again for six hours.
    let day = DAY.replace("lasts = \"4h\"", "lasts = \"12h\"");
    play(&day, async |w| {
        w.agent_section = "mode = \"observe\"\n".into();
        let agent = w.start().await.unwrap();
        w.pass(7 * 3600).await;
        break_app(w);
        let number = support()[0];
        let failing = |agent: &crate::world::Running| agent.channel(number, Channel::Voice).evidence.failing;
        while failing(&agent) < 3 {
            w.pass(5).await;
        }
        w.sim.set_handler(APP, HandlerState::all(HandlerCondition::Healthy)).unwrap();
        w.pass(120).await;
        let before = failing(&agent);
        agent.stop().await;
        let agent = w.start().await.unwrap();
        w.pass(30).await;
        assert!(failing(&agent) >= 3, "{} after a restart, {before} before", failing(&agent));
        assert_ne!(agent.channel(number, Channel::Voice).verdict, Verdict::Healthy);
        let counted = agent.sum("ringback_calls_total", &[r#"outcome="failed""#]).await;
        assert_eq!(counted, 0.0, "what was counted then is not counted again");
        agent.stop().await;
    });
}
