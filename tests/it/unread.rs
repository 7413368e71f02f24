//! Who answers a number is an input of every judgement: what of it cannot be read is no health, costs only the
//! channels that need it, and is said; and so is a number that nobody of ours answers.

use ringback::agent::publish::status::NumberStatus;
use ringback::core::model::id::{Channel, E164};
use ringback::core::model::verdict::Verdict;
use ringback::core::routing::history::RoutingState;
use ringback::sim::{HandlerCondition, HandlerState};

use tokio::task::JoinSet;

use crate::agent::DAY;
use crate::notices::start;
use crate::probe_trouble::between;
use crate::receiver::{Receiver, webhook};
use crate::world::{Running, play};

const APP: &str = "https://app.example.com/voice";

fn number(n: u32) -> E164 {
    format!("+1500555{n:04}").parse().unwrap()
}

fn verdict(agent: &Running, n: u32, channel: Channel) -> Verdict {
    agent.channel(number(n), channel).verdict
}

fn with_fault(day: &str, fault: &str) -> String {
    format!("{day}\n[[event]]\nat = \"0s\"\nfault = {{ {fault} }}\n")
}

#[test]
fn without_the_list_of_numbers_nothing_is_healthy_and_its_end_is_enough() {
    let day = with_fault(DAY, "kind = \"refuse\", on = \"numbers\", code = 20001, for = \"20m\"");
    play(&day, async |w| {
        let said = w.start().await.err().map(|e| e.to_string()).unwrap_or_default();
        assert!(said.contains("list_numbers"), "refused is refused for good: {said}");
    });
    let day = with_fault(DAY, "kind = \"unavailable\", on = \"numbers\", for = \"20m\"");
    play(&day, async |w| {
        w.sim.set_handler(APP, HandlerState::all(HandlerCondition::Status(500))).unwrap();
        let mut servers = JoinSet::new();
        let receiver = Receiver::listen(w, &mut servers).await;
        w.env.insert("HOOK_KEY", "a key");
        let agent = start(w, &webhook("hook", &receiver)).await;
        w.pass(600).await;
        for n in [100, 200] {
            assert_eq!(verdict(&agent, n, Channel::Voice), Verdict::Blind, "{n}");
        }
        assert_eq!(agent.sum("ringback_calls_total", &["group=\"support\"", "outcome=\"ok\""]).await, 0.0);
        assert_eq!(agent.metric("ringback_source_stale{source=\"numbers\"}").await, Some(1.0));
        assert_eq!(agent.metric("ringback_blind{channel=\"voice\"}").await, Some(1.0));
        let (code, said) = agent.get("/-/ready").await;
        assert_eq!((code, said.contains("cannot read numbers")), (503, true), "{said}");
        assert!(receiver.taken().iter().any(|got| got.body["kind"] == "blind"), "somebody is told");

        w.pass(900).await;
        assert!(agent.channel(number(100), Channel::Voice).is_on_fallback, "now it is known whose failures these are");
        assert_eq!(verdict(&agent, 200, Channel::Voice), Verdict::Healthy);
        assert_eq!(agent.get("/-/ready").await.0, 200);
        agent.stop().await;
    });
}

/// An API that fails or has too many requests is not asked for each number besides.
#[test]
fn a_list_that_fails_for_now_is_asked_again_and_its_numbers_are_not_looked_up() {
    for kind in ["server-error", "too-many", "unavailable"] {
        let day = with_fault(&pages(200, 0, 1), &format!("kind = \"{kind}\", on = \"numbers\", for = \"20m\""));
        play(&day, async |w| {
            let agent = w.start().await.unwrap();
            w.pass(600).await;
            let asked = agent.sum("ringback_twilio_requests_total", &["endpoint=\"list_numbers\""]).await;
            // Once a minute, each time again with growing waits.
            assert!((10.0..150.0).contains(&asked), "{kind}: {asked} requests");
            agent.stop().await;
        });
    }
}

