//! A test call that a command of the user's places, from another carrier perhaps.
//!
//! The command is an argument vector; no shell reads it. `{number}` and `{nonce}` in its arguments stand for
//! the number to call and a word that is new each time; both are in `RINGBACK_NUMBER` and `RINGBACK_NONCE`
//! too. It writes one JSON object to its standard output:
//!
//! ```json
//! {"result":"success","started_at":"2026-11-21T09:00:03Z","answered_after_s":1.4}
//! {"result":"failure","reason":"not_arriving"}
//! {"result":"error","reason":"no route"}
//! ```
//!
//! `result` is `success`, `failure` (a caller would not have been served) or `error` (could not be measured).
//! A failure's `reason` is one of the core's reasons; without one, it is `not_arriving`. `started_at` and
//! `answered_after_s` may be left out. Whatever else it does is an error, never a failure. It sees none of the
//! agent's secrets: its environment is its own. When it ends, or its time is over, it is killed with
//! whatever it has started.
//!
//! Nothing of what it writes is repeated but its result and a few words of its reason, without digits: it may
//! print telephone numbers and passwords.
//!
//! If the command's own number is configured (`from`), what it says is not taken on trust: the call must be
//! in Twilio's log, and is judged there.

use std::time::Duration;

use serde::Deserialize;

use super::arrive::{Sought, follow};
use super::call::record;
use super::{Made, ProbeContext, unmeasured};
use crate::child::{self, Kept, Program};
use crate::core::model::foreign::{LONGEST, line};
use crate::core::model::id::{Channel, E164};
use crate::core::model::reason::Reason;
use crate::core::model::redact::without_secrets;
use crate::core::model::time::Time;
use crate::core::probe::read::Expected;
use crate::core::probe::{External, Origin, ProbeAttempt, ProbeFinding, ProbeKind, Unmeasured};

/// A command may end before its call begins.
const LATER: Duration = Duration::from_secs(60);

/// What a command says of its call.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    pub found: ProbeFinding,
    pub started_at: Option<Time>,
    pub answered_after: Option<Duration>,
    pub detail: String,
}

impl Said {
    fn error(detail: String) -> Said {
        Said { found: ProbeFinding::Error(Unmeasured::Command), started_at: None, answered_after: None, detail }
    }

    /// Reads what a command wrote.
    pub fn parse(output: &[u8]) -> Said {
        #[derive(Deserialize)]
        struct Raw {
            result: String,
            #[serde(default)]
            reason: Option<String>,
            #[serde(default)]
            started_at: Option<String>,
            #[serde(default)]
            answered_after_s: Option<f64>,
        }
        let raw: Raw = match serde_json::from_slice(output) {
            Ok(raw) => raw,
            // The reader's own words would quote what is there.
            Err(e) => {
                let (line, column) = (e.line(), e.column());
                return Said::error(format!("what it wrote is no result (line {line}, column {column})"));
            }
        };
        let reason = raw.reason.as_deref().unwrap_or("");
        let found = match (raw.result.as_str(), reason) {
            ("success", _) => ProbeFinding::Success,
            ("failure", "") => ProbeFinding::Failure(Reason::NotArriving),
            ("failure", reason) => match reason.parse::<Reason>() {
                Ok(reason) => ProbeFinding::Failure(reason),
                Err(_) => return Said::error(format!("its reason is {:?}, which is none of ours", clip(reason))),
            },
            ("error", _) => ProbeFinding::Error(Unmeasured::Command),
            (other, _) => {
                return Said::error(format!("its result is {:?}; use success, failure or error", clip(other)));
            }
        };
        let after = raw.answered_after_s.filter(|s| s.is_finite() && *s >= 0.0);
        Said {
            found,
            started_at: raw.started_at.and_then(|t| t.parse().ok()),
            answered_after: after.and_then(|s| Duration::try_from_secs_f64(s).ok()),
            detail: format!("the command says {} {}", raw.result, clip(reason)).trim_end().to_owned(),
        }
    }
}

/// A reason as it may stand in a log: a few words, and no telephone number.
fn clip(reason: &str) -> String {
    let reason = line(&without_secrets(&line(reason, LONGEST)), 80);
    reason.chars().map(|c| if c.is_numeric() { '#' } else { c }).collect()
}

