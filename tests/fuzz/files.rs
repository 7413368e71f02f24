//! Files: what people, other programs and this one have written into them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ringback::caller::CallerKey;
use ringback::clock::Clock;
use ringback::config::{AlertRules, Config, HistoryColumns, provider_list};
use ringback::core::detect::engine::Engine;
use ringback::core::detect::observation::Observation;
use ringback::core::model::foreign::LONGEST;
use ringback::core::model::id::E164;
use ringback::core::model::redact;
use ringback::core::model::time::Time;
use ringback::core::model::value::whole_json;
use ringback::core::notice::Notice;
use ringback::core::notice::incidents::Incidents;
use ringback::core::notice::make::NoticeBuilder;
use ringback::core::profile::document;
use ringback::core::rollback::entry::Entry;
use ringback::core::rollback::orders::Orders;
use ringback::core::routing::saved::SavedPlan;
use ringback::learn::{self, Records};
use ringback::record::part::{self, PartRow};
use ringback::record::rows;
use ringback::record::scrub::{CallerPrivacy, Scrubber};
use ringback::rehearse::note::Note;
use ringback::replay;
use ringback::sim::{Scenario, Sim};
use ringback::store::ChainLink;
use serde::de::DeserializeOwned;

use super::{SECRET, is_in, is_kept, is_stable, is_told, ours, reading, rules};

/// `ringback.toml`: a configuration, or faults with their places.
pub fn configuration(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let path = Path::new("/nonexistent/ringback.toml");
    let env = std::collections::HashMap::from([
        ("TWILIO_AUTH_TOKEN", "0f1e2d3c4b5a69788796a5b4c3d2e1f0"),
        ("RINGBACK_TOKEN", "q7Wm2-Zt9Xc4-Lr8Vb6"),
        ("HOOK_URL", "https://u:9Zq4x8Kp2M@hooks.example.com/x/9Zq4x8Kp2M"),
    ]);
    let said = match Config::parse(path, &text, &env) {
        Ok(config) => {
            let again = Config::parse(path, &text, &env).expect("it was a configuration");
            assert_eq!(config.changed(&again), Vec::<String>::new());
            assert_eq!(config.needs_restart(&again), Vec::<&str>::new());
            AlertRules::parse(path, &text).unwrap_or_else(|e| panic!("without credentials: {e}"));
            format!("{config:?} {:?}", config.warnings)
        }
        Err(bad) => {
            assert!(!bad.0.is_empty());
            for fault in &bad.0 {
                fault.place.filter(|_| fault.file == path).inspect(|place| is_in(&text, *place));
                assert!(fault.text.chars().count() <= LONGEST + 200 && !fault.text.chars().any(char::is_control));
            }
            bad.to_string()
        }
    };
    for secret in env.values() {
        assert!(text.contains(secret) || !said.contains(secret), "{said}");
    }
    assert!(text.contains(SECRET) || !said.contains(SECRET), "{said}");
}

/// A folder for one input, which is gone afterwards.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn with(name: &str, data: &[u8]) -> Folder {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("ringback-readers-{}-{next}", std::process::id()));
        std::fs::create_dir_all(&path).expect("there is room for a folder");
        std::fs::write(path.join(name), data).expect("there is room for a file");
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A file of numbers, as the agent reads it, as `init` does, and as `record` does the Console's.
pub fn number_lists(data: &[u8]) {
    let folder = Folder::with("numbers.csv", data);
    let named = "[[group]]\nname = \"listed\"\nnumbers_file = \"numbers.csv\"\n";
    match AlertRules::parse(&folder.0.join("ringback.toml"), named) {
        Ok(rules) => {
            assert!(rules.roster.numbers().count() <= data.len());
            for (_, number) in rules.roster.numbers() {
                is_stable::<E164>(&number.id.e164.to_string());
                assert!(number.label.chars().count() <= 201 && !number.label.chars().any(char::is_control));
            }
        }
        Err(bad) => bad.0.iter().for_each(|fault| assert!(!fault.text.chars().any(char::is_control), "{fault}")),
    }
    let path = folder.0.join("numbers.csv");
    let Ok(list) = provider_list::read(&path) else { return };
    let mut numbers: Vec<E164> = list.numbers.iter().map(|n| n.number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), list.numbers.len(), "one is there twice");
    let twice = list.repaired.iter().filter(|r| r.kind.starts_with("listed more than once")).count();
    assert_eq!(list.rows, list.numbers.len() + list.unread.len() + twice, "no row is left out in silence");
    assert!(list.numbers.iter().all(|n| n.label.chars().count() <= 201 && !n.label.chars().any(char::is_control)));
    for line in provider_list::told(&path, &list.unread).iter().chain(&list.notes) {
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }
}