/// A day with more numbers in the account than a page holds.
fn pages(ours: u32, calls: u32, others: u32) -> String {
    format!(
        "name = \"pages\"\nseed = 7\nlasts = \"4h\"\nhistory = \"0s\"\n\
         [[bin]]\nsid = \"EH00000000000000000000000000000001\"\ndoes = \"answer\"\n\
         [[group]]\nname = \"support\"\nfirst = \"+15005550100\"\ncount = {ours}\n\
         traffic = {{ calls_per_hour = {calls}, floor_per_hour = 0, shape = \"flat\", skew = 0.0, failure = 0.0 }}\n\
         routing = {{ voice_url = \"{APP}\" }}\n\
         [[group]]\nname = \"others\"\nforeign = true\nfirst = \"+15005560000\"\ncount = {others}\n\
         traffic = {{ calls_per_hour = 0, floor_per_hour = 0, shape = \"flat\" }}\n"
    )
}

#[test]
fn numbers_behind_a_page_that_cannot_be_read_are_looked_up_by_themselves() {
    let day = with_fault(&pages(3, 90, 1000), "kind = \"later-pages\", on = \"numbers\"");
    play(&day, async |w| {
        w.sim.set_handler(APP, HandlerState::all(HandlerCondition::Status(500))).unwrap();
        let agent = w.start().await.unwrap();
        w.pass(600).await;
        for n in 100..103 {
            assert!(agent.channel(number(n), Channel::Voice).is_on_fallback, "{n}");
        }
        assert_eq!(agent.get("/-/ready").await.0, 200);
        agent.stop().await;
    });
}

#[test]
fn what_is_left_of_a_list_is_blind_and_the_rest_of_it_is_used() {
    let day = with_fault(&pages(1600, 0, 1), "kind = \"later-pages\", on = \"numbers\"");
    play(&day, async |w| {
        let agent = w.start().await.unwrap();
        w.pass(40).await;
        let status = agent.status();
        let is_unread = |n: &NumberStatus| n.channels[0].routing == RoutingState::Unread;
        let unread = status.numbers().filter(|(_, n)| is_unread(n)).count();
        assert!((99..=101).contains(&unread), "the first page and twice 250 that were looked up are known: {unread}");
        assert_eq!(agent.metric("ringback_blind{channel=\"voice\"}").await, Some(1.0));
        let routing = "ringback_numbers_by_routing{channel=\"voice\",routing=\"unread\"}";
        assert_eq!(agent.metric(routing).await, Some(unread as f64));
        assert_eq!(agent.get("/-/ready").await.0, 503);
        w.pass(60).await;
        assert_eq!(agent.metric(routing).await, Some(0.0), "and the others with the next");
        assert_eq!(agent.get("/-/ready").await.0, 200);
        agent.stop().await;
    });
}

/// Messages beside calls, and a Messaging Service.
fn with_service() -> String {
    DAY.replace(
        "failure = 0.0 }\nrouting = { voice_url = \"https://app.example.com/voice\" }",
        "failure = 0.0, messages_per_hour = 120 }\nrouting = { voice_url = \"https://app.example.com/voice\", \
         sms_url = \"https://app.example.com/sms\", service = \"MG00000000000000000000000000000001\" }",
    ) + "\n[[service]]\nsid = \"MG00000000000000000000000000000001\"\nfriendly_name = \"texts\"\n\
           inbound_request_url = \"https://app.example.com/service\"\n"
}

#[test]
fn services_that_cannot_be_read_cost_messaging_and_not_voice() {
    // For now, and refused: a product that the account does not have, or a page that it does not give.
    for kind in ["\"unavailable\"", "\"refuse\", code = 20001"] {
        services_that_fail_cost_messaging_and_not_voice(kind);
    }
}