/// Runs the command to its end.
pub async fn run(clock: &crate::clock::Clock, external: &External, number: E164, nonce: &str) -> Said {
    let fill = |arg: &String| arg.replace("{number}", &number.to_string()).replace("{nonce}", nonce);
    let argv: Vec<String> = external.command.iter().map(fill).collect();
    let Some((program, arguments)) = argv.split_first() else {
        return Said::error("there is no command".to_owned());
    };
    let environment = [("RINGBACK_NUMBER", number.to_string()), ("RINGBACK_NONCE", nonce.to_owned())];
    let run = Program { program, arguments, environment: &environment, input: None, kept: Kept::Result };
    match clock.timeout(external.timeout, child::run(clock, &run)).await {
        Ok(Ok(ended)) if ended.status.success() => Said::parse(&ended.said),
        Ok(Ok(ended)) => Said::error(format!("it ended with {}", ended.status)),
        Ok(Err(e)) => Said::error(format!("{program} cannot be run: {e}")),
        Err(timed_out) => Said::error(format!("it {timed_out}")),
    }
}

/// Has the command place a call, and looks for it in Twilio's log where its number is known.
pub async fn call(cx: &ProbeContext, index: usize, nonce: &str) -> Made {
    let clock = &cx.shared.clock;
    let asked_at = clock.now();
    let external = &cx.settings.externals[index];
    let to = cx.shared.roster.number(cx.number).id.e164;
    let record = record(cx, Channel::Voice).await;
    let said = run(clock, external, to, nonce).await;
    let said_at = clock.now();
    let started_at = said.started_at.filter(|t| *t >= asked_at && *t <= clock.now()).unwrap_or(asked_at);
    let made = |found, entry, on_fallback, detail| {
        let (kind, origin, ended_at) = (ProbeKind::Call, Origin::External(index), clock.now());
        let answered_after = said.answered_after;
        let attempt = ProbeAttempt { kind, origin, started_at, ended_at, found, entry, answered_after, detail };
        Made { attempt, on_fallback }
    };
    let record = match record {
        Ok(record) => record,
        Err(e) => return made(ProbeFinding::Error(unmeasured(&e)), None, false, e.to_string()),
    };
    let expected = Expected {
        record: record.as_ref(),
        our_fallback: cx.shared.roster.group_of(cx.number).fallback(Channel::Voice),
        min_duration: Duration::ZERO,
        fallback_dials: cx.shared.fallback_dials(cx.number, Channel::Voice),
    };
    let on_fallback = expected.is_on_fallback(Channel::Voice);
    match (external.from, said.found) {
        // The command heard that nobody was served, or could not tell: the log would add nothing.
        (_, ProbeFinding::Error(_)) | (None, _) => made(said.found, None, on_fallback, said.detail.clone()),
        (Some(from), _) => {
            let [since, until] = [asked_at, said_at + LATER].map(|t| cx.shared.client.their_time(t));
            let sought = Sought { from, to, since, until, outbound: None, hung_up: true };
            let followed = follow(cx, &sought, &expected).await;
            let found = match (said.found, followed.found) {
                (ProbeFinding::Failure(reason), ProbeFinding::Success) => ProbeFinding::Failure(reason),
                (_, found) => found,
            };
            made(found, followed.entry, on_fallback, format!("{}; {}", said.detail, followed.detail))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    fn external(command: &[&str], seconds: u64) -> External {
        let command = command.iter().map(|c| (*c).to_owned()).collect();
        External { command, from: None, timeout: Duration::from_secs(seconds) }
    }

    fn say(command: &[&str], millis: u64) -> Said {
        let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let external = External { timeout: Duration::from_millis(millis), ..external(command, 1) };
        rt.block_on(run(&Clock::system(), &external, "+15005550100".parse().unwrap(), "ab12"))
    }

    #[test]
    fn a_result_is_read_and_nothing_else_is_a_failure() {
        let found = |text: &str| Said::parse(text.as_bytes()).found;
        let said = Said::parse(br#"{"result":"success","started_at":"2026-11-21T09:00:03Z","answered_after_s":1.5}"#);
        assert_eq!((said.found, said.answered_after), (ProbeFinding::Success, Some(Duration::from_millis(1500))));
        assert_eq!(said.started_at, "2026-11-21T09:00:03Z".parse().ok());
        assert_eq!(
            found(r#"{"result":"failure","reason":"nothing_heard"}"#),
            ProbeFinding::Failure(Reason::NothingHeard)
        );
        assert_eq!(found(r#"{"result":"failure"}"#), ProbeFinding::Failure(Reason::NotArriving));
        for odd in ["", "{}", r#"{"result":"fine"}"#, r#"{"result":"failure","reason":"x"}"#, r#"{"result":"error"}"#] {
            assert_eq!(found(odd), ProbeFinding::Error(Unmeasured::Command), "{odd}");
        }
        let said = Said::parse(br#"{"result":"error","reason":"no route to +12025550123"}"#);
        assert!(!said.detail.contains("202"), "{}", said.detail);
    }

    #[test]
    fn a_command_gets_the_number_and_no_secret_and_is_killed_in_time() {
        let echo = r#"printf '{"result":"failure","reason":"%s"}' "$([ "$1$RINGBACK_NUMBER$RINGBACK_NONCE" = "+15005550100+15005550100ab12" ] && echo nothing_heard)""#;
        assert_eq!(
            say(&["/bin/sh", "-c", echo, "sh", "{number}"], 5000).found,
            ProbeFinding::Failure(Reason::NothingHeard)
        );
        let said = say(&["/bin/sh", "-c", "sleep 60"], 50);
        assert!(said.detail.contains("timed out"), "{}", said.detail);
        assert!(say(&["/nowhere/at/all"], 1000).detail.contains("cannot be run"));
        assert!(say(&["/bin/sh", "-c", "exit 3"], 5000).detail.contains("ended with"));
    }

    #[test]
    fn nothing_that_a_command_prints_is_repeated() {
        for odd in [
            r#"{"result":"hunter2 +12025550123"}"#,
            r#"{"result":"failure","reason":"+12025550123"}"#,
            r#"{"result":"success","answered_after_s":"+12025550123"}"#,
            r#"{"result":["+12025550123"]}"#,
            "sip:+12025550123@example.com refused",
        ] {
            let said = Said::parse(odd.as_bytes());
            assert_eq!(said.found, ProbeFinding::Error(Unmeasured::Command), "{odd}");
            assert!(!said.detail.contains("2025550123") && said.detail.len() < 160, "{}", said.detail);
        }
        let long = format!(r#"{{"result":"{}"}}"#, "x".repeat(60_000));
        assert!(Said::parse(long.as_bytes()).detail.len() < 160);
        assert_eq!(Said::parse(b"{\"result\":\"\xff\xfe\"}").found, ProbeFinding::Error(Unmeasured::Command));
    }

    #[test]
    fn a_command_that_never_ends_its_output_or_its_children_is_done_with_in_time() {
        let began = std::time::Instant::now();
        // Megabytes, and then a result.
        let much = "yes | head -c 9000000; echo '{\"result\":\"success\"}'";
        assert_eq!(say(&["/bin/sh", "-c", much], 10_000).found, ProbeFinding::Error(Unmeasured::Command));
        // Children that keep the pipe open, one of a command that ends and one of a command that does not.
        let file = std::env::temp_dir().join(format!("ringback-child-{}", std::process::id()));
        let left = |then: &str| {
            let child = "(trap '' TERM HUP; sleep 2; echo alive > \"$1\"; sleep 60) & ";
            let script = format!("{child}printf '{{\"result\":\"success\"}}'{then}");
            say(&["/bin/sh", "-c", &script, "sh", file.to_str().unwrap()], 1500)
        };
        assert_eq!(left("").found, ProbeFinding::Success, "what it started does not hold it up");
        assert!(left("; sleep 60").detail.contains("timed out"));
        assert!(began.elapsed() < Duration::from_secs(8));
        std::thread::sleep(Duration::from_millis(2500));
        assert!(!file.exists(), "what it started outlived it");
    }

    #[test]
    fn a_command_sees_no_variable_of_the_agents() {
        // Cargo sets this one; a notifier's secret has whatever name the configuration gives it.
        assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
        let script = r#"printf '{"result":"failure","reason":"%s"}' "${CARGO_MANIFEST_DIR:-nothing_heard}""#;
        assert_eq!(say(&["/bin/sh", "-c", script], 5000).found, ProbeFinding::Failure(Reason::NothingHeard));
        assert!(say(&["/bin/sh", "-c", "exit 0", "a\0b"], 5000).detail.contains("cannot be run"));
    }
}
