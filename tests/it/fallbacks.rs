//! Would the fallback serve a call to each of the numbers? Asked as Twilio asks, read as Twilio reads: through the
//! outermost door.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use ringback::core::model::guard::Guard;
use ringback::core::model::id::Channel;
use ringback::sim::{Edit, Happening};
use serde_json::json;
use tokio::task::JoinSet;

use crate::agent::DAY;
use crate::probe_trouble::{between, bins_answer};
use crate::support::{break_app, support, url, with_token, writes};
use crate::world::{BIN, Running, World, play, play_based};

const OTHER: &str = "https://handler.twilio.com/twiml/EH00000000000000000000000000000002";
const THIRD: &str = "https://handler.twilio.com/twiml/EH00000000000000000000000000000003";

/// The day with these texts in the first bins.
fn day(bins: &[&str]) -> String {
    let first = "[[bin]]\nsid = \"EH00000000000000000000000000000001\"\ndoes = \"answer\"\n";
    let bins: String = (1..)
        .zip(bins)
        .map(|(n, text)| format!("[[bin]]\nsid = \"EH{n:032x}\"\ndoes = \"twiml\"\ntwiml = '''{text}'''\n"))
        .collect();
    DAY.replacen(first, &bins, 1)
}

async fn is(agent: &Running, state: &str) -> bool {
    let sample = format!(r#"ringback_fallback{{channel="voice",group="support",state="{state}"}}"#);
    agent.metric(&sample).await == Some(1.0)
}

async fn state(agent: &Running) -> Option<&'static str> {
    for state in ["unchecked", "good", "broken"] {
        if is(agent, state).await {
            return Some(state);
        }
    }
    None
}

/// What is known of support's voice fallback after a minute, and why.
fn found(bins: &[&str]) -> (Option<&'static str>, String) {
    found_of(&day(bins))
}

fn found_of(day: &str) -> (Option<&'static str>, String) {
    play_based(day, async |w| {
        let agent = w.start().await.unwrap();
        w.pass(60).await;
        let found = state(&agent).await;
        let why = cause(&agent).await;
        agent.stop().await;
        (found, why)
    })
}

