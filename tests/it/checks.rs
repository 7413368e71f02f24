//! `ringback check`: an account in order has no finding, each trap has its own, and what could not be looked at is
//! said.

use std::collections::BTreeSet;
use std::path::Path;

use ringback::check::{Options, REGIONS, check};
use ringback::core::check::code::{CodePage, FindingCode};
use ringback::core::check::facts::ListenFound;
use ringback::core::check::report::{CheckVerdict, Report};
use ringback::core::check::text;
use ringback::sim::{ApiFault, ApiFaultKind, ApiFaultScope, EndpointClass};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::adopt::edit;
use crate::agent::DAY;
use crate::check_traps::{CLEAN, NOTIFY, Trap, WITHOUT, all};
use crate::probe_trouble::between;
use crate::support::{support, url, with_token};
use crate::world::{BIN, PROBER, World, play, play_based, with_prober};

fn options() -> Options {
    Options { webhooks: true, regions: REGIONS, notify: false, update: true, listen: Ok(ListenFound::Free) }
}

/// The state lies on a disk, not where temporary files do.
fn state() -> String {
    format!("{}/check-{}.db", env!("CARGO_TARGET_TMPDIR"), std::process::id())
}

/// A configuration of this world in which nothing is wrong.
fn config_text(w: &World) -> String {
    let text = w.config_text().replace("[agent]\n", "[agent]\nstate = \"sqlite:{state}\"\n");
    text.replace("[group.fallback]", &format!("[group.probe]\nfrom = \"{PROBER}\"\n[group.fallback]")) + NOTIFY
}

async fn report_of(w: &mut World, config: &str, options: &Options) -> Report {
    w.env.entry("RINGBACK_TOKEN").or_insert("0f3a9c5d7e1b24680f3a9c5d");
    let config = w.parse(&config.replace("{state}", &state())).unwrap_or_else(|e| panic!("{e}\n{config}"));
    check(&config, &w.clock, options).await.unwrap()
}

fn codes(report: &Report) -> BTreeSet<FindingCode> {
    report.findings.iter().map(|f| f.code).collect()
}

/// The clean account, checked.
fn clean(test: impl AsyncFnOnce(&mut World, Report)) {
    play_based(&with_prober(CLEAN), async |w| {
        let report = report_of(w, &config_text(w), &options()).await;
        test(w, report).await;
    });
}

#[test]
fn an_account_in_order_has_no_finding() {
    clean(async |w, report| {
        assert_eq!(report.findings, [], "{}", text::whole(&report, false));
        assert_eq!(report.verdict, CheckVerdict::Ready, "{}", text::whole(&report, false));
        assert!(!report.not_looked_at.iter().any(|n| n.is_needed), "{:?}", report.not_looked_at);
        assert_eq!(
            report.passed.len() + 1,
            FindingCode::ALL.len(),
            "all but the test notice: {:?}",
            report.not_looked_at
        );
        let stats = w.sim.stats();
        assert!(stats.requests.keys().all(|kind| kind.starts_with("GET ")), "{:?}", stats.requests);
    });
}

fn replace(text: &str, edits: &[(&str, &str)]) -> String {
    edits.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from:?} is not in\n{text}");
        text.replacen(from, to, 1)
    })
}

