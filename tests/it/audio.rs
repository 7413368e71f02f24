//! Hearing, on sounds that others made: `tests/strangers/audio` writes them with sox and espeak-ng and
//! has multimon-ng decode the digits. Here they are listened to, and what was heard is held against
//! what was played.
//!
//! Run by that script, which says where the clips are.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ringback::core::probe::hearing::{Heard, SoundKind, listen};

/// What a clip holds, in one word: what it says first in the order of what explains most.
fn class(heard: &Heard) -> String {
    let digits: String = [0, 1].map(|c| heard.digits(c)).concat().iter().map(|d| d.as_char()).collect();
    let first = |is: &dyn Fn(SoundKind) -> bool| heard.sounds.iter().map(|s| s.kind).find(|k| is(*k));
    let mut found = Vec::new();
    for kind in [SoundKind::SpecialInformation, SoundKind::Busy, SoundKind::Reorder, SoundKind::Ringback] {
        found.extend(first(&|k| k == kind).map(|k| k.label().to_owned()));
    }
    if !digits.is_empty() {
        found.push(format!("dtmf:{digits}"));
    }
    if let Some(SoundKind::Tone(hz)) = first(&|k| matches!(k, SoundKind::Tone(_))) {
        found.push(format!("tone:{}", (hz / 10.0).round() * 10.0));
    }
    if heard.speech().as_millis() >= 500 {
        found.push("speech".to_owned());
    }
    if found.is_empty() { "silence".to_owned() } else { found.join("+") }
}

/// Clips of one class under one condition, and how many of them were heard right.
#[derive(Default)]
struct Score {
    right: usize,
    all: usize,
}

#[test]
#[ignore = "needs sox, espeak-ng and multimon-ng, which tests/strangers/audio uses"]
fn what_others_play_is_heard() {
    let dir = PathBuf::from(std::env::var("RINGBACK_CLIPS").expect("tests/strangers/audio sets RINGBACK_CLIPS"));
    let index = std::fs::read_to_string(dir.join("index.tsv")).unwrap();
    let mut confusion: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut scores: BTreeMap<(String, String), Score> = BTreeMap::new();
    let mut wrong_when_clean = Vec::new();
    for line in index.lines() {
        let [file, wanted, condition] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let bytes = std::fs::read(dir.join(file)).unwrap();
        let heard = listen(&ringback::wav::read(&bytes).unwrap_or_else(|e| panic!("{file}: {e}")));
        let got = class(&heard);
        let is_right = got == wanted;
        if !is_right && condition.starts_with("clean") {
            wrong_when_clean.push(format!("{file} ({condition}): {wanted} was heard as {got}"));
        }
        if !is_right && std::env::var("RINGBACK_CLIPS_TELL").is_ok() {
            println!("{file} ({condition}): {wanted} was heard as {got}: {:?}", heard.sounds);
        }
        let short = |class: &str| class.split(':').next().unwrap_or_default().to_owned();
        if condition.starts_with("clean") {
            let got = if is_right { short(wanted) } else { format!("{} (wrong)", short(&got)) };
            *confusion.entry((short(wanted), got)).or_default() += 1;
        }
        let score = scores.entry((short(wanted), condition.to_owned())).or_default();
        score.all += 1;
        score.right += usize::from(is_right);
    }
    println!("clips without noise: what was played, and heard as what, how often");
    for ((wanted, got), count) in &confusion {
        println!("  {wanted:28} {got:34} {count:4}");
    }
    println!("heard right, of all, by condition: companded, with so much noise or at such a level");
    for ((wanted, condition), score) in scores.iter().filter(|((_, c), _)| !c.starts_with("clean")) {
        println!("  {wanted:28} {condition:16} {:4} of {:4}", score.right, score.all);
    }
    // The floor of a kind of sound is the last condition, from the best on, before the first in which less
    // than 95 of 100 clips are heard right.
    let mut kinds: Vec<&str> = scores.keys().map(|(kind, _)| kind.as_str()).collect();
    kinds.dedup();
    for (what, begins, least) in
        [("dB of signal to noise", "noise+", "noise+10dB"), ("dB under full scale", "faint-", "faint-44dB")]
    {
        for kind in &kinds {
            let mut of_kind: Vec<(&str, &Score)> = scores
                .iter()
                .filter(|((k, c), _)| k == kind && c.starts_with(&begins[..5]))
                .map(|((_, c), s)| (c.as_str(), s))
                .collect();
            let decibels = |c: &str| c[5..].trim_end_matches("dB").parse::<i32>().unwrap();
            of_kind.sort_by_key(|(c, _)| -decibels(c));
            let good: Vec<&str> =
                of_kind.iter().take_while(|(_, s)| s.right * 100 >= s.all * 95).map(|(c, _)| *c).collect();
            println!("floor of {kind}: {} {what}", good.last().map_or("none".to_owned(), |c| decibels(c).to_string()));
            let is_given = of_kind.iter().any(|(c, _)| *c == least);
            assert!(!is_given || good.contains(&least), "{kind} is not heard at {least}");
        }
    }
    assert_eq!(wrong_when_clean, Vec::<String>::new());
}