fn services_that_fail_cost_messaging_and_not_voice(kind: &str) {
    let day = with_fault(&with_service(), &format!("kind = {kind}, on = \"services\", for = \"1h\""));
    play(&day, async |w| {
        w.sim.set_handler(APP, HandlerState::all(HandlerCondition::Status(500))).unwrap();
        let agent = w.start().await.unwrap();
        w.pass(900).await;
        assert!(agent.channel(number(100), Channel::Voice).is_on_fallback, "its callers were failing");
        assert_eq!(verdict(&agent, 200, Channel::Voice), Verdict::Healthy);
        assert_eq!(verdict(&agent, 100, Channel::Messaging), Verdict::Blind);
        let blind = async |channel: &str| agent.metric(&format!("ringback_blind{{channel=\"{channel}\"}}")).await;
        assert_eq!((blind("voice").await, blind("messaging").await), (Some(0.0), Some(1.0)));
        let (code, said) = agent.get("/-/ready").await;
        assert_eq!((code, said.contains("cannot read services")), (503, true), "{said}");

        w.pass(3600).await;
        assert_eq!(verdict(&agent, 100, Channel::Messaging), Verdict::Healthy);
        assert_eq!(agent.get("/-/ready").await.0, 200);
        agent.stop().await;
    });
}

#[test]
fn services_that_were_read_once_stand_also_after_a_restart() {
    let day = format!(
        "{}\n[[event]]\nat = \"20m\"\nfault = {{ kind = \"unavailable\", on = \"services\" }}\n",
        with_service()
    );
    play(&day, async |w| {
        let agent = w.start().await.unwrap();
        w.pass(1200).await;
        let handler = agent.channel(number(100), Channel::Messaging).handler;
        assert_eq!(
            handler.map(|h| h.to_string()).as_deref(),
            Some("messaging service MG00000000000000000000000000000001")
        );
        agent.stop().await;
        let agent = w.start().await.unwrap();
        w.pass(600).await;
        let messaging = agent.channel(number(100), Channel::Messaging);
        assert_eq!(messaging.routing, RoutingState::Handled);
        assert_eq!(
            messaging.handler.map(|h| h.to_string()).as_deref(),
            Some("messaging service MG00000000000000000000000000000001")
        );
        let (code, said) = agent.get("/-/ready").await;
        assert_eq!((code, said.contains("services")), (503, true), "what stands is old: {said}");
        agent.stop().await;
    });
}

#[test]
fn a_number_without_voice_at_twilio_is_expected_to_have_no_calls() {
    let day = DAY.replace("name = \"sales\"", "name = \"sales\"\nhosted = true");
    play(&day, async |w| {
        let agent = w.start().await.unwrap();
        w.pass(3 * 3600).await;
        let voice = agent.channel(number(200), Channel::Voice);
        assert_eq!((voice.verdict, voice.routing), (Verdict::Unknown, RoutingState::Lacking));
        assert_eq!(voice.handler.map(|h| h.to_string()).as_deref(), Some("not at Twilio"));
        assert!(agent.status().decisions.is_empty(), "nobody is missed there");
        assert_eq!(verdict(&agent, 100, Channel::Voice), Verdict::Healthy);
        agent.stop().await;
    });
}

#[test]
fn a_demo_and_nobody_are_said_before_anybody_calls() {
    let day = DAY
        .replace("https://sales.example.com/voice", "https://demo.twilio.com/welcome/voice/")
        .replace("routing = { voice_url = \"https://app.example.com/voice\" }", "routing = {}")
        .replace("calls_per_hour = 90", "calls_per_hour = 0, floor_per_hour = 0");
    play(&day, async |w| {
        let agent = w.start().await.unwrap();
        w.pass(60).await;
        for (n, state) in [(100, RoutingState::Nobody), (200, RoutingState::Demo)] {
            assert_eq!(agent.channel(number(n), Channel::Voice).routing, state);
            let metric = format!("ringback_numbers_by_routing{{channel=\"voice\",routing=\"{}\"}}", state.label());
            assert_eq!(agent.metric(&metric).await, Some(3.0));
        }
        agent.stop().await;
    });
}