#[test]
fn each_trap_has_its_code() {
    assert!(crate::check_traps::routing_is_known());
    let mut faults = Vec::new();
    for trap in all() {
        let Trap { code, account, config, env, arrange, with, notify } = trap;
        let (found, said) = play_based(&replace(&with_prober(CLEAN), account), async |w| {
            w.env.extend(env.iter().copied());
            arrange(w);
            let text = replace(&config_text(w), config);
            let report = report_of(w, &text, &Options { notify, ..options() }).await;
            (codes(&report), text::whole(&report, false))
        });
        let wanted: BTreeSet<FindingCode> = with.iter().copied().chain([code]).collect();
        if found != wanted {
            faults.push(format!("{code} found {found:?}, wanted {wanted:?}\n{said}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}

/// What Ringback itself wrote is no other writer, who is told of beside it.
#[test]
fn a_write_of_ours_is_not_somebody_elses() {
    play(DAY, async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        w.pass(120).await;
        let [first, second, _] = support();
        let drill = json!({"numbers": [first.to_string(), second.to_string()], "channel": "voice", "reason": "drill"});
        assert_eq!(agent.post("rollback", drill).await.0, 200);
        w.pass(60).await;
        assert_eq!([first, second].map(|n| url(w, n)), [BIN, BIN]);
        let others = async |w: &World| {
            let config = w.config().unwrap();
            let report = check(&config, &w.clock, &Options { webhooks: false, ..options() }).await.unwrap();
            let found = report.findings.iter().filter(|f| f.code == FindingCode::OtherWriter);
            found.flat_map(|f| f.numbers.clone()).collect::<BTreeSet<_>>()
        };
        assert_eq!(others(w).await, BTreeSet::new(), "with an agent beside it, and by its own state");
        edit(w, second, "https://calls.example.net/answer");
        w.pass(1).await;
        assert_eq!(others(w).await, [second.to_string()].into());
        agent.stop().await;
        assert_eq!(others(w).await, [second.to_string()].into());
    });
}

#[test]
fn every_code_has_a_trap_or_a_reason() {
    let trapped: BTreeSet<FindingCode> = all().iter().map(|t| t.code).collect();
    let without: BTreeSet<FindingCode> = WITHOUT.iter().map(|(code, _)| *code).collect();
    assert!(trapped.is_disjoint(&without));
    let covered: BTreeSet<FindingCode> = trapped.union(&without).copied().collect();
    assert_eq!(covered, FindingCode::ALL.iter().copied().collect());
}

/// Whether a key may update numbers is tried without changing anything.
#[test]
fn what_a_key_may_write_is_tried_without_effect() {
    let permissions = |more: &str| {
        format!(
            "kind = \"restricted\"\npermissions = [\"numbers\", \"number\", \"calls\", \"messages\", \"services\", \
             \"service-numbers\", \"regions\", \"events\", \"campaigns\", \"brand\", \"alerts\"{more}]"
        )
    };
    let with = |more: &str| {
        let account = with_prober(CLEAN).replace("kind = \"standard\"", &permissions(more));
        play_based(&account, async |w| {
            w.env.extend([
                ("TWILIO_AUTH_TOKEN", ""),
                ("TWILIO_API_KEY", "SK00000000000000000000000000000001"),
                ("TWILIO_API_SECRET", "key-secret-of-the-simulator"),
            ]);
            let before: Vec<_> = support().map(|n| w.sim.number(n).unwrap()).into();
            let report = report_of(w, &config_text(w), &options()).await;
            let after: Vec<_> = support().map(|n| w.sim.number(n).unwrap()).into();
            assert_eq!(before, after, "not even the date of the last update");
            let stats = w.sim.stats();
            let asked: Vec<_> = stats.requests.iter().filter(|(kind, _)| !kind.starts_with("GET ")).collect();
            let seen: Vec<String> =
                report.findings.iter().filter(|f| f.code == FindingCode::Permission).map(|f| f.seen.clone()).collect();
            (format!("{asked:?}"), seen.join("; "), text::whole(&report, false))
        })
    };
    let (asked, seen, said) = with("");
    assert_eq!(asked, "[(\"POST number-update\", {\"401\": 1})]", "{said}");
    assert!(seen.contains("it may not update numbers: nothing can be swapped"), "{said}");
    let (asked, seen, said) = with(", \"number-update\"");
    assert_eq!((&*asked, &*seen), ("[(\"POST number-update\", {\"404\": 1})]", ""), "{said}");
    assert!(said.contains("a number that does not exist was") && said.contains("place test calls"), "{said}");
}

fn fault(w: &World, kind: ApiFaultKind, class: EndpointClass) {
    w.sim.fault(ApiFault::new(kind, ApiFaultScope::Class(class))).unwrap();
}

/// What cannot be read is said, is no finding, and keeps nothing else from being looked at.
#[test]
fn what_cannot_be_looked_at_is_a_result_of_its_own() {
    use EndpointClass as E;
    use FindingCode as C;
    let needed = [
        (E::Account, C::AccountNotActive),
        (E::Calls, C::LowBalance),
        (E::Regions, C::MessagingRegion),
        (E::Campaigns, C::NoCampaign),
        (E::Brand, C::BrandNotApproved),
    ];
    let optional = [(E::Balance, C::LowBalance), (E::Events, C::OtherWriter), (E::WebhookRules, C::RuleSigns)];
    let all = needed.map(|of| (of, true)).into_iter().chain(optional.map(|of| (of, false)));
    for ((class, code), is_needed) in all {
        play_based(&with_prober(CLEAN), async |w| {
            fault(w, ApiFaultKind::Refuse, class);
            let report = report_of(w, &config_text(w), &options()).await;
            let said = text::whole(&report, false);
            assert_eq!(report.findings, [], "{class:?}: {said}");
            let open = report.not_looked_at.iter().find(|n| n.codes.contains(&code));
            assert_eq!(open.map(|n| n.is_needed), Some(is_needed), "{class:?}: {said}");
            let verdict = if is_needed { CheckVerdict::NotKnown } else { CheckVerdict::Ready };
            assert_eq!((report.verdict, report.is_trouble(false)), (verdict, is_needed), "{class:?}");
            assert!(report.passed.len() > 45, "{class:?}: {said}");
        });
    }
}

#[test]
fn one_failed_check_skips_only_what_depends_on_it() {
    play_based(&with_prober(CLEAN), async |w| {
        w.env.insert("TWILIO_AUTH_TOKEN", "00000000000000000000000000000000");
        w.env.insert("RINGBACK_TOKEN", "");
        let text = replace(&config_text(w), &[(NOTIFY, "")]);
        let report = report_of(w, &text, &options()).await;
        let found: Vec<&str> = report.findings.iter().map(|f| f.code.code()).collect();
        assert_eq!(found, ["RB101", "RB621", "RB612"], "errors first, and what needs no Twilio all the same");
        let skipped = report.not_looked_at.iter().find(|n| n.codes.contains(&FindingCode::NobodyAnswers)).unwrap();
        assert_eq!(
            (skipped.because.as_str(), skipped.is_needed),
            ("RB101: Twilio does not accept the credentials", false)
        );
        assert!(report.passed.contains(&FindingCode::StateNotWritable));
        assert_eq!(report.verdict, CheckVerdict::NotReady);
        assert_eq!(w.sim.stats().requests.len(), 1, "nothing is asked in vain: {:?}", w.sim.stats().requests);
    });
}

#[test]
fn a_twilio_that_does_not_answer_is_no_trouble_of_the_accounts() {
    play_based(&with_prober(CLEAN), async |w| {
        w.sim.fault(ApiFault::new(ApiFaultKind::Drop, ApiFaultScope::Any)).unwrap();
        let report = report_of(w, &config_text(w), &options()).await;
        assert_eq!((report.verdict, report.findings.len()), (CheckVerdict::NotRun, 0));
        assert!(report.passed.contains(&FindingCode::NoNotifier), "this machine was looked at");
        assert!(text::verdict(&report, false).starts_with("COULD NOT RUN"));
    });
}

/// With an API key nothing can be signed: whether the fallback works is not known, and not taken for well.
#[test]
fn a_fallback_that_could_not_be_asked_is_not_taken_for_good() {
    play_based(&with_prober(CLEAN), async |w| {
        w.env.extend([
            ("TWILIO_AUTH_TOKEN", ""),
            ("TWILIO_API_KEY", "SK00000000000000000000000000000001"),
            ("TWILIO_API_SECRET", "key-secret-of-the-simulator"),
        ]);
        let report = report_of(w, &config_text(w), &options()).await;
        assert_eq!((report.verdict, codes(&report)), (CheckVerdict::NotKnown, [FindingCode::CannotSign].into()));
        let open: Vec<_> = report.not_looked_at.iter().filter(|n| n.is_needed).flat_map(|n| n.codes.clone()).collect();
        assert!(open.contains(&FindingCode::FallbackBroken) && !open.contains(&FindingCode::HandlerSilent));
    });
}

/// A list that gives numbers is read as a list; what costs a request for each is asked for some.
#[test]
fn two_thousand_numbers_take_less_than_ten_seconds() {
    let many = replace(
        CLEAN,
        &[("numbers = [\"+15005550100\"", "first = \"+15005551000\"\ncount = 1997\nnumbers = [\"+15005550100\"")],
    );
    play_based(&with_prober(&many), async |w| {
        let began = w.now();
        let report = report_of(w, &config_text(w), &options()).await;
        let took = w.now().since(began).as_secs_f64();
        let requests = w.sim.stats().requests;
        let count: u64 = requests.values().flat_map(|by| by.values()).sum();
        println!("{} numbers: {took:.2} s, {count} requests: {requests:?}", report.numbers);
        assert_eq!((report.numbers, report.findings.len()), (2000, 0), "{}", text::whole(&report, false));
        assert!(took < 10.0, "{took} s");
        assert!(!requests.contains_key("GET number") && !requests.contains_key("GET region"), "{requests:?}");
        assert!(requests["GET regions"].values().sum::<u64>() <= 510 && count < 600, "{requests:?}");
        let left_out = report.not_looked_at.iter().find(|n| n.codes.contains(&FindingCode::VoiceRegion)).unwrap();
        assert!(left_out.because.contains(
            "a sample of 500 numbers of all groups was asked for, and what is true of it need not be of the other 1500"
        ));
    });
}

/// Each field with its type: what scripts rely on.
fn schema(value: &Value, path: &str, out: &mut BTreeSet<String>) {
    use serde_json::Value;
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(items) => {
            items.iter().for_each(|item| schema(item, &format!("{path}[]"), out));
            "a list"
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                schema(value, &format!("{path}.{name}"), out);
            }
            return;
        }
    };
    out.insert(format!("{path}: {kind}"));
}

#[test]
fn the_json_has_its_schema() {
    play_based(
        &with_prober(&replace(CLEAN, &[("voice_url = \"{base}/handlers/voice\"", "voice_url = \"\"")])),
        async |w| {
            let report = report_of(w, &config_text(w), &options()).await;
            let json = serde_json::to_value(&report).unwrap();
            let mut found = BTreeSet::new();
            schema(&json, "", &mut found);
            let wanted = [
                ".account: text",
                ".at: text",
                ".findings: a list",
                ".findings[].code: text",
                ".findings[].cure: text",
                ".findings[].groups: a list",
                ".findings[].groups[]: text",
                ".findings[].numbers: a list",
                ".findings[].numbers[]: text",
                ".findings[].seen: text",
                ".findings[].severity: text",
                ".findings[].title: text",
                ".findings[].why: text",
                ".not_looked_at: a list",
                ".not_looked_at[].because: text",
                ".not_looked_at[].codes: a list",
                ".not_looked_at[].codes[]: text",
                ".not_looked_at[].is_needed: true or false",
                ".not_looked_at[].numbers: a list",
                ".numbers: a number",
                ".passed: a list",
                ".passed[]: text",
                ".swaps: a list",
                ".swaps[].group: text",
                ".swaps[].numbers: a number",
                ".swaps[].proven_s: a number",
                ".swaps[].written_s: a number",
                ".verdict: text",
                ".version: a number",
            ];
            assert_eq!(found, wanted.map(str::to_owned).into_iter().collect());
            assert_eq!((&json["verdict"], &json["version"]), (&"not_ready".into(), &1.into()));
            assert_eq!(
                (&json["findings"][0]["code"], &json["findings"][0]["severity"]),
                (&"RB301".into(), &"error".into())
            );
        },
    );
}

/// The reference page.
fn page() -> String {
    let mut out = String::from(
        "# What `ringback check` finds\n\n\
         Each finding has a code, which never changes its meaning. This page is made from the table in \
         `src/core/check/code.rs`: `UPDATE=1 cargo test --test it checks::` writes it anew. `ringback check --explain RB301` \
         prints the same of one code.\n\n\
         An **error** keeps callers from being served or a rollback from working; a **warning** will surprise somebody. The \
         exit code is 0 if there is no error, 1 if there is one, or if something that is needed could not be looked at; with \
         `--strict` a warning counts as well; 2 for a faulty configuration; 3 if Twilio could not be asked.\n",
    );
    for code in FindingCode::ALL {
        let CodePage { code, severity, title, why, cure } = code.page();
        out += &format!("\n## {code}: {title}\n\n*{}*. {why}\n\nCure: {cure}\n", severity.label());
    }
    out
}

#[test]
fn the_reference_page_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/docs/pages/checks.md");
    let want = page();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &want).unwrap();
    }
    let is = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(is == want, "src/docs/pages/checks.md is out of date: UPDATE=1 cargo test --test it checks::");
}

/// A route that does not say which region processes the calls is no word that ours does.
#[test]
fn a_region_that_is_not_said_is_not_known() {
    play_based(&with_prober(CLEAN), async |w| {
        let mut servers = JoinSet::new();
        between(w, &mut servers, |passing| {
            if passing.path.contains("PhoneNumbers/%2B") {
                let mut route = passing.json().unwrap();
                for field in ["voiceRegion", "voice_region", "messagingRegion"] {
                    if let Some(region) = route.get_mut(field) {
                        *region = Value::Null;
                    }
                }
                passing.set(&route);
            }
        })
        .await;
        let config = config_text(w);
        let report = report_of(w, &config, &options()).await;
        let skipped = report.not_looked_at.iter().find(|n| n.codes.contains(&FindingCode::VoiceRegion));
        let skipped = skipped.unwrap_or_else(|| panic!("{}", text::whole(&report, false)));
        assert!(skipped.because.contains("does not say which region"), "{}", skipped.because);
        assert!(!report.passed.contains(&FindingCode::VoiceRegion), "{:?}", report.passed);
    });
}
