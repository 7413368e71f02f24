//! What no simulated account can have, and what a report makes of what it is given.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::check;
use super::code::FindingCode;
use super::facts::{
    AccountStanding, Balance, Door, Facts, KeyKind, ListenFound, NotifierFound, NumberFound, NumbersFound, Regions,
    StateFound, Traffic, TwilioPace, Unlooked, UpdateTrial,
};
use super::report::{CheckVerdict, Report};
use super::text;
use crate::model::id::testing::{ACCOUNT, ours};
use crate::model::roster::{Number, NumberIx, PortAt, Roster};
use crate::model::time::Time;
use crate::profile::{DaySpread, NumberProfile, NumberStanding, Prefixes, Profile, Week};
use crate::routing::record::{self, NumberRecord};

/// `count` numbers in one group, whose calls alone are watched.
fn roster(count: u32) -> Roster {
    let mut roster = Roster::default();
    let fallback = Some("https://bin.example.com/answer".to_owned());
    let group = roster.add_group("support".parse().unwrap(), [fallback, None]);
    for n in 0..count {
        roster.add_number(Number {
            id: ours(&format!("+1500555{n:04}")),
            label: String::new(),
            group,
            channels: [true, false],
            timezone: TimeZone::UTC,
            port: PortAt::Done,
        });
    }
    roster
}

fn record(roster: &Roster, ix: NumberIx) -> NumberRecord {
    NumberRecord {
        sid: crate::model::id::NumberSid::from_u128(u128::from(ix.0) + 1),
        number: roster.number(ix).id.e164,
        voice_url: Some("https://app.example.com/voice?token=s3cret".into()),
        sms_url: None,
        ..record::tests::record()
    }
}

/// Facts in which nothing is wrong.
fn facts(roster: &Roster) -> Facts {
    let found =
        |(ix, _): (NumberIx, &Number)| NumberFound { ix, record: record(roster, ix), is_hosted: false, bundle: None };
    Facts {
        at: Time::from_secs(1_795_000_000),
        account: ACCOUNT,
        door: Door::Open,
        signs: true,
        key: KeyKind::Whole,
        update: Ok(UpdateTrial::Needless),
        refusals: Vec::new(),
        skew: Ok(0),
        skew_borne: Duration::from_secs(60),
        standing: Ok(AccountStanding { status: "active".to_owned(), is_trial: false }),
        balance: Ok(Balance { amount: 100.0, currency: "USD".to_owned() }),
        traffic: Ok(Traffic { calls: 100.0, messages: 0.0 }),
        probes_a_day: 0.0,
        edge_filled_in: None,
        numbers: Ok(NumbersFound { there: roster.numbers().map(found).collect(), unread: None, services_read: true }),
        regions: Regions { ours: "us1".to_owned(), ..Regions::default() },
        trunks: BTreeMap::new(),
        handlers: Vec::new(),
        fallbacks: Vec::new(),
        countries: BTreeMap::new(),
        rules: Ok(Vec::new()),
        probers: Vec::new(),
        unprobed: Vec::new(),
        state: StateFound {
            path: "ringback.db".to_owned(),
            problem: None,
            kind: Ok("ext4".to_owned()),
            free: Ok(50_000_000_000),
        },
        configuration_warnings: Vec::new(),
        history: None,
        listen: Ok(ListenFound::Free),
        has_token: true,
        notifiers: vec![NotifierFound { name: "ops".to_owned(), through_twilio: Some(false), test: Ok(Ok(())) }],
        pace: TwilioPace {
            request: Ok(Duration::from_millis(100)),
            at_once: 16,
            between_calls: Duration::from_secs(1),
        },
        writers: Ok(Vec::new()),
        campaigns: BTreeMap::new(),
        brands: BTreeMap::new(),
        toll_free: Ok(BTreeMap::new()),
        bundles: BTreeMap::new(),
    }
}

fn codes(report: &Report) -> Vec<FindingCode> {
    report.findings.iter().map(|f| f.code).collect()
}