/// What another region processes is in no log that is read here, which is said before anybody has called.
#[test]
fn numbers_whose_calls_another_region_processes_are_blind_soon_after_the_start() {
    let day = DAY
        .replacen(
            "voice_url = \"https://app.example.com/voice\" }",
            "voice_url = \"https://app.example.com/voice\", voice_region = \"ie1\" }",
            1,
        )
        .replace("calls_per_hour = 90", "calls_per_hour = 0, floor_per_hour = 0");
    let without_version_3 = with_fault(&day, "kind = \"refuse\", on = \"regions\", code = 20404");
    for day in [day, without_version_3] {
        elsewhere(&day);
    }
}

fn elsewhere(day: &str) {
    play(day, async |w| {
        let agent = w.start().await.unwrap();
        w.pass(30).await;
        let voice = agent.channel(number(100), Channel::Voice);
        assert_eq!((voice.verdict, voice.routing), (Verdict::Blind, RoutingState::Elsewhere));
        assert_eq!(voice.handler.map(|h| h.to_string()).as_deref(), Some("region ie1"));
        let metric = |state: &str| format!("ringback_numbers_by_routing{{channel=\"voice\",routing=\"{state}\"}}");
        assert_eq!(agent.metric(&metric("elsewhere")).await, Some(3.0));
        assert_ne!(verdict(&agent, 200, Channel::Voice), Verdict::Blind, "the others are here");
        w.pass(3 * 3600).await;
        assert!(agent.status().decisions.is_empty(), "nobody is missed here");
        agent.stop().await;
    });
}

#[test]
fn regions_are_asked_for_at_a_bounded_rate() {
    let many: Vec<String> = (0..600).map(|i| format!("\"+1500556{i:04}\"")).collect();
    let few = "\"+15005550100\", \"+15005550101\", \"+15005550102\"";
    let day =
        DAY.replacen(few, &many.join(", "), 1).replace("calls_per_hour = 90", "calls_per_hour = 0, floor_per_hour = 0");
    play(&day, async |w| {
        let agent = w.start().await.unwrap();
        let mut asked = Vec::new();
        for _ in 0..30 {
            w.pass(60).await;
            asked.push(agent.sum("ringback_twilio_requests_total", &["endpoint=\"fetch_region\""]).await);
        }
        assert!(asked[0] >= 200.0, "{asked:?}");
        assert!(asked.windows(2).all(|w| w[1] - w[0] <= 260.0), "{asked:?}");
        // All of them within three looks, and each again after 24 minutes, not before.
        assert!(asked[3] >= 603.0 && asked[20] - asked[3] <= 10.0, "{asked:?}");
        assert!(asked[29] > asked[20] + 200.0, "{asked:?}");
        agent.stop().await;
    });
}

/// Messages have a region of their own, which version 3 of the Routes API alone tells.
#[test]
fn numbers_whose_messages_another_region_processes_are_blind_there_and_are_not_written_to() {
    let day = DAY
        .replacen(
            "failure = 0.0 }\nrouting = { voice_url = \"https://app.example.com/voice\" }",
            "failure = 0.0, messages_per_hour = 1 }\nrouting = { voice_url = \"https://app.example.com/voice\", sms_url = \"https://app.example.com/sms\", \
             messaging_region = \"ie1\" }",
            1,
        )
        .replace("calls_per_hour = 90", "calls_per_hour = 0, floor_per_hour = 0");
    play(&day, async |w| {
        let agent = w.start().await.unwrap();
        w.pass(30).await;
        let [voice, messaging] = Channel::ALL.map(|c| agent.channel(number(100), c));
        assert_eq!(voice.routing, RoutingState::Handled);
        assert_eq!((messaging.verdict, messaging.routing), (Verdict::Blind, RoutingState::Elsewhere));
        assert_eq!(messaging.handler.map(|h| h.to_string()).as_deref(), Some("region ie1"));
        agent.stop().await;
    });
}