/// The old provider's call records, a profile of which is what it writes.
pub fn call_records(data: &[u8]) {
    let folder = Folder::with("calls.csv", data);
    let files = [folder.0.join("calls.csv")];
    let columns = HistoryColumns::default();
    let (roster, made_at) = (&rules().roster, Time::EPOCH);
    let made = learn::learn(Records { files: &files, carriers: None, columns: &columns, roster, made_at });
    let Ok(learnt) = made.inspect_err(|e| assert!(!e.to_string().contains(|c: char| c.is_control() && c != '\n')))
    else {
        return;
    };
    let lines = data.split(|b| matches!(b, b'\n' | b'\r')).count();
    let (rows, cleaned) = (learnt.files[0].tally, learnt.cleaned);
    assert_eq!(rows.rows, rows.inbound + rows.outbound + rows.other_numbers + rows.probes + rows.bad);
    assert_eq!(
        rows.inbound,
        cleaned.old + cleaned.duplicates + cleaned.tests + cleaned.redials + cleaned.used,
        "every row is accounted for"
    );
    assert!(rows.rows <= lines as u64 && learnt.remarks.iter().all(|line| !line.contains(char::is_control)));
    let text = document::write(&learnt.profile);
    let read = document::read(&text).unwrap_or_else(|e| panic!("it was written: {e}"));
    assert_eq!(document::write(&read), text);
}

/// A profile, or a fault with its cure.
pub fn profiles(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match document::read(text) {
        Ok(profile) => {
            let written = document::write(&profile);
            let again = document::read(&written).unwrap_or_else(|e| panic!("it was written: {e}"));
            assert_eq!(document::write(&again), written);
            for number in profile.numbers.values() {
                assert!(number.week.rates().iter().all(|rate| rate.is_finite() && *rate >= 0.0));
                assert_eq!(number.carriers.len(), profile.carriers.len());
            }
            assert!(profile.prefixes.iter().all(|(_, c)| usize::from(c.0) < profile.carriers.len()));
        }
        Err(bad) => assert!(bad.to_string().contains("ringback learn"), "{bad}"),
    }
}

/// A bulk export or the Console's CSV, made a recording of, which is played.
pub fn exports(data: &[u8]) {
    let lines = data.split(|b| *b == b'\n').count();
    let bad = |line: usize, _: &str| assert!(line >= 1 && (line <= lines || data.starts_with(&[0x1f, 0x8b])), "{line}");
    let mut found = rows::bulk(data, bad).unwrap_or_default();
    found.extend(rows::csv(&String::from_utf8_lossy(data), |_, _| ()).unwrap_or_default());
    let mut scrubber = Scrubber::new(ours(), CallerPrivacy::Hashed(CallerKey::public()));
    for (kind, fields) in found.iter().take(64) {
        let resource = scrubber.row(kind, fields).expect("its kind is one of a recording's");
        for name in ["from", "to", "forwarded_from", "request_url", "voice_url"] {
            let said = resource.get(name).map(serde_json::Value::to_string).unwrap_or_default();
            assert!(said.starts_with("\"+999") || redact::kept(&said, ours()) == said, "{name}: {said}");
        }
        let row = PartRow { kind: (*kind).to_owned(), seen_at: Time::EPOCH, resource };
        let line = part::line(&row).expect("a row can be written");
        assert!(!line.contains('\n'));
        if let Err(problem) = reading(|reader| replay::parse(line.as_bytes(), reader)) {
            is_told(&problem);
        }
    }
}

/// Lines of JSON, as far as they can be read.
fn each<T: DeserializeOwned>(data: &[u8]) -> impl Iterator<Item = T> {
    data.split(|b| *b == b'\n').filter_map(|line| serde_json::from_slice(line).ok())
}

