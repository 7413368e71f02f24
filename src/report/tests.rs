//! A report is what its material says, shows nobody and no secret, and tells when a byte of it was changed.

use super::document::Block;
use super::lines;
use super::material::{Again, EntriesKept, FORM, GroupPart, Head, Material, NumberPart, Taken, Told};
use super::model::report;
use super::outcomes::{OutcomeTally, Outcomes};
use super::recount;
use super::verify::{ReportFile, intact, verify};
use super::{handover, html, markdown};
use crate::core::detect::engine::EngineSettings;
use crate::core::detect::observation::{Alert, Call, CallStatus, Leg, Level, Observation, RemoteParty};
use crate::core::detect::rules::Rules;
use crate::core::explain::Recomputed;
use crate::core::model::code::Code;
use crate::core::model::decision::{Action, Decision, DecisionId, Mode, Phase};
use crate::core::model::id::{AlertSid, CallSid, Channel, NumberSid, Resource};
use crate::core::model::order::{Author, By, FallbackState, Hold, Operation, Order, OrderResult, Scope, ScopeOf};
use crate::core::model::reason::Reason;
use crate::core::model::roster::PortAt;
use crate::core::model::time::Time;
use crate::core::model::verdict::{Evidence, ReasonCount};
use crate::core::notice::{NoticeKind, NoticeStatus, Severity};
use crate::core::rollback::entry::Entry;
use crate::core::routing::record::NumberRecord;
use crate::store::ChainLink;
use crate::store::seen::Place;
use crate::testing::{ACCOUNT, ours};

const SECRET: &str = "https://us3r:p4ss@app.example.com/voice/t0ken9Zq?q=qu3ry";

const HOSTILE: &str = "<script>alert(1)</script>|*b* </script> -->";

fn at(seconds: i64) -> Time {
    Time::from_secs(1_795_000_000 + seconds)
}

fn place(n: u64) -> Place {
    serde_json::from_value(serde_json::json!(n)).unwrap()
}

fn journal(roster: &crate::core::model::roster::Roster) -> Vec<ChainLink> {
    let (n, channel, decision) = (ours("+15005550100"), Channel::Voice, DecisionId(1));
    let evidence = Evidence {
        callers: 4,
        failing: 4,
        since: Some(at(600)),
        reasons: vec![ReasonCount { reason: Reason::Webhook, code: Some(Code(11200)), callers: 4 }],
        ..Evidence::default()
    };
    let decided = Decision {
        id: decision,
        at: at(700),
        action: Action::Rollback,
        channel,
        group: "support".parse().unwrap(),
        numbers: vec![n],
        rule: "detector".to_owned(),
        evidence,
    };
    let order = Order {
        id: decision,
        operation: Operation::Rollback,
        channel,
        group: "support".parse().unwrap(),
        numbers: vec![n],
        by: By::Detector,
        force: false,
        staged: false,
        terms: None,
    };
    let sid = NumberSid::from_u128(1);
    let rules = Some(Box::new(Rules::of(roster, &EngineSettings::default())));
    let author = || Author { name: "mira".into(), reason: HOSTILE.into() };
    let record = format!("{{\"voice_url\":{SECRET:?}}}");
    let entries = [
        (0, Entry::Started { version: "0.1.0".to_owned(), rules }),
        (1, Entry::Phase { channel, number: n, phase: Phase::Active }),
        (700, Entry::Decision(decided)),
        (700, Entry::Order(order)),
        (701, Entry::Snapshot { decision, channel, number: n, sid, record: record.into(), sha256: String::new() }),
        (701, Entry::Checked { decision, channel, number: n, fallback: FallbackState::Good }),
        (
            702,
            Entry::Intent {
                decision,
                channel,
                number: n,
                sid,
                operation: Operation::Rollback,
                update: vec![("VoiceUrl".to_owned(), SECRET.into())],
            },
        ),
        (703, Entry::Written { decision, channel, number: n }),
        (704, Entry::Result { decision, channel, number: n, result: OrderResult::Written, detail: String::new() }),
        (730, Entry::Result { decision, channel, number: n, result: OrderResult::Proven, detail: String::new() }),
        (900, Entry::Hold(Hold { scope: Scope { of: ScopeOf::All, channel: None }, by: author(), until: at(7200) })),
    ];
    let link = |(i, (seconds, entry)): (usize, (i64, Entry))| {
        let shown = serde_json::to_string(&entry).unwrap();
        let whole = crate::core::model::value::whole_json(&entry).unwrap();
        let withheld = if shown == whole { String::new() } else { crate::store::journal::sha256(whole.as_bytes()) };
        let decision = entry.decision().map(|d| d.0 as i64);
        ChainLink {
            seq: i as i64 + 1,
            seen: place(if seconds < 600 { 1 } else { 1000 }),
            at_ms: at(seconds).as_millis(),
            fence: 1,
            kind: entry.kind().to_owned(),
            decision,
            shown,
            withheld,
        }
    };
    entries.into_iter().enumerate().map(link).collect()
}

