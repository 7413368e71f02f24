//! `ringback learn`, the real binary, over call records as exports have them.
//!
//! `tests/learn/calls.csv` has three weeks of five numbers: customers, a weekly sweep, redials, outbound rows, rows
//! twice,
//! a number that is new and one that nobody calls. What a program of its own, in another language, makes of it is in
//! `reference.json`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::world::Folder;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/learn").join(name)
}

/// A folder with the configuration of the records, and what is added to it.
fn folder(more: &str) -> Folder {
    let folder = Folder::new();
    for name in ["support.csv", "sales.csv", "carriers.csv"] {
        fs::copy(fixture(name), folder.path().join(name)).unwrap();
    }
    let config = fs::read_to_string(fixture("ringback.toml")).unwrap();
    fs::write(folder.path().join("ringback.toml"), format!("{config}{more}")).unwrap();
    folder
}

fn run(folder: &Folder, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ringback"))
        .arg("learn")
        .args(words)
        .args(["--at", "2026-11-30T00:00:00Z"])
        .current_dir(folder.path())
        .env("TERM", "dumb")
        .output()
        .unwrap()
}

/// Learns from this text; gives the profile, and the summary as JSON.
fn learn(folder: &Folder, text: &str) -> (Value, Value) {
    fs::write(folder.path().join("calls.csv"), text).unwrap();
    let out = run(folder, &["calls.csv", "--carriers", "carriers.csv", "--force", "--json"]);
    assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
    let profile = fs::read_to_string(folder.path().join("profile.json")).unwrap();
    (serde_json::from_str(&profile).unwrap(), serde_json::from_slice(&out.stdout).unwrap())
}

fn calls() -> String {
    fs::read_to_string(fixture("calls.csv")).unwrap()
}

