//! The ready stories: each is played beside an agent as `init` configures it, and the agent must come to the reason
//! that the story is named after; on the quiet one it must do nothing.

use ringback::core::model::reason::Reason;
use ringback::sim::{STORIES, Scenario, Story};

use crate::init::{init, said};
use crate::world::{Folder, World, play};

/// The program alone.
fn sim(words: &[&str]) -> (i32, String) {
    let out = std::process::Command::new(env!("CARGO_BIN_EXE_ringback")).arg("sim").args(words).output().unwrap();
    said(out)
}

/// The configuration that `init` writes beside the story, with what the story needs.
async fn configured(w: &World, story: &Story) -> String {
    let bin = w.sim.scenario().bins[0].url();
    let (code, told) = init(w, &["--fallback", &bin, "--sms-fallback", &bin, "--probe"], &[]).await;
    assert_eq!(code, 0, "{told}");
    let text = std::fs::read_to_string(w.folder.path().join("ringback.toml")).unwrap();
    let probe = format!("[group.probe]\n{}\n", story.needs.unwrap_or_default());
    text.replace("127.0.0.1:9466", "127.0.0.1:0")
        .replace("mode   = \"observe\"", "mode = \"auto\"")
        .replace("[group.probe]\n", &probe)
}

/// Plays a story until the agent has counted its reason and decided.
fn shows(story: &Story) {
    let reason = story.reason.unwrap();
    play(&story.text(), async |w| {
        // The story goes on while it is configured.
        let begin = w.now();
        let text = configured(w, story).await;
        assert!(w.now().since(begin).as_secs() < 100, "it was configured when the story had broken things already");
        let agent = w.start_with(&w.parse(&text).unwrap_or_else(|e| panic!("{e}"))).await.unwrap();
        let label = format!("reason=\"{}\"", reason.label());
        // Refused replies are a share of a number's messages, and a test call is its own only witness: what is decided
        // about them is decided much later.
        let is_slow = reason.is_probes_alone() || matches!(reason, Reason::Registration | Reason::Delivery);
        let decision = if reason.is_curable() { "decision=\"rollback\"" } else { "decision=\"page\"" };
        loop {
            w.pass(15).await;
            let counted = if reason.is_probes_alone() {
                agent.sum("ringback_probe_failures_total", &[&label]).await
            } else {
                agent.sum("ringback_group_calls_total", &[&label]).await
                    + agent.sum("ringback_group_messages_total", &[&label]).await
            };
            let decided = agent.sum("ringback_decisions_total", &[decision]).await;
            let passed = w.now().since(begin).as_secs();
            if passed < 110 && story.name != "not-arriving" {
                assert_eq!((counted, decided), (0.0, 0.0), "{}: nothing is wrong yet", story.name);
            }
            if counted > 0.0 && (decided > 0.0 || is_slow) {
                agent.stop().await;
                return;
            }
            let seen = agent.get("/api/v1/status").await.1;
            assert!(passed < 1200, "{}: {label} {counted}, {decision} {decided}: {seen}", story.name);
        }
    })
}

/// Every third of them, so that they can be played beside each other.
fn a_third(nth: usize) {
    for story in STORIES.iter().filter(|s| s.reason.is_some()).skip(nth).step_by(3) {
        shows(story);
    }
}

#[test]
fn a_story_shows_the_reason_that_it_is_named_after_first_third() {
    a_third(0);
}

#[test]
fn a_story_shows_the_reason_that_it_is_named_after_second_third() {
    a_third(1);
}

#[test]
fn a_story_shows_the_reason_that_it_is_named_after_last_third() {
    a_third(2);
}

/// The fortnight's first hour and a quarter has a busy line and a caller who calls again and again in it.
#[test]
fn on_the_quiet_fortnight_nothing_is_done() {
    let story = Story::named("quiet-fortnight").unwrap();
    play(&story.text(), async |w| {
        let text = configured(w, story).await;
        let agent = w.start_with(&w.parse(&text).unwrap_or_else(|e| panic!("{e}"))).await.unwrap();
        w.pass(75 * 60).await;
        assert_eq!(agent.sum("ringback_decisions_total", &[]).await, 0.0, "{}", agent.get("/api/v1/decisions").await.1);
        agent.stop().await;
    });
}

#[test]
fn stories_are_listed_and_a_wrong_name_is_answered_with_the_right_one() {
    let (code, told) = sim(&["--story"]);
    assert_eq!(code, 0, "{told}");
    for story in STORIES {
        let words = story.about.split(' ').take(3).collect::<Vec<_>>().join(" ");
        let line = told.lines().find(|l| l.trim_start().starts_with(&format!("{} ", story.name)));
        assert!(line.is_some_and(|l| l.contains(&words)), "{}: {told}", story.name);
    }
    assert!(told.lines().all(|l| l.chars().count() <= 80), "{told}");
    let (code, told) = sim(&["--story", "webhok-500"]);
    assert!(code == 2 && told.contains("did you mean webhook-500?") && told.contains("quiet-fortnight"), "{told}");
}

#[test]
fn a_story_is_a_file_to_begin_with() {
    for story in STORIES {
        let (code, listed) = sim(&["--story", story.name, "--list"]);
        assert!(code == 0 && listed.contains(story.about) && listed.contains("callers: everybody"), "{listed}");
        assert!(story.needs.is_none_or(|needs| listed.contains(needs)), "{listed}");
    }
    let (code, text) = sim(&["--story", "webhook-500", "--print"]);
    assert_eq!(code, 0, "{text}");
    assert!(Scenario::parse(&text).is_ok() && text.lines().all(|l| !l.starts_with(' ')), "{text}");
    let folder = Folder::new();
    let path = folder.path().join("mine.toml");
    std::fs::write(&path, &text).unwrap();
    let (code, listed) = sim(&["--scenario", path.to_str().unwrap(), "--list"]);
    assert!(code == 0 && listed.contains("2m: https://app.example.com/support/voice answers HTTP 500"), "{listed}");
}