fn record() -> NumberRecord {
    NumberRecord {
        sid: NumberSid::from_u128(1),
        number: ours("+15005550100").e164,
        trunk: None,
        voice_application: None,
        voice_url: Some("https://app.example.com/voice".into()),
        voice_fallback_url: None,
        fax: false,
        sms_application: None,
        sms_url: None,
        sms_fallback_url: None,
        status_callback: None,
        service: None,
        elsewhere: [None, None],
        lacks: [false; 2],
        unread: [false; 2],
        gone: [false; 2],
    }
}

/// Callers of one number: served until the tenth minute, and met by an error from there on.
fn taken() -> Vec<Taken> {
    let mut all = vec![
        Taken { place: place(1), at: at(0), entry: Some((ACCOUNT, Observation::Number(Box::new(record())))) },
        Taken { place: place(2), at: at(1), entry: None },
    ];
    let mut add = |seconds: i64, observation| {
        let next = place(all.len() as u64 + 1);
        all.push(Taken { place: next, at: at(seconds), entry: Some((ACCOUNT, observation)) });
    };
    for i in 0..24i64 {
        let (started, fails) = (60 + i * 30, i >= 18);
        // The announcement of an error is short.
        let lasted = if fails { 8 } else { 40 };
        let sid = CallSid::from_u128(i as u128 + 1);
        let caller = RemoteParty { hash: i as u64 + 1, last_two: None, is_prober: false, carrier: None };
        add(
            started + 45,
            Observation::Call(Call {
                sid,
                leg: Leg::Inbound { number: ours("+15005550100").e164, caller },
                status: CallStatus::Completed,
                started_at: at(started),
                ended_at: Some(at(started + lasted)),
                duration: Some(lasted as u32),
                error: None,
                forwarded_from: None,
            }),
        );
        if fails {
            add(
                started + 50,
                Observation::Alert(Alert {
                    http_status: None,
                    sid: AlertSid::from_u128(i as u128 + 1),
                    resource: Some(Resource::Call(sid)),
                    number: None,
                    code: Code(11200),
                    level: Level::Error,
                    url: Some("https://app.example.com/voice".into()),
                    at: at(started + 1),
                }),
            );
        }
    }
    all
}

fn material() -> Material {
    let number = |n: &str| NumberPart {
        id: ours(n),
        label: HOSTILE.to_owned(),
        group: 0,
        channels: [true, false],
        timezone: "-18000".to_owned(),
        port: PortAt::Done,
    };
    let fallback = [Some("https://handler.twilio.com/twiml/EH00000000000000000000000000000001".to_owned()), None];
    let told = Told {
        at: at(710),
        notifier: "ops".to_owned(),
        delivery: "delivered".to_owned(),
        ended: Some(at(711)),
        tries: 1,
        kind: NoticeKind::RolledBack,
        status: NoticeStatus::Firing,
        severity: Severity::Critical,
        title: HOSTILE.to_owned(),
        group: Some("support".parse().unwrap()),
        decision: Some(DecisionId(1)),
    };
    let mut m = Material {
        head: Head {
            form: FORM,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            made_at: at(3600),
            from: at(0),
            to: at(3600),
            gaps: false,
            mode: Mode::Auto,
            overlap_ms: 900_000,
            kept_since: None,
            head: String::new(),
            entries: EntriesKept::All,
        },
        groups: vec![GroupPart { name: "support".parse().unwrap(), fallback }],
        numbers: ["+15005550100", "+15005550101"].map(number).into(),
        journal: Vec::new(),
        told: vec![told],
        outcomes: Outcomes::default(),
        again: Vec::new(),
        other: None,
        taken: taken(),
    };
    m.journal = journal(&m.roster());
    m.head.head = m.journal.iter().fold(String::new(), |before, link| link.hash(&before));
    m.outcomes = recount::outcomes(&m, &m.records());
    // What the engine makes of these entries is another test's business.
    m.again = vec![Again { decision: DecisionId(1), recomputed: Recomputed::NotKept { is_enough: true } }];
    m
}