/// Each row's fields, the header left out.
fn fields(text: &str) -> Vec<Vec<String>> {
    text.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

fn close(ours: &Value, theirs: &Value, what: &str) {
    let (ours, theirs) = (ours.as_f64().unwrap(), theirs.as_f64().unwrap());
    let apart = (ours - theirs).abs() / ours.abs().max(theirs.abs()).max(1e-9);
    assert!(apart <= 2e-5, "{what}: {ours}, and by the reference {theirs}");
}

#[test]
fn a_profile_is_the_one_that_another_program_makes() {
    let (profile, summary) = learn(&folder(""), &calls());
    let want: Value = serde_json::from_str(&fs::read_to_string(fixture("reference.json")).unwrap()).unwrap();
    close(&profile["mean_call_s"], &want["mean_call_s"], "mean_call_s");
    close(&profile["account"]["spread"], &want["account"], "account");
    for (group, spread) in want["groups"].as_object().unwrap() {
        close(&profile["groups"][group]["spread"], spread, group);
    }
    for (i, share) in want["shares"].as_array().unwrap().iter().enumerate() {
        close(&profile["carriers"][i]["share"], share, "share");
    }
    let numbers = want["numbers"].as_object().unwrap();
    assert_eq!(numbers.len(), 4);
    for (number, want) in numbers {
        let ours = &profile["numbers"][number];
        assert_eq!(ours["calls"], want["calls"], "{number}");
        for field in ["level", "rests_on", "newness", "spread"] {
            close(&ours[field], &want[field], &format!("{number} {field}"));
        }
        for field in ["week", "carriers"] {
            let (ours, want) = (ours[field].as_array().unwrap(), want[field].as_array().unwrap());
            assert_eq!(ours.len(), want.len());
            ours.iter().zip(want).for_each(|(a, b)| close(a, b, &format!("{number} {field}")));
        }
    }
    assert_eq!(profile["numbers"]["+15005550103"]["standing"], "dead", "only the sweep rings it");
    assert_eq!(profile["numbers"]["+15005550104"]["standing"], "new");
    let rows = &summary["rows"];
    let [read, used, left_out] = ["read", "used", ""].map(|key| rows[key].as_u64().unwrap_or(0));
    let left_out = ["duplicates", "outbound", "tests", "redials", "other_numbers", "old", "bad"]
        .iter()
        .fold(left_out, |sum, key| sum + rows[key].as_u64().unwrap());
    assert_eq!((read, rows["duplicates"].as_u64(), rows["tests"].as_u64()), (604, Some(2), Some(20)), "{rows}");
    assert_eq!(read, used + left_out, "every row is accounted for: {rows}");
}

/// However the time is written, in whichever order, with other headings and marks: the same profile.
#[test]
fn the_same_calls_in_other_writings_are_the_same_profile() {
    let columns = "[history.columns]\nnumber = \"Line\"\ncaller = \"Who\"\nstart = \"Began\"\ndirection = \"Way\"\n\
                   duration = \"Length\"\nanswered = \"Picked up\"\ntimezone = \"America/Chicago\"\n";
    let (plain, mapped) = (folder(""), folder(columns));
    let (want, _) = learn(&plain, &calls());
    let rows = fields(&calls());
    let at = |text: &str| text.replace(' ', "T").parse::<jiff::civil::DateTime>().unwrap();
    let utc = |text: &str| at(text).to_zoned(jiff::tz::TimeZone::UTC).unwrap();
    let chicago = |text: &str| utc(text).with_time_zone(jiff::tz::TimeZone::get("America/Chicago").unwrap());
    let header = "Tracking Number,Caller Number,Start Time,Duration (seconds),Answered,Direction";

    let mut offset: Vec<String> = rows
        .iter()
        .map(|r| [&r[..2], &[chicago(&r[2]).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()], &r[3..]].concat().join(","))
        .collect();
    offset.reverse();
    let (profile, summary) = learn(&plain, &format!("{header}\n{}\n", offset.join("\n")));
    assert_eq!(summary["files"][0]["times"], "each with its offset");
    assert_eq!(profile, want);

    // No call falls into the hour that comes twice.
    let wall = |r: &Vec<String>| chicago(&r[2]).strftime("%Y-%m-%d %H:%M:%S").to_string();
    let local: Vec<String> = rows.iter().map(|r| [&r[..2], &[wall(r)], &r[3..]].concat().join("\t")).collect();
    let zoned = header.replace("Start Time", "Start Time (America/Chicago)").replace(',', "\t");
    let (profile, summary) = learn(&plain, &format!("\u{feff}{zoned}\r\n{}\r\n", local.join("\r\n")));
    assert!(summary["files"][0]["times"].as_str().unwrap().starts_with("in the zone of the heading"), "{summary}");
    assert_eq!(profile, want);

    let american = |r: &Vec<String>| chicago(&r[2]).strftime("%-m/%-d/%Y %-I:%M:%S %p").to_string();
    let row = |r: &Vec<String>| {
        let national = format!("({}) {}-{}", &r[0][2..5], &r[0][5..8], &r[0][8..]);
        [r[5].replace("bound", ""), american(r), national, r[1][1..].to_owned(), r[3].clone(), r[4].clone()].join(";")
    };
    let mapped_rows: Vec<String> = rows.iter().map(row).collect();
    let text = format!("Way;Began;Line;Who;Length;Picked up\n{}\n", mapped_rows.join("\n"));
    assert_eq!(learn(&mapped, &text).0, want);
}

#[test]
fn the_same_files_give_the_same_bytes_and_overlapping_ones_count_once() {
    let folder = folder("");
    let text = calls();
    let (first, _) = learn(&folder, &text);
    let bytes = fs::read(folder.path().join("profile.json")).unwrap();
    learn(&folder, &text);
    assert_eq!(fs::read(folder.path().join("profile.json")).unwrap(), bytes);

    let lines: Vec<&str> = text.lines().collect();
    let part = |from: usize, to: usize| format!("{}\n{}\n", lines[0], lines[from..to].join("\n"));
    fs::write(folder.path().join("a.csv"), part(1, 400)).unwrap();
    fs::write(folder.path().join("b.csv"), part(300, lines.len())).unwrap();
    let out = run(&folder, &["a.csv", "b.csv", "--carriers", "carriers.csv", "--out", "both.json"]);
    assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
    let mut both: Value = serde_json::from_slice(&fs::read(folder.path().join("both.json")).unwrap()).unwrap();
    assert_eq!(both["sources"][1]["rows"], 305);
    both["sources"] = first["sources"].clone();
    assert_eq!(both, first);
}

#[test]
fn no_callers_number_is_kept_or_printed() {
    let folder = folder("");
    let mut text = calls();
    text.push_str(
        "+15005550100,+15552019999,someday,1,yes,inbound\n\"+15005550100,+15552018888,2026-11-01 09:00:00,1\n",
    );
    fs::write(folder.path().join("calls.csv"), &text).unwrap();
    let out = run(&folder, &["calls.csv", "--carriers", "carriers.csv"]);
    assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
    let profile = fs::read_to_string(folder.path().join("profile.json")).unwrap();
    let said = [out.stdout, out.stderr, profile.into_bytes()].concat();
    let said = String::from_utf8(said).unwrap();
    let callers: Vec<String> = fields(&calls()).into_iter().map(|r| r[1].clone()).collect();
    assert!(callers.len() > 500);
    for caller in callers.iter().map(String::as_str).chain(["+15552019999", "+15552018888"]) {
        assert!(!said.contains(&caller[1..]), "{caller}");
    }
    assert!(said.contains("calls.csv:606: \"someday\": no time that is understood"), "{said}");
    assert!(said.contains("calls.csv:607: this quotation mark is never closed"), "{said}");
}

#[test]
fn what_cannot_be_used_is_told_with_its_cure() {
    let folder = folder("");
    let header = "Tracking Number,Caller Number,Start Time,Direction";
    for (text, code, want) in [
        ("", 3, "calls.csv is empty"),
        (header, 3, "none of 0 rows is a call to a number of the configuration; there is no row below the headings"),
        (
            "Tracking Number,Start Time\n+15005559999,2026-11-01T09:00:00Z",
            3,
            "1 are of other numbers than the configuration has: check its numbers",
        ),
        (
            "To,Start Time,Direction\n+15005550100,2026-11-01T09:00:00Z,outbound",
            3,
            "1 are of outbound calls: export inbound calls",
        ),
        ("To,Start Time\n+15005550100,45000.5", 3, "calls.csv:2: \"45000.5\": no time that is understood"),
        ("Line,Began\n+15005550100,2026-11-01T09:00:00Z", 2, "[history.columns]\nnumber = \"Line\"\nstart = \"Began\""),
        (
            "To,Start Time (EST)\n+15005550100,2026-11-01 09:00:00",
            2,
            "[history.columns] timezone = \"America/Chicago\"",
        ),
        ("PK\u{3}\u{4}", 3, "a zip archive or a spreadsheet"),
    ] {
        fs::write(folder.path().join("calls.csv"), text).unwrap();
        let out = run(&folder, &["calls.csv"]);
        let said = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(code), "{text}: {said}");
        assert!(said.contains(want), "{text}: {said}");
        assert!(!folder.path().join("profile.json").exists(), "{text}: nothing is written");
    }
    let out = run(&folder, &["nothing.csv"]);
    assert_eq!(out.status.code(), Some(3));
    assert!(String::from_utf8(out.stderr).unwrap().contains("nothing.csv cannot be read"));
}