/// A profile that ends so many days before `at`, with a history of the first numbers.
fn history(at: Time, days: u64, numbers: u32) -> Profile {
    let number = |ix: u32| {
        let number = NumberProfile {
            timezone: TimeZone::UTC,
            calls: 100,
            span: None,
            level: 1.0,
            rests_on: 50.0,
            newness: 0.0,
            spread: DaySpread(0.02),
            week: Week::from_fn(|_| 0.5),
            carriers: Vec::new(),
            standing: NumberStanding::Usual,
        };
        (format!("+1500555{ix:04}").parse().unwrap(), number)
    };
    let to = at - Duration::from_secs(days * 86_400);
    Profile {
        made_at: to,
        from: to - Duration::from_secs(30 * 86_400),
        to,
        sources: Vec::new(),
        mean_call: Duration::from_secs(60),
        carriers: Vec::new(),
        prefixes: Prefixes::default(),
        account: DaySpread(0.01),
        groups: BTreeMap::new(),
        numbers: (0..numbers).map(number).collect(),
    }
}

/// What comes of facts that were made wrong.
fn after(wrong: impl FnOnce(&mut Facts)) -> Report {
    let roster = roster(3);
    let mut facts = facts(&roster);
    wrong(&mut facts);
    check(&facts, &roster)
}

#[test]
fn facts_in_order_are_ready() {
    let report = after(|_| {});
    assert_eq!((report.verdict, report.findings, report.not_looked_at), (CheckVerdict::Ready, vec![], vec![]));
    assert_eq!(report.passed, FindingCode::ALL);
}

#[test]
fn codes_without_a_simulated_account_are_found() {
    let edge = after(|f| f.edge_filled_in = Some(("ie1".to_owned(), "dublin".to_owned())));
    assert_eq!(codes(&edge), [FindingCode::RegionWithoutEdge]);
    let network = after(|f| f.state.kind = Ok("nfs4".to_owned()));
    assert_eq!(codes(&network), [FindingCode::StateOnNetwork]);
    let full = after(|f| f.state.free = Ok(999_999_999));
    assert_eq!(codes(&full), [FindingCode::StateHasLittleRoom]);
    assert_eq!(full.findings[0].seen, "999 MB are free where ringback.db lies");
    let none = after(|f| f.history = Some(Arc::new(history(f.at, 10, 0))));
    assert_eq!(codes(&none), [FindingCode::NoHistory]);
    assert_eq!(none.findings[0].numbers.len(), 3);
    let stale = after(|f| f.history = Some(Arc::new(history(f.at, 15, 3))));
    assert_eq!(codes(&stale), [FindingCode::HistoryStale]);
    assert!(stale.findings[0].seen.ends_with("15 days before the port"), "{}", stale.findings[0].seen);
    assert_eq!(codes(&after(|f| f.history = Some(Arc::new(history(f.at, 13, 3))))), []);
    let taken = after(|f| f.listen = Ok(ListenFound::Other("another program".to_owned())));
    assert_eq!(codes(&taken), [FindingCode::ListenTaken]);
    assert_eq!(taken.verdict, CheckVerdict::ReadyWithWarnings);
    assert!(!taken.is_trouble(false) && taken.is_trouble(true));
}

/// What a key may write is tried without effect, and what cannot be tried is said (law 4).
#[test]
fn what_a_key_may_write_is_told_by_a_trial_without_effect() {
    let of = |update, key, probes_a_day| {
        let report = after(|f| (f.update, f.key, f.probes_a_day) = (update, key, probes_a_day));
        (
            report.verdict,
            codes(&report),
            report.not_looked_at.into_iter().map(|n| n.because).collect::<Vec<_>>().join("; "),
        )
    };
    let barred = || Ok(UpdateTrial::Barred("70051".to_owned()));
    assert_eq!(of(barred(), KeyKind::Standard, 0.0).1, [FindingCode::Permission], "whatever kind it seems to be");
    let (verdict, found, said) = of(Ok(UpdateTrial::LetThrough), KeyKind::Restricted, 0.0);
    assert_eq!((verdict, found), (CheckVerdict::Ready, vec![]), "{said}");
    assert!(said.contains("only a real write proves it"), "{said}");
    let (verdict, _, said) = of(Ok(UpdateTrial::LetThrough), KeyKind::Restricted, 10.0);
    assert!(verdict == CheckVerdict::NotKnown && said.contains("cannot be tried without placing one"), "{said}");
    let (verdict, _, said) = of(Err(Unlooked::needed("it was away")), KeyKind::Untold, 0.0);
    assert!(verdict == CheckVerdict::NotKnown && said.contains("could not be tried: it was away"), "{said}");
    assert_eq!(of(Err(Unlooked::needed("it was away")), KeyKind::Standard, 0.0).0, CheckVerdict::Ready);
}