/// What the status says of it.
async fn cause(agent: &Running) -> String {
    let (code, text) = agent.get("/api/v1/status").await;
    assert_eq!(code, 200, "{text}");
    let status: serde_json::Value = serde_json::from_str(&text).unwrap();
    let group = status["groups"].as_array().unwrap().iter().find(|g| g["group"] == "support").unwrap();
    let channel = group["channels"].as_array().unwrap().iter().find(|c| c["channel"] == "voice").unwrap();
    channel["fallback"]["detail"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_fallback_that_dials_our_number_in_any_writing_is_a_loop() {
    for dialled in [
        "500-555-0100",
        "(500) 555-0101",
        "1-500-555-0102",
        "+1 500.555.0100",
        "0015005550100",
        "011 1 500 555 0100",
        "tel:+1-500-555-0100;ext=7",
        "{{To}}",
        "{{#e164}}{{To}}{{/e164}}",
        "500-555-0200",
    ] {
        for twiml in [
            format!("<Response><Dial>{dialled}</Dial></Response>"),
            format!(
                "<Response><Say>One moment.</Say><Dial timeout=\"20\"><Number>{dialled}</Number></Dial></Response>"
            ),
        ] {
            let (state, why) = found(&[&twiml]);
            assert_eq!(state, Some("broken"), "{twiml}: {why}");
            assert!(why.contains("a number of ours"), "{twiml}: {why}");
        }
    }
}

/// What Twilio does not say that it dials is not good, and where one of our numbers may be meant it is a loop.
#[test]
fn a_fallback_that_dials_free_text_is_not_good() {
    for (dialled, state_is) in [
        ("front desk 202-555-0143", "unchecked"),
        ("+12025550143, +12025550144", "unchecked"),
        ("1-800-FLOWERS", "unchecked"),
        ("front desk 500-555-0101", "broken"),
        ("+12025550143, +15005550101", "broken"),
    ] {
        let (state, why) = found(&[&format!("<Response><Dial>{dialled}</Dial></Response>")]);
        assert_eq!(state, Some(state_is), "{dialled}: {why}");
        assert!(state_is == "broken" || why.contains("13223"), "{dialled}: {why}");
    }
}

#[test]
fn a_fallback_that_renders_nothing_for_a_call_is_broken() {
    for (twiml, why) in [
        ("<Response><Dial>{{number}}</Dial></Response>", "dials nothing"),
        ("<Response><Dial><Number>{{#e164}}{{desk}}{{/e164}}</Number></Dial></Response>", "dials nothing"),
        ("<Response><Say>{{greeting}}</Say></Response>", "says nothing"),
        ("<Response><Pause length=\"30\"/></Response>", "says nothing"),
        ("<Response><say>Hello</say></Response>", "<say>"),
    ] {
        let (state, said) = found(&[twiml]);
        assert_eq!(state, Some("broken"), "{twiml}: {said}");
        assert!(said.contains(why), "{twiml}: {said}");
    }
}

#[test]
fn one_redirect_is_followed_and_no_more() {
    let to = |url: &str| format!("<Response><Redirect>{url}</Redirect></Response>");
    let says = "<Response><Say>We call you back.</Say></Response>";
    assert_eq!(found(&[&to(OTHER), says]).0, Some("good"));
    assert_eq!(found(&[&to("EH00000000000000000000000000000002"), says]).0, Some("good"), "relative to the bin");
    let (state, why) = found(&[&to(OTHER), "<Response><Dial>{{To}}</Dial></Response>"]);
    assert_eq!(state, Some("broken"), "{why}");
    assert!(why.contains("a number of ours"), "{why}");
    let (state, why) = found(&[&to(OTHER), &to(THIRD), says]);
    assert_eq!(state, Some("unchecked"), "{why}");
    assert!(why.contains("redirects"), "{why}");
    let (state, why) = found(&[&to(BIN)]);
    assert_eq!(state, Some("broken"), "to itself: {why}");
}

/// Round by another document, or back to what fails when the fallback is needed, in any spelling.
#[test]
fn a_fallback_that_leads_back_is_broken() {
    let to = |url: &str| format!("<Response><Redirect>{url}</Redirect></Response>");
    for back in [BIN, "EH00000000000000000000000000000001?again=1", &BIN.replace("https", "http")] {
        let (state, why) = found(&[&to(OTHER), &to(back)]);
        assert_eq!(state, Some("broken"), "{back}: {why}");
        assert!(why.contains("circle"), "{back}: {why}");
    }
    for handler in
        ["https://app.example.com/voice", "https://APP.example.com:443/voice", "https://app.example.com/voice#rc=2"]
    {
        for bins in [vec![to(handler)], vec![to(OTHER), to(handler)]] {
            let bins: Vec<&str> = bins.iter().map(String::as_str).collect();
            let (state, why) = found(&bins);
            assert_eq!(state, Some("broken"), "{handler} {}: {why}", bins.len());
            assert!(why.contains("leads back to the handler of +15005550100"), "{handler}: {why}");
        }
    }
}

/// It answers, and what callers do next is asked of the handler that fails then.
#[test]
fn a_fallback_that_goes_on_at_a_handler_is_not_known_to_be_good() {
    let handler = "https://app.example.com/voice";
    for (verb, twiml) in [
        ("Gather", "<Gather action=\"{}\"><Say>Press 1 for sales.</Say></Gather>"),
        ("Record", "<Say>Leave a message.</Say><Record action=\"{}\"/>"),
        ("Enqueue", "<Enqueue waitUrl=\"{}\">support</Enqueue>"),
        ("Number", "<Dial><Number url=\"{}\">+12025550143</Number></Dial>"),
    ] {
        let said = |url: &str| found(&[&format!("<Response>{}</Response>", twiml.replace("{}", url))]);
        let (state, why) = said(handler);
        let wanted = format!("its <{verb}> goes on at the handler of +15005550100");
        assert_eq!(state, Some("unchecked"), "{verb}: {why}");
        assert!(why.contains(&wanted), "{verb}: {why}");
        assert_eq!(said("https://elsewhere.example.com/voice").0, Some("good"), "{verb}");
    }
}

/// Nobody hears a file that is not there, nor one on the host that fails.
#[test]
fn a_fallback_that_only_plays_a_file_is_as_good_as_the_file() {
    let (there, beside, gone) =
        ("https://files.example.net/sorry.mp3", "https://app.example.com/sorry.mp3", "{base}/sorry.mp3");
    for (twiml, state, why) in [
        (format!("<Play>{there}</Play>"), "good", ""),
        (
            format!("<Pause length=\"1\"/><Play>{gone}</Play><Hangup/>"),
            "broken",
            "plays a file that is not there (HTTP 4",
        ),
        (format!("<Play>{beside}</Play>"), "unchecked", "is on the host of the handler of +15005550100"),
        (format!("<Gather><Play>{gone}</Play></Gather>"), "broken", "plays a file that is not there"),
        // Something else serves.
        (format!("<Play>{gone}</Play><Play>{there}</Play>"), "good", ""),
        (format!("<Play>{gone}</Play><Say>We are sorry.</Say>"), "good", ""),
        (format!("<Play>{beside}</Play><Dial>+12025550143</Dial>"), "good", ""),
        (format!("<Gather><Say>Press 1.</Say><Play>{gone}</Play></Gather>"), "good", ""),
    ] {
        let (is, said) = found(&[&format!("<Response>{twiml}</Response>")]);
        assert!(is == Some(state) && said.contains(why), "{twiml}: {is:?} {said}");
    }
}

/// Twilio takes it for no XML (12100).
#[test]
fn a_fallback_whose_declaration_does_not_stand_first_is_broken() {
    let says = "<Response><Say>We are sorry.</Say></Response>";
    for (before, state) in [
        ("", "good"),
        ("\n", "good"),
        ("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n", "good"),
        ("\n<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n", "broken"),
        (" <?xml version=\"1.0\"?>", "broken"),
    ] {
        let bin = DAY.replacen(
            "does = \"answer\"\n",
            &format!("does = \"twiml\"\ntwiml = {:?}\n", format!("{before}{says}")),
            1,
        );
        let (is, why) = found_of(&bin);
        assert_eq!(is, Some(state), "{before:?}: {why}");
    }
}

#[test]
fn a_fallback_that_dials_whoever_calls_is_broken() {
    for dialled in ["{{From}}", "{{Caller}}", "{{#e164}}{{From}}{{/e164}}"] {
        let (state, why) = found(&[&format!("<Response><Dial><Number>{dialled}</Number></Dial></Response>")]);
        assert_eq!(state, Some("broken"), "{dialled}: {why}");
        assert!(why.contains("the number that calls"), "{dialled}: {why}");
    }
}

#[test]
fn nothing_is_swapped_to_a_fallback_that_would_loop() {
    play(&day(&["<Response><Dial>{{To}}</Dial></Response>"]), async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        w.pass(600).await;
        break_app(w);
        w.pass(900).await;
        assert!(writes(w).is_empty(), "callers would go round in a loop: {:?}", writes(w));
        assert!(agent.status().waiting.iter().all(|d| d.guards == [Guard::Fallback]));
        let ask = json!({"group": "support", "channel": "voice", "reason": "now"});
        let (_, plan) = agent.post("rollback", ask).await;
        assert!(plan["lines"][0]["detail"].as_str().unwrap().contains("a number of ours"), "{plan}");
        agent.stop().await;
    });
}

/// A bin may answer one number and fail another: each is asked for, as Twilio would.
#[test]
fn a_fallback_that_fails_one_number_costs_that_number_alone() {
    play(DAY, async |w| {
        let mut servers = JoinSet::new();
        between(w, &mut servers, |passing| {
            if passing.path.starts_with("/twiml/") && passing.path.contains("To=%2B15005550101") {
                passing.status = 404;
            }
        })
        .await;
        with_token(w);
        let agent = w.start().await.unwrap();
        w.pass(600).await;
        assert_eq!(state(&agent).await, Some("good"));
        let spared = r#"ringback_fallback_broken_numbers{channel="voice",group="support"}"#;
        assert_eq!(agent.metric(spared).await, Some(1.0));
        assert!(cause(&agent).await.contains("+15005550101"), "{}", cause(&agent).await);
        break_app(w);
        w.pass(1200).await;
        let on_bin: Vec<bool> = support().iter().map(|n| url(w, *n) == BIN).collect();
        assert_eq!(on_bin, [true, false, true]);
        let waiting: Vec<Guard> = agent.status().waiting.iter().flat_map(|d| d.guards.clone()).collect();
        assert!(waiting.contains(&Guard::Fallback), "{waiting:?}");
        agent.stop().await;
    });
}

/// What was known of it stays known while it does not answer, until it has not answered three times.
#[test]
fn a_check_without_an_answer_leaves_what_was_known() {
    play(DAY, async |w| {
        let mut servers = JoinSet::new();
        let bins = bins_answer(w, &mut servers, 0).await;
        let agent = w.start().await.unwrap();
        w.pass(290).await;
        assert_eq!(state(&agent).await, Some("good"));
        bins.store(503, Ordering::Relaxed);
        w.pass(20).await;
        assert_eq!(state(&agent).await, Some("good"), "one look failed");
        w.pass(60).await;
        assert_eq!(state(&agent).await, Some("broken"), "nobody answers there");
        bins.store(0, Ordering::Relaxed);
        w.pass(60).await;
        assert_eq!(state(&agent).await, Some("good"));
        agent.stop().await;
    });
}

/// What was found with the Auth Token stays found when there is only a key to ask with.
#[test]
fn a_broken_fallback_that_can_no_longer_be_asked_stays_broken() {
    let day = day(&["<Response><Dial>500-555-0100</Dial></Response>"]).replace(
        "[[group]]\nname = \"support\"",
        "[account]\n[[account.key]]\nsid = \"SK00000000000000000000000000000001\"\nsecret = \"key\"\nkind = \"main\"\n\n\n\
         [[group]]\nname = \"support\"",
    );
    play(&day, async |w: &mut World| {
        let agent = w.start().await.unwrap();
        w.pass(60).await;
        assert_eq!(state(&agent).await, Some("broken"));
        agent.stop().await;
        w.env.insert("TWILIO_AUTH_TOKEN", "");
        w.env.insert("TWILIO_API_KEY", "SK00000000000000000000000000000001");
        w.env.insert("TWILIO_API_SECRET", "key");
        let agent = w.start().await.unwrap();
        w.pass(60).await;
        assert_eq!(state(&agent).await, Some("broken"), "it was not looked at since");
        agent.stop().await;
    });
}

/// A text is asked for as a text, with one.
#[test]
fn the_messaging_fallback_is_asked_with_a_message() {
    let with = |twiml: &str| {
        let day = day(&[twiml]).replace("failure = 0.0 }", "failure = 0.0, messages_per_hour = 5 }");
        play(&day, async |w| {
            let agent = w.start().await.unwrap();
            w.pass(60).await;
            let status = agent.status();
            let of = status.groups.iter().find(|g| g.group.as_str() == "support").unwrap();
            let fallback = of.channels[Channel::Messaging.index()].fallback.clone().unwrap();
            agent.stop().await;
            (fallback.state.label(), fallback.detail)
        })
    };
    assert_eq!(with("<Response><Message to=\"+12025550143\">{{From}}: {{Body}}</Message></Response>").0, "good");
    let (state, why) = with("<Response><Message to=\"{{To}}\">{{Body}}</Message></Response>");
    assert!(state == "broken" && why.contains("a number of ours"), "{state}: {why}");
    let (state, why) = with("<Response><Message>{{text}}</Message></Response>");
    assert!(state == "broken" && why.contains("says nothing"), "{state}: {why}");
}

/// The day with so many numbers in support.
fn many(numbers: usize) -> String {
    let all: Vec<String> = (0..numbers).map(|n| format!("\"+1500556{n:04}\"")).collect();
    DAY.replacen("\"+15005550100\", \"+15005550101\", \"+15005550102\"", &all.join(", "), 1)
}

/// What a bin says does not depend on the number if it says the same for the first fifty; what an application says
/// may.
#[test]
fn a_large_group_is_asked_for_as_long_as_it_may_matter() {
    play(&many(130), async |w| {
        let mut servers = JoinSet::new();
        let asked = Arc::new(AtomicU16::new(0));
        let count = asked.clone();
        between(w, &mut servers, move |passing| {
            if passing.path.starts_with("/twiml/") {
                count.fetch_add(u16::from(passing.path.contains("To=%2B1500556")), Ordering::Relaxed);
            }
        })
        .await;
        let agent = w.start().await.unwrap();
        w.pass(60).await;
        assert_eq!(state(&agent).await, Some("good"));
        assert_eq!(asked.load(Ordering::Relaxed), 50);
        agent.stop().await;
    });
    let app = "\n[[handler]]\nurl = \"{base}/handlers/fallback\"\n";
    play_based(&(many(130) + app), async |w| {
        let config = w.config_text().replacen(BIN, &format!("{}/handlers/fallback", w.base_url), 1);
        let agent = w.start_with(&w.parse(&config).unwrap()).await.unwrap();
        w.pass(1).await;
        assert!(w.sim.stats().handler_requests <= 30, "all at once: {}", w.sim.stats().handler_requests);
        w.pass(59).await;
        assert_eq!(state(&agent).await, Some("good"));
        assert_eq!(w.sim.stats().handler_requests, 130);
        agent.stop().await;
    });
}

/// A swap leaves the number's method: an application that has the address for the other one fails that number.
#[test]
fn an_application_is_asked_by_the_method_that_the_number_has() {
    let app = "\n[[handler]]\nurl = \"{base}/handlers/fallback\"\n";
    play_based(&(DAY.to_owned() + app), async |w| {
        let set = [("VoiceMethod".to_owned(), "GET".to_owned())].into();
        w.sim.happen(Happening::Edit(Edit { number: support()[0], set })).unwrap();
        let config = w.config_text().replacen(BIN, &format!("{}/handlers/fallback", w.base_url), 1);
        let agent = w.start_with(&w.parse(&config).unwrap()).await.unwrap();
        w.pass(400).await;
        let why = cause(&agent).await;
        assert!(why.contains("for +15005550100: it answers HTTP 405"), "{why}");
        let broken = r#"ringback_fallback_broken_numbers{channel="voice",group="support"}"#;
        assert_eq!((state(&agent).await, agent.metric(broken).await), (Some("good"), Some(1.0)));
        agent.stop().await;
    });
}