fn page(m: &Material) -> String {
    html::page(&report(m), &lines::write(m))
}

#[test]
fn the_figures_are_those_of_the_entries() {
    let m = material();
    let [t] = m.outcomes.groups.as_slice() else { panic!("{:?}", m.outcomes) };
    assert_eq!((t.calls, t.served, t.failed), (24, 18, 6));
    assert_eq!((t.callers, t.callers_failed), (24, 6));
    assert_eq!((t.first_failed, t.last_failed), (Some(at(60 + 18 * 30)), Some(at(60 + 23 * 30))));
    assert_eq!(t.reasons, [(Reason::Webhook, Some(Code(11200)), 6)]);
    let [s] = m.outcomes.series.as_slice() else { panic!("{:?}", m.outcomes.series) };
    assert_eq!((s.served.iter().sum::<u32>(), s.failed.iter().sum::<u32>()), (18, 6));
    let text = markdown::page(&report(&m));
    assert!(text.contains("6 of 24 people met a failure"), "{text}");
    assert!(text.contains("decided after 1 min 40 s"), "{text}");
    assert!(text.contains("At the end 1 number was on the fallback."), "{text}");
}

#[test]
fn a_report_holds_no_secret_and_no_text_is_an_order_to_a_browser() {
    let m = material();
    let (page, md) = (page(&m), markdown::page(&report(&m)) + &markdown::evidence(&lines::write(&m)));
    for text in [&page, &md] {
        for secret in ["us3r", "p4ss", "t0ken9Zq", "qu3ry"] {
            assert!(!text.contains(secret), "{secret}");
        }
    }
    assert_eq!(page.matches("<script").count(), lines::SECTIONS.len(), "the evidence and nothing else");
    assert_eq!(page.matches("</script>").count(), lines::SECTIONS.len());
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(!page.contains("http://") && !page.contains("src="), "nothing is fetched");
}

#[test]
fn nothing_has_an_empty_heading_and_gaps_are_for_who_asks() {
    let mut m = material();
    let is_full = |m: &Material| report(m).parts.iter().all(|p| !p.blocks.is_empty());
    let has_gap = |m: &Material| report(m).parts.iter().any(|p| p.blocks.iter().any(|b| matches!(b, Block::Gap(_))));
    assert!(is_full(&m) && !has_gap(&m));
    m.head.gaps = true;
    assert!(has_gap(&m));
    m.taken.clear();
    m.journal.clear();
    m.told.clear();
    m.again.clear();
    m.head.head.clear();
    m.outcomes = recount::outcomes(&m, &[]);
    assert!(is_full(&m));
    let text = markdown::page(&report(&m));
    assert!(text.contains("Nothing is known of any caller in this time. Ringback decided nothing."), "{text}");
    for heading in ["Impact", "Traffic", "Timeline", "Open ends"] {
        assert!(!text.contains(&format!("## {heading}")), "{text}");
    }
}

#[test]
fn the_handover_says_what_waits_and_who_knows() {
    let text = markdown::page(&handover::handover(&material()));
    assert!(text.contains("| support | voice | 1: +15005550100 |"), "{text}");
    assert!(text.contains("proven by a test"), "{text}");
    assert!(text.contains("ringback release --all --reason"), "{text}");
    assert!(text.contains("the hold on all numbers ends"), "{text}");
    assert!(text.contains("| ops | delivered |"), "{text}");
}