/// A trunk that is there and sends its calls nowhere has nobody who answers.
#[test]
fn a_trunk_without_an_address_is_nobody() {
    let trunk = "TK00000000000000000000000000000001";
    for (address, state) in
        [("", RoutingState::Gone), ("origination_url = \"sip:desk.example.com\"\n", RoutingState::Handled)]
    {
        let day = DAY
            .replacen(
                &format!("routing = {{ voice_url = \"{APP}\" }}"),
                &format!("routing = {{ trunk = \"{trunk}\" }}"),
                1,
            )
            .replace("calls_per_hour = 90", "calls_per_hour = 0, floor_per_hour = 0")
            + &format!("\n[[trunk]]\nsid = \"{trunk}\"\nfriendly_name = \"desk\"\n{address}");
        play(&day, async |w| {
            let agent = w.start().await.unwrap();
            w.pass(60).await;
            assert_eq!(agent.channel(number(100), Channel::Voice).routing, state);
            agent.stop().await;
        });
    }
}

/// A Messaging Service that answers by itself needs nothing of the number's application, whatever became of that.
#[test]
fn what_does_not_answer_need_not_be_there() {
    let service = "MG00000000000000000000000000000001";
    let day = DAY.replacen(
        "failure = 0.0 }\nrouting = { voice_url = \"https://app.example.com/voice\" }",
        &format!(
            "failure = 0.0, messages_per_hour = 1 }}\nrouting = {{ voice_url = \"{APP}\", service = \"{service}\", \
             sms_application = \"AP00000000000000000000000000000009\" }}"
        ),
        1,
    ) + &format!(
        "\n[[service]]\nsid = \"{service}\"\nfriendly_name = \"texts\"\n\
         inbound_request_url = \"https://app.example.com/service\"\n\
         [[application]]\nsid = \"AP00000000000000000000000000000009\"\nfriendly_name = \"old\"\n"
    );
    play(&day, async |w| {
        let mut servers = JoinSet::new();
        between(w, &mut servers, |passing| {
            if passing.path.contains("Applications/AP") {
                passing.status = 404;
                passing.set(&serde_json::json!({"code": 20404, "message": "gone", "status": 404}));
            }
        })
        .await;
        let agent = w.start().await.unwrap();
        w.pass(60).await;
        assert_eq!(agent.channel(number(100), Channel::Messaging).routing, RoutingState::Handled);
        agent.stop().await;
    });
}

/// One group's application cannot be read: the notice is of its numbers, and of no others.
#[test]
fn of_numbers_whose_application_cannot_be_read_those_alone_are_told() {
    let application = "AP00000000000000000000000000000009";
    let routing = "routing = { voice_url = \"https://app.example.com/voice\" }";
    let day = DAY.replacen(routing, &format!("routing = {{ application = \"{application}\" }}"), 1)
        + &format!("\n[[application]]\nsid = \"{application}\"\nfriendly_name = \"calls\"\nvoice_url = \"{APP}\"\n");
    play(&day, async |w| {
        let mut servers = JoinSet::new();
        between(w, &mut servers, |passing| {
            if passing.path.contains("Applications") {
                passing.status = 500;
                passing.set(&serde_json::json!({"code": 20500, "message": "broken", "status": 500}));
            }
        })
        .await;
        let receiver = Receiver::listen(w, &mut servers).await;
        w.env.insert("HOOK_KEY", "a key");
        let agent = start(w, &webhook("hook", &receiver)).await;
        w.pass(600).await;
        assert_eq!(verdict(&agent, 100, Channel::Voice), Verdict::Blind);
        assert_eq!(verdict(&agent, 200, Channel::Voice), Verdict::Healthy);
        let told = receiver.taken().into_iter().find(|got| got.body["kind"] == "blind").expect("somebody is told").body;
        let told = told.to_string();
        assert!(told.contains("+15005550102") && !told.contains("+15005550200") && !told.contains("sales"), "{told}");
        let (_, status) = agent.get("/api/v1/status").await;
        let status: serde_json::Value = serde_json::from_str(&status).unwrap();
        let blind = status["troubles"].as_array().unwrap().iter().find(|t| t["kind"] == "blind").unwrap().to_string();
        assert!(!blind.contains("+15005550200") && blind.contains("not all that its numbers refer to"), "{blind}");
        agent.stop().await;
    });
}
