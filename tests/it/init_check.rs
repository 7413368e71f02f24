//! What `init` writes passes `check` as it stands: nobody's hand comes between.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::world::in_real_time;

const STORY: &str = include_str!("../scenarios/breaks.toml");
const STORY_BIN: &str = "https://handler.twilio.com/twiml/EH5e1f0000000000000000000000000001";

/// A folder on a disk: a state that lies in memory is a finding, and temporary files may lie there.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("init-check-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// The program in this folder: its exit code, and what it said.
fn ringback(folder: &Path, words: &[&str], env: &[(&str, &str)]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringback"));
    command.args(words).current_dir(folder).stdin(Stdio::null());
    for name in ["TWILIO_API_KEY", "TWILIO_API_SECRET", "TWILIO_EDGE", "TWILIO_REGION", "RINGBACK_TOKEN"] {
        command.env_remove(name);
    }
    let out = command.envs(env.iter().copied()).output().unwrap();
    let said = String::from_utf8(out.stdout).unwrap() + &String::from_utf8(out.stderr).unwrap();
    (out.status.code().unwrap(), said)
}

/// The findings' codes, each at the beginning of its paragraph.
fn codes(said: &str) -> Vec<&str> {
    let code = |line: &str| line.starts_with("RB") && (line.contains(" error: ") || line.contains(" warning: "));
    said.lines().filter(|l| code(l)).filter_map(|l| l.split(' ').next()).collect()
}

#[test]
fn what_init_writes_of_the_ready_story_passes_check() {
    let (sim, base) = in_real_time(STORY);
    let account = sim.scenario().account;
    let sid = account.sid.to_string();
    let env = [("TWILIO_ACCOUNT_SID", &*sid), ("TWILIO_AUTH_TOKEN", &account.auth_token)];
    let all = ["init", "--base-url", &base, "--fallback", STORY_BIN, "--sms-fallback", STORY_BIN, "--probe"];

    let whole = folder("whole");
    let (code, told) = ringback(&whole, &[&all[..], &["--notify", "desktop"]].concat(), &env);
    assert!(code == 0 && !told.contains("FILL IN"), "{told}");
    let (code, said) = ringback(&whole, &["check"], &env);
    assert_eq!((code, codes(&said)), (0, vec![]), "{said}");
    let (code, said) = ringback(&whole, &["check", "--strict"], &env);
    assert_eq!(code, 0, "{said}");
    std::fs::remove_dir_all(&whole).unwrap();

    // What is not said yet is a finding and a line of `init`, one each: no more and no less.
    let bare = folder("bare");
    let (code, told) = ringback(&bare, &all[..3], &env);
    assert!(code == 0 && told.matches("\nFILL IN: ").count() == 2, "{told}");
    let (code, said) = ringback(&bare, &["check"], &env);
    assert_eq!((code, codes(&said)), (1, vec!["RB621", "RB411", "RB501"]), "{said}");
    std::fs::remove_dir_all(&bare).unwrap();
}

/// Its secret stays where it is, and a variable that is not set is said before anything is written.
#[test]
fn a_notifiers_secret_is_named_by_its_variable() {
    let folder = folder("secret");
    let (code, told) = ringback(&folder, &["init", "--notify", "slack"], &[]);
    assert!(code == 2 && told.contains("SLACK_WEBHOOK is not set"), "{told}");
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
    for (kind, variable) in [
        ("slack", "SLACK_WEBHOOK"),
        ("teams", "TEAMS_WEBHOOK"),
        ("pagerduty", "PAGERDUTY_KEY"),
        ("opsgenie", "OPSGENIE_KEY"),
    ] {
        let secret = "https://hooks.example.com/services/T000/s3cret";
        let (sim, base) = in_real_time(STORY);
        let account = sim.scenario().account;
        let sid = account.sid.to_string();
        let env = [("TWILIO_ACCOUNT_SID", &*sid), ("TWILIO_AUTH_TOKEN", &account.auth_token), (variable, secret)];
        let words = ["init", "--force", "--base-url", &base, "--notify", kind];
        let (code, told) = ringback(&folder, &words, &env);
        assert_eq!(code, 0, "the file is read with its notifier: {told}");
        let text = std::fs::read_to_string(folder.join("ringback.toml")).unwrap();
        assert!(text.contains(variable) && !text.contains("s3cret") && !told.contains("s3cret"), "{text}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
