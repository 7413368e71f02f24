//! Situations that people report from real accounts, played by the simulator from end to end: what the agent makes of
//! each. [`crate::field`] has their finer points.

use ringback::core::model::decision::Action;
use ringback::core::model::id::{Channel, E164};
use ringback::core::model::verdict::Verdict;
use ringback::sim::{HandlerCondition, HandlerState};

use crate::agent::DAY;
use crate::probes::probing;
use crate::world::{Running, play, with_prober};

const APP: &str = "https://app.example.com/voice";
const SALES: &str = "https://sales.example.com/voice";
const TEXTS: &str = "https://app.example.com/sms";

fn number(n: u32) -> E164 {
    format!("+1500555{n:04}").parse().unwrap()
}

/// Each decision: its channel, what was decided, and the first code.
fn decisions(agent: &Running) -> Vec<(Channel, String, Option<u32>)> {
    let text = |action: &Action| match action {
        Action::Rollback => "rollback".to_owned(),
        Action::Page { reason } => reason.label().to_owned(),
        Action::Withheld { guard } => guard.label().to_owned(),
    };
    let code = |d: &ringback::core::model::decision::Decision| d.evidence.reasons.first().and_then(|r| r.code);
    let mut told: Vec<_> =
        agent.status().decisions.iter().map(|d| (d.channel, text(&d.action), code(d).map(|c| c.0))).collect();
    told.sort_unstable_by_key(|(channel, text, code)| (channel.index(), text.clone(), *code));
    told.dedup();
    told
}

/// The day with texts, of which the handler's own answer few.
fn with_texts() -> String {
    DAY.replacen(
        "failure = 0.0 }\nrouting = { voice_url = \"https://app.example.com/voice\" }",
        &format!(
            "failure = 0.0, messages_per_hour = 90 }}\nrouting = {{ voice_url = \"{APP}\", sms_url = \"{TEXTS}\" }}"
        ),
        1,
    )
}

#[test]
fn what_serves_nobody_pages_and_what_served_all_the_same_warns() {
    use HandlerCondition::{Action, Blocked, Function, SecondHop, Stream};
    for (condition, reason, code) in [
        (Stream, "unexplained", 31920),
        (SecondHop(11200), "other_url", 11200),
        (SecondHop(11205), "other_url", 11205),
        (Function, "unexplained", 82002),
        (Blocked, "unexplained", 13227),
        (Action, "errors_beside_service", 11200),
    ] {
        play(DAY, async |w| {
            let agent = w.start().await.unwrap();
            w.pass(900).await;
            // Only what is forwarded has an action.
            let (url, group) = if condition == Action { (SALES, "sales") } else { (APP, "support") };
            let labels = [format!("group=\"{group}\""), "outcome=\"ok\"".to_owned()];
            let labels = labels.each_ref().map(String::as_str);
            w.sim.set_handler(url, HandlerState::all(condition)).unwrap();
            let served = agent.sum("ringback_calls_total", &labels).await;
            w.pass(1500).await;
            let told = decisions(&agent);
            assert!(told.contains(&(Channel::Voice, reason.to_owned(), Some(code))), "{condition:?}: {told:?}");
            assert!(told.iter().all(|(_, what, _)| what != "rollback"), "{condition:?}: {told:?}");
            let served = agent.sum("ringback_calls_total", &labels).await - served;
            // Some calls of before settle afterwards.
            assert_eq!(served > 20.0, condition == Action, "{condition:?}: {served} served");
            agent.stop().await;
        });
    }
}

#[test]
fn texts_that_are_taken_and_answered_by_the_api_are_not_lost() {
    play(&with_texts(), async |w| {
        let agent = w.start().await.unwrap();
        w.pass(900).await;
        w.sim.set_handler(TEXTS, HandlerState::all(HandlerCondition::Takes)).unwrap();
        w.pass(3600).await;
        let told = decisions(&agent);
        assert!(told.iter().all(|(_, what, _)| what == "errors_beside_service"), "{told:?}");
        assert!(!agent.channel(number(100), Channel::Messaging).is_on_fallback);
        agent.stop().await;
    });
}