#[test]
fn a_profile_that_is_there_is_replaced_only_if_told_so() {
    let folder = folder("");
    learn(&folder, &calls());
    let before = fs::read(folder.path().join("profile.json")).unwrap();
    fs::write(folder.path().join("one.csv"), "To,Start Time\n+15005550100,2026-11-01T09:00:00Z\n").unwrap();
    let out = run(&folder, &["one.csv"]);
    assert_eq!(out.status.code(), Some(2));
    assert!(String::from_utf8(out.stderr).unwrap().contains("replace it with --force"));
    assert_eq!(fs::read(folder.path().join("profile.json")).unwrap(), before);
    assert_eq!(run(&folder, &["one.csv", "--force"]).status.code(), Some(0));
    assert_ne!(fs::read(folder.path().join("profile.json")).unwrap(), before);
}

#[test]
fn what_was_learnt_is_told_and_a_week_is_plotted() {
    let folder = folder("");
    fs::write(folder.path().join("calls.csv"), calls()).unwrap();
    let out = run(&folder, &["calls.csv"]);
    let said = String::from_utf8(out.stdout).unwrap();
    for want in [
        "calls.csv: 604 rows",
        "times     in the zone of the heading",
        "rows        604 read, 538 used as callers' calls",
        "20 tests and robots",
        "1 new, their week is mostly that of others: +15005550104",
        "1 dead before the port: +15005550103",
        "use it with [history] profile = \"profile.json\" in ringback.toml",
    ] {
        assert!(said.contains(want), "{want}: {said}");
    }
    let out = run(&folder, &["--show", "+15005550100"]);
    let week = String::from_utf8(out.stdout).unwrap();
    let rows: Vec<&str> = week.lines().filter(|line| line.starts_with("Mon ") || line.starts_with("Sun ")).collect();
    assert!(week.starts_with("+15005550100  usual, 297 calls, 2026-10-12 to 2026-11-04, America/New_York\n"), "{week}");
    assert!(week.is_ascii() && week.lines().all(|line| line.len() <= 100), "{week}");
    // Open from nine to five.
    let night = |row: &str| row[5..5 + 16].trim_matches([' ', '.', ':']).is_empty();
    assert!(rows.len() == 2 && rows.iter().all(|row| night(row)), "{week}");
    assert!(rows[0][5 + 18..5 + 34].contains(['#', '@', '*']), "{week}");
    assert_eq!(run(&folder, &["--show", "+15005559999"]).status.code(), Some(2));
    let out = run(&folder, &["--show", "+15005550100", "--out", "calls.csv"]);
    assert_eq!(out.status.code(), Some(3));
    assert!(String::from_utf8(out.stderr).unwrap().contains("is no profile"));
}