#[test]
fn a_report_that_was_not_touched_is_whole() {
    let m = material();
    let page = page(&m);
    assert_eq!(intact(ReportFile::Html(&page)).unwrap(), m);
    let (md, evidence) = (markdown::page(&report(&m)), markdown::evidence(&lines::write(&m)));
    assert_eq!(intact(ReportFile::Markdown(&md, &evidence)).unwrap(), m);
    // A decision that does not follow from the entries in the file is found by making it again.
    let damages = verify(ReportFile::Html(&page)).unwrap_err();
    assert!(damages[0].place == "decision D1", "{damages:?}");
}

/// The next number of a sequence that looks like chance and is the same every time.
fn draw(state: &mut u64) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) as usize
}

#[test]
fn every_changed_byte_is_found() {
    let m = material();
    let page = page(&m).into_bytes();
    let mut state = 7;
    for nth in 0..1000 {
        let mut changed = page.clone();
        let at = draw(&mut state) % changed.len();
        match nth % 4 {
            0 => changed[at] = if changed[at] == b'7' { b'8' } else { b'7' },
            1 => changed[at] ^= 1,
            2 => drop(changed.remove(at)),
            _ => changed.insert(at, b'0'),
        }
        if changed == page {
            continue;
        }
        let text = String::from_utf8_lossy(&changed);
        let found = intact(ReportFile::Html(&text));
        assert!(found.is_err(), "mutation {nth} at byte {at}");
        assert!(found.unwrap_err().iter().all(|d| !d.place.is_empty()));
    }
}

#[test]
fn a_changed_record_is_named_with_its_field() {
    let page = page(&material());
    for (was, is, place) in [
        (r#""fence":1,"kind":"phase""#, r#""fence":2,"kind":"phase""#, "journal record 2, field fence"),
        (r#""kind":"hold""#, r#""kind":"held""#, "journal record 11, field kind"),
        (r#"\"phase\":\"active\""#, r#"\"phase\":\"waiting\""#, "journal record 2, field shown"),
        ("6 of 24 people", "5 of 24 people", "text, line "),
    ] {
        let changed = page.replacen(was, is, 1);
        assert!(changed != page, "{was}");
        let damages = intact(ReportFile::Html(&changed)).unwrap_err();
        assert!(damages[0].place.starts_with(place), "{was}: {damages:?}");
    }
}

#[test]
fn a_record_whose_digests_were_made_anew_breaks_the_chain() {
    let mut m = material();
    m.journal[10].shown = m.journal[10].shown.replace("mira", "nina");
    let damages = intact(ReportFile::Html(&page(&m))).unwrap_err();
    assert!(damages[0].place.starts_with("journal, records 1 to 11"), "{damages:?}");
    // So does a withheld entry that would be another one.
    let mut m = material();
    m.journal[4].withheld = m.journal[4].withheld.replace('a', "b");
    assert!(intact(ReportFile::Html(&page(&m))).is_err());
}

#[test]
fn a_report_of_two_thousand_numbers_and_a_day_is_small() {
    let mut m = material();
    let one = m.numbers[0].clone();
    for i in 0..1998u32 {
        m.numbers.push(NumberPart { id: ours(&format!("+1500556{i:04}")), ..one.clone() });
    }
    m.outcomes.numbers = m
        .numbers
        .iter()
        .map(|n| OutcomeTally {
            of: n.id,
            ..OutcomeTally {
                of: n.id,
                channel: Channel::Voice,
                calls: 60,
                served: 57,
                failed: 3,
                callers: 50,
                callers_failed: 3,
                first_failed: Some(at(5)),
                last_failed: Some(at(3000)),
                reasons: vec![(Reason::Webhook, Some(Code(11200)), 3)],
            }
        })
        .collect();
    let some = m.taken.clone();
    for round in 1..2000u64 {
        for t in &some {
            let mut t = t.clone();
            t.place = place(1000 * round);
            t.at = at(i64::try_from(round).unwrap() * 40);
            if let Some((_, Observation::Call(call))) = &mut t.entry {
                call.sid = CallSid::from_u128(u128::from(round) * 100 + call.sid.as_u128());
            }
            m.taken.push(t);
        }
    }
    let size = page(&m).len();
    assert!(size < 2_000_000, "{size} bytes for {} entries", m.taken.len());
}
