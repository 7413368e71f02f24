//! Stories that are ready to be played: one for each reason for which callers are not served, and whole days. What
//! breaks in them breaks two minutes after the start, so that whoever practises has had time to look around.

use crate::core::model::nearest::nearest;
use crate::core::model::reason::Reason;

/// A day that is ready to be played.
#[derive(Debug)]
pub struct Story {
    pub name: &'static str,
    /// One line: what happens.
    pub about: &'static str,
    /// The reason that Ringback gives for it, of a story about one.
    pub reason: Option<Reason>,
    /// What must stand in `[group.probe]` for it to be seen.
    pub needs: Option<&'static str>,
    text: StoryText,
}

#[derive(Debug)]
enum StoryText {
    /// A whole scenario.
    Day(&'static str),
    /// What is added to the account that stories share.
    Event(&'static str),
}

const fn day(name: &'static str, about: &'static str, text: &'static str) -> Story {
    Story { name, about, reason: None, needs: None, text: StoryText::Day(text) }
}

const fn event(name: &'static str, reason: Reason, about: &'static str, text: &'static str) -> Story {
    Story { name, about, reason: Some(reason), needs: None, text: StoryText::Event(text) }
}

const LISTENS: Option<&str> = Some("hear = { speech = true }");

/// In the order in which they are listed: days, then reasons as [`Reason::ALL`] has them.
pub const STORIES: &[Story] = &[
    day(
        "breaks",
        "one group's webhook answers HTTP 500 for ten minutes, and is mended",
        include_str!("../../tests/scenarios/breaks.toml"),
    ),
    day(
        "port-day",
        "the demo's day: fourteen numbers port one by one, two hours later a webhook breaks",
        include_str!("../../tests/scenarios/port-day.toml"),
    ),
    day(
        "quiet-fortnight",
        "two weeks on which nothing is wrong, and much looks so",
        include_str!("stories/quiet-fortnight.toml"),
    ),
    event(
        "webhook-500",
        Reason::Webhook,
        "support's webhook answers HTTP 500, and stays so",
        r#"
        [[event]]
        at      = "2m"
        handler = { url = "https://app.example.com/support/voice", becomes = "error", status = 500 }
        "#,
    ),
    event(
        "content",
        Reason::Content,
        "support's webhook answers with a page that is no TwiML",
        r#"
        [[event]]
        at      = "2m"
        handler = { url = "https://app.example.com/support/voice", becomes = "not-twiml" }
        "#,
    ),
    event(
        "rescued",
        Reason::Rescued,
        "orders' webhook fails, and the numbers' own fallback URL serves the callers",
        r#"
        [[event]]
        at      = "2m"
        handler = { url = "https://app.example.com/orders/voice", becomes = "error", status = 503 }
        "#,
    ),
    event(
        "forward",
        Reason::Forward,
        "branches' webhook puts callers through to a line that is dead",
        r#"
        [[event]]
        at      = "2m"
        handler = { url = "https://app.example.com/branches/voice", becomes = "dead-target" }
        "#,
    ),
    event(
        "no-handler",
        Reason::NoHandler,
        "somebody empties the voice URL of support's numbers",
        r#"
        [[event]]
        at   = "2m"
        edit = { number = "+12125550100", set = { VoiceUrl = "" } }

        [[event]]
        at   = "2m"
        edit = { number = "+12125550101", set = { VoiceUrl = "" } }

        [[event]]
        at   = "2m"
        edit = { number = "+12125550102", set = { VoiceUrl = "" } }
        "#,
    ),
    event(
        "trunk",
        Reason::Trunk,
        "the telephone system behind front-desk's trunk cannot be reached",
        r#"
        [[event]]
        at      = "2m"
        handler = { url = "sip:desk.example.com", becomes = "unreachable" }
        "#,
    ),
    event(
        "fallback",
        Reason::Fallback,
        "support's webhook fails, and so does the fallback that its numbers are swapped to",
        r#"
        # Leads on to a page that is not there, which shows only once somebody calls.
        [[bin]]
        sid   = "EH5e1f0000000000000000000000000002"
        does  = "twiml"
        twiml = "<Response><Redirect>https://app.example.com/gone</Redirect></Response>"

        [[event]]
        at      = "2m"
        handler = { url = "https://app.example.com/support/voice", becomes = "error", status = 500 }
        "#,
    ),
    event(
        "template",
        Reason::Template,
        "somebody points support's numbers at a TwiML Bin whose template is broken",
        r#"
        [[event]]
        at   = "2m"
        edit = { number = "+12125550100", set = { VoiceUrl = "https://handler.twilio.com/twiml/EH5e1f0000000000000000000000000003" } }

        [[event]]
        at   = "2m"
        edit = { number = "+12125550101", set = { VoiceUrl = "https://handler.twilio.com/twiml/EH5e1f0000000000000000000000000003" } }

        [[event]]
        at   = "2m"
        edit = { number = "+12125550102", set = { VoiceUrl = "https://handler.twilio.com/twiml/EH5e1f0000000000000000000000000003" } }
        "#,
    ),
    event(
        "carrier",
        Reason::Carrier,
        "support's calls break before any TwiML runs, without an alert",
        r#"
        [[event]]
        at      = "2m"
        traffic = { group = "support", call_error = 0 }
        "#,
    ),
    event(
        "account",
        Reason::Account,
        "Twilio refuses support's calls, for the account is not active",
        r#"
        [[event]]
        at      = "2m"
        traffic = { group = "support", call_error = 10003 }
        "#,
    ),
    event(
        "platform",
        Reason::Platform,
        "Twilio fails internally at support's calls",
        r#"
        [[event]]
        at      = "2m"
        traffic = { group = "support", call_error = 12400 }
        "#,
    ),
    event(
        "other-url",
        Reason::OtherUrl,
        "support's webhook answers and sends callers on to another host, which fails",
        r#"
        [[event]]
        at      = "2m"
        handler = { url = "https://app.example.com/support/voice", becomes = "second-hop" }
        "#,
    ),
    event(
        "unexplained",
        Reason::Unexplained,
        "support's webhook opens a media stream that cannot be reached, and the calls are over",
        r#"
        [[event]]
        at      = "2m"
        handler = { url = "https://app.example.com/support/voice", becomes = "dead-stream" }
        "#,
    ),
    event(
        "registration",
        Reason::Registration,
        "carriers refuse sales' replies, for the sender is not registered (30034)",
        r#"
        [[event]]
        at      = "2m"
        traffic = { group = "sales", reply_error = 30034 }
        "#,
    ),
    event(
        "delivery",
        Reason::Delivery,
        "sales' replies are lost for a cause that nobody names (30008)",
        r#"
        [[event]]
        at      = "2m"
        traffic = { group = "sales", reply_error = 30008 }
        "#,
    ),
    event(
        "not-arriving",
        Reason::NotArriving,
        "late's numbers are said to be ported and are not: no call reaches Twilio, from the start on",
        r#"
        [[group]]
        name    = "late"
        numbers = ["+12125550600", "+12125550601"]
        traffic = { calls_per_hour = 120, shape = "flat" }
        routing = { voice_url = "https://app.example.com/late/voice" }
        port    = { requested = false }
        "#,
    ),
    Story {
        needs: LISTENS,
        ..event(
            "nothing-heard",
            Reason::NothingHeard,
            "support's webhook answers, and nobody says anything",
            r#"
            [[event]]
            at      = "2m"
            handler = { url = "https://app.example.com/support/voice", becomes = "silent" }
            "#,
        )
    },
    Story {
        needs: LISTENS,
        ..event(
            "wrong-answer",
            Reason::WrongAnswer,
            "support's callers hear the tones of a number that is not in service",
            r#"
            [[event]]
            at      = "2m"
            handler = { url = "https://app.example.com/support/voice", becomes = "out-of-service" }
            "#,
        )
    },
];

impl Story {
    /// The story of this name.
    pub fn named(name: &str) -> Option<&'static Story> {
        STORIES.iter().find(|s| s.name == name)
    }

    /// The one that was perhaps meant.
    pub fn near(name: &str) -> Option<&'static str> {
        nearest(name, STORIES.iter().map(|s| s.name))
    }

