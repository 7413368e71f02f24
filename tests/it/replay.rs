//! `ringback replay`, the real binary, over recordings whose decisions are known.
//!
//! Each folder of tests/recordings has a configuration whose first line says what happens, a log,
//! what was decided, and what was said. `RINGBACK_BLESS=1` writes the last two again; read the
//! difference before committing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings")
}

fn replay(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ringback")).arg("replay").args(arguments).output().unwrap()
}

/// Plays a recording, writing its decisions to the output stream.
fn play(recording: &Path, events: &str) -> (String, String) {
    let config = recording.join("ringback.toml");
    let events = recording.join(events);
    let out = replay(&["--config", config.to_str().unwrap(), "--events", events.to_str().unwrap(), "--decisions", "-"]);
    assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
    let said = String::from_utf8(out.stderr).unwrap().replace(&format!("{}/", recording.display()), "");
    (String::from_utf8(out.stdout).unwrap(), said)
}

#[test]
fn recordings_give_the_decisions_that_are_known() {
    let mut folders: Vec<PathBuf> = fs::read_dir(folder()).unwrap().map(|e| e.unwrap().path()).collect();
    folders.sort();
    assert!(folders.len() >= 10);
    for recording in folders {
        let (decisions, said) = play(&recording, "events.jsonl");
        for (given, file) in [(decisions, "decisions.jsonl"), (said, "said.txt")] {
            let expected = recording.join(file);
            if std::env::var_os("RINGBACK_BLESS").is_some() {
                fs::write(&expected, &given).unwrap();
            }
            assert_eq!(given, fs::read_to_string(&expected).unwrap_or_default(), "{}", expected.display());
        }
    }
}

#[test]
fn the_same_bytes_come_from_a_file_and_from_a_pipe() {
    let recording = folder().join("group-fails");
    let config = recording.join("ringback.toml");
    let events = fs::File::open(recording.join("events.jsonl")).unwrap();
    let out = Command::new(env!("CARGO_BIN_EXE_ringback"))
        .args(["replay", "--config", config.to_str().unwrap(), "--events", "-", "--decisions", "-"])
        .stdin(events)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(out.stdout).unwrap(), play(&recording, "events.jsonl").0);
}

#[test]
fn two_configurations_are_shown_side_by_side() {
    let recording = folder().join("one-number-fails");
    let other = folder().join("own-threshold/ringback.toml");
    let arguments = [
        "--config",
        &recording.join("ringback.toml").display().to_string(),
        "--events",
        &recording.join("events.jsonl").display().to_string(),
        "--compare",
        &other.display().to_string(),
    ];
    let text = String::from_utf8(replay(&arguments).stdout).unwrap();
    assert!(text.lines().any(|l| l.starts_with("+15005550100 voice: ") && l.ends_with("s sooner")), "{text}");
    let json: serde_json::Value =
        serde_json::from_slice(&replay(&[&arguments[..], &["--json"]].concat()).stdout).unwrap();
    assert_eq!(json["differences"].as_array().unwrap().len(), 1, "{json}");
    assert_eq!(json["first"]["rollbacks"], 1);
}

/// A call that names its number by its SID alone.
#[test]
fn a_recording_says_which_number_has_which_sid() {
    let mut r = crate::log::Recording::of(crate::log::HANDLER);
    for i in 0..12 {
        let start = 60 + i * 60;
        let call = r.call(start, &crate::log::inbound(&crate::log::caller(i), 3));
        let row = &mut r.entries.last_mut().unwrap().2;
        row["to"] = ["", "+18005550100", "sip:user:pw@+15005550100"][i as usize % 3].into();
        row["phone_number_sid"] = "PN00000000000000000000000000000001".into();
        r.alert(start + 1, &call, 11200, "error", Some(crate::log::HANDLER));
    }
    assert_eq!(r.decisions().first().map(|(what, ..)| what.as_str()), Some("rollback"));
}

/// A day of texts that were sent, and one whose numbers it does not describe, are days too.
#[test]
fn what_became_of_each_channel_is_shown_also_where_nothing_is_known() {
    let config = folder().join("one-number-fails/ringback.toml");
    let dir = crate::world::Folder::new();
    let path = dir.path().join("log.jsonl");
    let played = |lines: &[serde_json::Value]| {
        fs::write(&path, lines.iter().map(|l| format!("{l}\n")).collect::<String>()).unwrap();
        let out = replay(&["--config", config.to_str().unwrap(), "--events", path.to_str().unwrap()]);
        String::from_utf8(out.stdout).unwrap()
    };
    let at = "Sat, 21 Nov 2026 09:00:00 +0000";
    let line = |kind: &str, resource: serde_json::Value| serde_json::json!({"seen_at": "2026-11-21T09:00:03Z", "kind": kind, "resource": resource});
    let call = line(
        "call",
        serde_json::json!({
            "sid": "CA00000000000000000000000000000001", "to": "+15005550100", "from": "+19175551000",
            "status": "completed", "direction": "inbound", "start_time": at, "end_time": at, "duration": "60",
        }),
    );
    let said = played(&[call]);
    let row = said.lines().find(|l| l.split_whitespace().nth(1) == Some("voice")).unwrap_or_default();
    assert_eq!(row.split_whitespace().skip(2).collect::<Vec<_>>(), ["0", "0", "0", "1"], "{said}");
    assert!(said.contains("numbers that the recording does not describe (kind number): 1"), "{said}");
}

#[test]
fn what_cannot_be_read_is_told_by_name() {
    let config = folder().join("probes/ringback.toml");
    let missing = replay(&["--config", config.to_str().unwrap(), "--events", "no-such-file.jsonl"]);
    assert_eq!(missing.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("cannot read no-such-file.jsonl"));
    let no_config = replay(&["--config", "no-such-file.toml", "--events", "-"]);
    assert_eq!(no_config.status.code(), Some(2));
    // An array, as a tool makes of it: nothing was read, and nothing is said of the day.
    let dir = crate::world::Folder::new();
    let array = dir.path().join("array.jsonl");
    fs::write(&array, "[{\"seen_at\":\"2026-11-21T09:00:00Z\",\"kind\":\"call\",\"resource\":{}}]\n").unwrap();
    let nothing = replay(&["--config", config.to_str().unwrap(), "--events", array.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&nothing.stderr).into_owned();
    assert_eq!((nothing.status.code(), said.contains("no line of")), (Some(3), true), "{said}");
}