/// A region that was found in a sample is said to be one of a sample, and the rest is not taken for well (law 4).
#[test]
fn a_sample_of_regions_is_said_to_be_one() {
    let report = after(|f| {
        f.regions.asked = vec![(NumberIx(1), Ok([Some("ie1".to_owned()), None]))];
        f.regions.left_out = 2;
    });
    assert_eq!(report.findings[0].seen, "it is ie1, and the agent asks us1 (in a sample of 1 of 3 numbers)");
    assert!(report.not_looked_at.iter().any(|n| n.because.contains("a sample of 1 numbers")), "{report:?}");
    assert!(!report.passed.contains(&FindingCode::MessagingRegion));
}

/// Law 4.
#[test]
fn what_is_needed_and_was_not_looked_at_is_neither_good_nor_bad() {
    let report = after(|f| f.regions.asked = vec![(NumberIx(1), Err(Unlooked::needed("it was away")))]);
    assert_eq!((report.verdict, codes(&report)), (CheckVerdict::NotKnown, vec![]));
    assert!(!report.passed.contains(&FindingCode::VoiceRegion));
    assert_eq!(report.not_looked_at[0].numbers, ["+15005550001"]);
    assert!(text::verdict(&report, false).starts_with("NOT KNOWN"));
    // The port day can do without it.
    let report = after(|f| f.balance = Err(Unlooked::optional("it is a subaccount")));
    assert_eq!((report.verdict, report.is_trouble(true)), (CheckVerdict::Ready, false));
    assert!(text::whole(&report, false).contains("RB107: not looked at because it is a subaccount"));
}

#[test]
fn an_error_counts_more_than_what_is_not_known() {
    let report = after(|f| {
        f.regions.asked = vec![(NumberIx(1), Err(Unlooked::needed("it was away")))];
        f.standing = Ok(AccountStanding { status: "suspended".to_owned(), is_trial: false });
    });
    assert_eq!(report.verdict, CheckVerdict::NotReady);
    let verdict = text::verdict(&report, false);
    assert_eq!(verdict, "NOT READY: 3 numbers: 1 error, 1 not looked at (1 needed), 57 checks passed");
}

#[test]
fn the_same_of_two_thousand_numbers_is_one_finding_on_one_screen() {
    let roster = roster(2000);
    let mut facts = facts(&roster);
    let Ok(found) = &mut facts.numbers else { panic!("they are there") };
    for n in found.there.iter_mut().skip(126) {
        n.record.voice_url = None;
    }
    found.there[5].record.trunk = Some("TK00000000000000000000000000000001".parse().unwrap());
    facts.trunks.insert("TK00000000000000000000000000000001".parse().unwrap(), Ok(1));
    let report = check(&facts, &roster);
    assert_eq!(codes(&report), [FindingCode::NobodyAnswers, FindingCode::TrunkWins]);
    assert_eq!((report.findings[0].numbers.len(), report.findings[1].numbers.len()), (1874, 1));
    let text = text::whole(&report, false);
    assert!(text.lines().count() < 25 && text.lines().all(|l| l.chars().count() <= 80), "{text}");
    assert!(text.contains("1874 numbers of"), "{text}");
    // What may be a secret is in no URL that is shown.
    assert!(!text.contains("s3cret") && text.contains("https://app.example.com/voice"), "{text}");
    let last = text.lines().last().unwrap();
    assert!(last.starts_with("NOT READY: 2000 numbers: 1 error, 1 warning"), "{last}");
    let short = text::short(&report, true);
    assert_eq!(short.lines().count(), 3, "{short}");
}

/// Whatever Twilio or a rule's name says.
#[test]
fn words_of_others_are_no_orders_to_a_terminal() {
    let report = after(|f| {
        f.standing = Ok(AccountStanding { status: "gone\u{1b}[2J\nREADY".to_owned(), is_trial: false });
        f.balance = Err(Unlooked::optional("a\u{1b}[31mb"));
    });
    let text = text::whole(&report, false);
    assert!(text.contains("its status is gone") && !text.contains('\u{1b}') && !text.contains("\nREADY"), "{text}");
}