    /// The story that shows `reason`.
    pub fn of(reason: Reason) -> Option<&'static Story> {
        STORIES.iter().find(|s| s.reason == Some(reason))
    }

    /// Its scenario, as a file would have it.
    pub fn text(&self) -> String {
        match self.text {
            StoryText::Day(text) => text.to_owned(),
            // Before the account's own, so that a bin of the story's is the first.
            StoryText::Event(text) => {
                let lines: String = text.lines().map(|l| format!("{}\n", l.trim_start())).collect();
                let account = include_str!("stories/account.toml");
                let (name, about) = (self.name, self.about);
                format!(
                    "# {about}.\n\nname    = \"{name}\"\nseed    = 7\nlasts   = \"4h\"\nhistory = \"20m\"\n{lines}\n{account}"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::Scenario;

    #[test]
    fn every_story_is_a_scenario_and_every_reason_has_one() {
        for story in STORIES {
            let scenario = Scenario::parse(&story.text()).unwrap_or_else(|e| panic!("{}: {e}", story.name));
            assert_eq!(scenario.name, story.name);
            let first = scenario.events.iter().map(|e| e.at.as_secs()).min();
            assert!(first.is_none_or(|at| at >= 120), "{} leaves time to look around", story.name);
        }
        let told: Vec<Reason> = STORIES.iter().filter_map(|s| s.reason).collect();
        assert_eq!(told, Reason::ALL);
        assert_eq!(Story::near("webhook-50"), Some("webhook-500"));
    }
}