/// A notice is kept without what stood against its commands when it was made: that is asked again.
fn is_kept_of(mut notice: Notice) {
    for step in &mut notice.next {
        (step.order, step.is_refused) = (None, false);
    }
    is_kept(&notice);
}

/// Entries of the journal, read back and folded as at a start.
pub fn journal(data: &[u8]) {
    each::<ChainLink>(data).for_each(|link| {
        is_kept(&link);
        assert_eq!(link.hash("").len(), 64);
    });
    let start: Time = "2026-11-21T14:00:00Z".parse().expect("it is an instant");
    let mut orders = Orders::new(rules().rollback.clone());
    let builder = NoticeBuilder { roster: Arc::new(ours().clone()), addresses: Default::default() };
    let mut incidents = Incidents::new(builder, orders.mode());
    for (i, entry) in each::<Entry>(data).enumerate() {
        let at = start + std::time::Duration::from_secs(60 * i as u64);
        is_kept(&entry);
        assert!(!entry.sentence(at, None, ours()).line(3, ours()).is_empty());
        // A contradiction ends a start.
        if orders.fold(at, &entry).is_err() {
            break;
        }
        assert!(orders.next_id() > orders.last_id());
        incidents.fold(at, &entry).into_iter().for_each(is_kept_of);
    }
    incidents.tick(start + std::time::Duration::from_secs(86_400)).into_iter().for_each(is_kept_of);
}

/// What was seen, read back from the state and taken in again.
pub fn observations(data: &[u8]) {
    let start: Time = "2026-11-21T14:00:00Z".parse().expect("it is an instant");
    let mut engine = Engine::new(ours().clone(), rules().engine.clone(), start);
    for (i, observation) in each::<Observation>(data).enumerate() {
        is_kept(&observation);
        engine.observe(start + std::time::Duration::from_secs(i as u64), rules().account, &observation);
        for event in engine.tick(start + std::time::Duration::from_secs(60 + i as u64)) {
            let _ = format!("{event:?}");
        }
    }
}

/// A recorded log, line by line, and played.
pub fn replays(data: &[u8]) {
    let count = data.split(|b| *b == b'\n').count() as u64;
    let mut lines = replay::Lines::new(data);
    let mut last = 0;
    while let Ok(Some(line)) = reading(|reader| lines.next(reader)) {
        if let Err(bad) = line {
            assert!(bad.line > last && bad.line <= count, "line {} of {count}", bad.line);
            is_told(&bad.problem.replace("  ", " "));
            last = bad.line;
        }
    }
    assert!(lines.bytes <= data.len() as u64);
    let play = || {
        let mut decided = String::new();
        let summary =
            replay::play(data, rules().account, ours(), &rules().engine, &mut |_| (), &mut |_| (), &mut |decision| {
                decided += &serde_json::to_string(&replay::DecisionRecord::of(decision))?;
                Ok(())
            });
        (summary.ok().map(|s| format!("{s:?}")), decided)
    };
    assert_eq!(play(), play(), "the same recording gives the same decisions");
    let _ = serde_json::from_slice::<replay::truth::RecordedTruth>(data);
}

/// Files that a command left for another one.
pub fn saved_files(data: &[u8]) {
    if let Ok(plan) = serde_json::from_slice::<SavedPlan>(data) {
        is_kept(&plan);
        assert!(plan.compare(&Default::default(), ours(), rules().account, Time::EPOCH, |_| String::new()).is_err());
    }
    if let Ok(note) = serde_json::from_slice::<Note>(data) {
        let written = whole_json(&note).expect("a note can be written");
        let again: Note = serde_json::from_str(&written).expect("and read");
        assert_eq!(
            (again.number, again.sid, &again.record, &again.urls),
            (note.number, note.sid, &note.record, &note.urls)
        );
    }
}

/// A day of the simulator's: the world of it, or what is wrong and where.
pub fn scenarios(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match Scenario::parse(&text) {
        Ok(scenario) => {
            let clock = Clock::virtual_at(scenario.start.unwrap_or(Time::EPOCH));
            Sim::new(scenario, clock).unwrap_or_else(|e| panic!("what was checked can be played: {e}"));
        }
        Err(error) => {
            error.place.inspect(|place| is_in(&text, *place));
            assert!(!error.message.chars().any(char::is_control), "{error}");
        }
    }
}