#[test]
fn a_campaign_that_is_refused_pages_with_the_code_and_opt_outs_are_nobodys_failure() {
    for (what, code) in [("error = 30034", Some(30034)), ("error = 30032", Some(30032)), ("opted_out = 0.5", None)] {
        let day = format!(
            "{}\n[[event]]\nat = \"10m\"\ncampaign = {{ number = \"+15005550100\", texts = 60, {what} }}\n",
            with_texts()
        );
        play(&day, async |w| {
            let agent = w.start().await.unwrap();
            w.pass(1800).await;
            let told = decisions(&agent);
            match code {
                Some(code) => {
                    assert!(matches!(&told[..], [(Channel::Messaging, _, Some(c))] if *c == code), "{what}: {told:?}");
                }
                None => {
                    assert_eq!(told, [], "{what}");
                    let ignored = ["outcome=\"ignored\"", "reason=\"recipient\""];
                    assert!(agent.sum("ringback_messages_total", &ignored).await > 15.0);
                }
            }
            agent.stop().await;
        });
    }
}

#[test]
fn calls_that_all_fail_page_whoever_seems_to_call() {
    for callers in ["one", "withheld"] {
        let day = DAY.replace("failure = 0.0 }", &format!("failure = 0.0, callers = \"{callers}\" }}"));
        play(&day, async |w| {
            w.sim.set_handler(APP, HandlerState::all(HandlerCondition::Status(500))).unwrap();
            let agent = w.start().await.unwrap();
            w.pass(2400).await;
            let told = decisions(&agent);
            assert!(told.contains(&(Channel::Voice, "few_callers".to_owned(), Some(11200))), "{callers}: {told:?}");
            assert!(told.iter().all(|(_, what, _)| what != "rollback"), "{callers}: {told:?}");
            agent.stop().await;
        });
    }
}

/// The day with its first group behind a trunk, whose calls have a URI in `to`.
fn behind_a_trunk() -> String {
    DAY.replacen(
        "routing = { voice_url = \"https://app.example.com/voice\" }",
        "routing = { trunk = \"TK00000000000000000000000000000001\" }",
        1,
    ) + "\n[[trunk]]\nsid = \"TK00000000000000000000000000000001\"\nfriendly_name = \"Desk\"\n\
         origination_url = \"sip:desk.example.com\"\n"
}

#[test]
fn calls_over_a_trunk_are_seen_and_its_fault_is_cured() {
    play(&behind_a_trunk(), async |w| {
        let agent = w.start().await.unwrap();
        w.pass(900).await;
        assert_eq!(agent.channel(number(100), Channel::Voice).verdict, Verdict::Healthy);
        assert_eq!(agent.sum("ringback_rows_total", &["source=\"calls\"", "result=\"bad\""]).await, 0.0);
        w.sim.set_handler("sip:desk.example.com", HandlerState::all(HandlerCondition::Unreachable(32011))).unwrap();
        w.pass(900).await;
        assert!(agent.channel(number(100), Channel::Voice).is_on_fallback);
        agent.stop().await;
    });
}

#[test]
fn a_test_call_to_a_number_behind_a_trunk_is_found_by_its_uri() {
    let trunk = behind_a_trunk();
    let (before, after) = (trunk.find("\n[[group]]\nname = \"sales\"").unwrap(), trunk.find("\n[[trunk]]").unwrap());
    play(&with_prober(&format!("{}{}", &trunk[..before], &trunk[after..])), async |w| {
        let config = w.parse(&probing(w, "every = \"120s\"")).unwrap();
        let agent = w.start_with(&config).await.unwrap();
        w.pass(3600).await;
        let result = async |result: &str| {
            let labels = ["number=\"+15005550100\"", &format!("result=\"{result}\"")];
            agent.sum("ringback_probe_attempts_total", &labels).await
        };
        assert!(result("success").await >= 2.0, "test calls are found");
        assert_eq!((result("failure").await, result("error").await), (0.0, 0.0));
        agent.stop().await;
    });
}
