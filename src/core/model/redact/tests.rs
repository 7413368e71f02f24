use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::numbers::letters;
use super::*;
use crate::model::id::testing::ours;
use crate::model::roster::{Number as Watched, PortAt};

const OWN: &str = "+15005550100";

fn roster() -> Roster {
    let mut roster = Roster::default();
    let group = roster.add_group("support".parse().unwrap(), [None, None]);
    for number in [OWN, "+4930901820"] {
        let (label, timezone) = (String::new(), TimeZone::UTC);
        let number = Watched { id: ours(number), label, group, channels: [true; 2], timezone, port: PortAt::Done };
        roster.add_number(number).unwrap();
    }
    roster
}

fn kept(text: &str) -> String {
    super::kept(text, &roster()).into_owned()
}

fn told(text: &str) -> String {
    super::told(text, &roster())
}

#[test]
fn a_callers_number_is_left_out_in_every_writing() {
    for writing in [
        "+14155551212",
        "14155551212",
        "4155551212",
        "%2B14155551212",
        "%2b14155551212",
        "%252B14155551212",
        "%25252B14155551212",
        "0014155551212",
        "01114155551212",
        "415-555-1212",
        "415.555.1212",
        "415 555 1212",
        "415%20555%201212",
        "415+555+1212",
        "415_555_1212",
        "415/555/1212",
        "415\\555\\1212",
        "415\\/555\\/1212",
        "415/555-1212",
        "(415) 555-1212",
        "(415)555-1212",
        "%28415%29%20555-1212",
        "%28415%29+555%2D1212",
        "+1 (415) 555-1212",
        "(+1) 415 555 1212",
        "+1-415-555-1212",
        "1.415.555.1212",
        "+1 415\u{a0}555\u{2011}1212",
        "+1%C2%A0415%C2%A0555%E2%80%911212",
        "\u{202a}+1 415 555 1212\u{202c}",
        "%34%31%35%35%35%35%31%32%31%32",
        "%2534%2531%2535%2535%2535%2535%2531%2532%2531%2532",
        "&#43;14155551212",
        "&#x2B;1&nbsp;415&#45;555&#45;1212",
        "\\u002b14155551212",
        "\u{ff14}\u{ff11}\u{ff15}\u{ff15}\u{ff15}\u{ff15}\u{ff11}\u{ff12}\u{ff11}\u{ff12}",
        "\u{664}\u{661}\u{665}\u{665}\u{665}\u{665}\u{661}\u{662}\u{661}\u{662}",
        "030 / 1234 12 12",
        "+49 (0) 30 / 12341212",
        "+33 1 23 45 12 12",
        "20 26 12 12",
        "555-1212",
    ] {
        let url = format!("https://app.example.com/from/{writing}/x");
        let left = kept(&url);
        let mark = left.strip_prefix("https://app.example.com/from/").and_then(|l| l.strip_suffix("/x"));
        let mark = mark.map(|m| m.trim_matches(['\u{202a}', '\u{202c}']));
        assert!(matches!(mark, Some("(…12)" | "(…??)")), "{url} became {left}");
        assert!(is_kept_of(&left, &url), "{url} is not {left}");
        let said = told(&format!("{writing} is wrong")).replace(['\u{202a}', '\u{202c}'], "");
        assert_eq!(said, "(…) is wrong");
        assert_eq!(told(&format!("'To' number: {writing}, not valid")).matches("(…)").count(), 1, "{writing}");
        assert_eq!(kept(&left), left, "nothing is left out twice");
    }
}

#[test]
fn a_url_parts_digits_with_signs_of_its_own_and_may_have_them_in_base64() {
    for writing in [
        "415,555,1212",
        "415%2C555%2C1212",
        "415:555:1212",
        "415;555;1212",
        "415=555=1212",
        "1*415*555*1212",
        "415!555!1212",
        "415%7C555%7C1212",
        "KzE0MTU1NTUxMjEy",
        "NDE1NTU1MTIxMg",
        "NDE1NTU1MTIxMg==",
        "KDQxNSkgNTU1LTEyMTI=",
        "Zm9ybT1hJkZyb209KzE0MTU1NTUxMjEy",
        "eyJmcm9tIjoiKzE0MTU1NTUxMjEyIn0",
    ] {
        let url = format!("https://app.example.com/from/{writing}/x");
        let left = kept(&url);
        let mark = left.strip_prefix("https://app.example.com/from/").and_then(|l| l.strip_suffix("/x"));
        assert!(mark.is_some_and(|m| m.trim_end_matches('=') == "(…12)"), "{url} became {left}");
        assert!(is_kept_of(&left, &url), "{url} is not {left}");
    }
    // In a sentence the same signs part one count from another, and words that are Base64 of nothing stay.
    for text in [
        "errors 11200, 11205, 12100; calls: 415, 555, 1212",
        "https://app.example.com/incomingPhoneNumbers/authentication-callback",
        "https://app.example.com/from/KzE1MDA1NTUwMTAw/x",
        "https://app.example.com/v1:2/a=3",
    ] {
        assert_eq!(kept(text), text);
    }
}

#[test]
fn it_is_left_out_in_every_part_of_a_url() {
    for (url, left) in [
        ("https://h.example.com/outbound/+14155551212", "https://h.example.com/outbound/(…12)"),
        ("https://h.example.com/a/1/4155551212/b", "https://h.example.com/a/1/(…12)/b"),
        ("https://h.example.com/4155551212/4155551213", "https://h.example.com/(…12)/(…13)"),
        ("https://h.example.com:8443/4155551212", "https://h.example.com:8443/(…12)"),
        ("https://h.example.com:8443/415", "https://h.example.com:8443/415"),
        ("https://14155551212.example.com/voice", "https://(…12).example.com/voice"),
        ("https://call-415-555-1212.example.com/", "https://call-(…12).example.com/"),
        ("https://h.example.com/v;from=%2B14155551212;a=b", "https://h.example.com/v;from=(…12);a=b"),
        ("https://h.example.com/v#from=14155551212", "https://h.example.com/v#from=(…12)"),
        ("https://4155551212:pw@h.example.com/v", "https://(…12):pw@h.example.com/v"),
        ("sip:+14155551212@192.168.100.200:5060", "sip:(…12)@192.168.100.200:5060"),
        ("tel:415-555-1212;ext=89", "tel:(…12);ext=89"),
        ("https://h/x14155551212y", "https://h/x(…12)y"),
    ] {
        assert_eq!(kept(url), left);
        assert!(is_kept_of(left, url), "{url}");
    }
}

#[test]
fn what_is_ours_or_no_number_stays() {
    for text in [
        "",
        "https://app.example.com/voice",
        "https://app.example.com/to/+15005550100/voice",
        "https://app.example.com/to/%2B15005550100/voice",
        "15005550100",
        "(500) 555-0100",
        "500.555.0100",
        "+49 30 901820",
        "030/901820",
        "The requested resource /2010-04-01/Accounts/AC0123456789abcdef0123456789012345/Calls.json was not found",
        "CA00000000000000000000000000000001 and SM11111111111111111111111111111111",
        "https://handler.twilio.com/twiml/EH00000000000000000000000014155551",
        "https://webhooks.twilio.com/v1/Accounts/AC00000000000000000000000000000001/Flows/FW12345678901234567890123456789012",
        "request 01234567-89ab-cdef-0123-456789012345",
        "HTTP 502, code 11200, then 11205 and 15003",
        "code 11200 (15 s), 82002 (100 ms)",
        "Sat, 28 Nov 2026 06:01:02 +0000",
        "2026-11-28T06:01:02.123456+00:00",
        "2026-11-28 06:01:02 -0500, 2026/11/28 06:01",
        "https://203.0.113.205:8443/voice",
        "https://ec2-203-0-113-205.compute-1.amazonaws.com/voice",
        "connecting to 203.0.113.205:443 failed",
        "line 120 column 65536",
        "#ct=5000&rt=15000&rc=1",
    ] {
        assert_eq!(kept(text), text);
        assert!(is_kept_of(text, text));
    }
    // Beside a caller's.
    assert_eq!(told("from +14155551212 to +15005550100"), "from (…) to +15005550100");
    assert_eq!(told("+14155551212 +15005550100"), "(…) +15005550100");
    assert_eq!(told("HTTP 404 +15005550100"), "HTTP 404 +15005550100");
    assert_eq!(kept("/4155551212/15005550100/200"), "/(…12)/15005550100/200");
    assert_eq!(kept("/CA00000000000000000000000000000001/4155551212"), "/CA00000000000000000000000000000001/(…12)");
}

#[test]
fn a_url_in_a_sentence_has_no_secrets() {
    assert_eq!(
        told("'https://user:pw@app.example.com/v/4155551212?token=x#y' and http://h#t, a@b?"),
        "'https://app.example.com/v/(…)?…#…' and http://h#…, a@b?"
    );
    let blank = "https://+1 415 555 1212:pw@h/v and https://h/v?From=(415) 555-1212&token=x";
    assert_eq!(told(blank), "https://h/v and https://h/v?…", "the blank is the number's");
}

#[test]
fn a_kept_url_is_told_from_another() {
    let configured = "https://app.example.com/forward/415-555-1212/of/15005550100";
    let left = kept(configured);
    assert_eq!(left, "https://app.example.com/forward/(…12)/of/15005550100");
    assert!(is_kept_of(&left, configured));
    assert!(is_kept_of(&left, "https://app.example.com/forward/%2B14155551212/of/15005550100"), "in another writing");
    assert!(is_kept_of(configured, configured));
    for other in [
        "https://app.example.com/forward/415-555-1213/of/15005550100",
        "https://app.example.com/forward/415-555-1212/of/15005550101",
        "https://app.example.com/forward/415-555-1212/of/15005550100/x",
        "https://app.example.com/forward/415-555-1212/of/",
        "https://app.example.com/forward/12/of/15005550100",
        "",
    ] {
        assert!(!is_kept_of(&left, other), "{other}");
    }
}

/// The characters of a number between which people put something.
fn written(e164: &str, form: usize, gaps: &[usize]) -> String {
    const GAPS: [&str; 14] = ["-", ".", " ", "%20", "%2D", "+", "_", "/", "\u{a0}", "\u{2013}", " - ", "~", "%2E", ""];
    let digits = &e164[1..];
    let gap = |n: usize| GAPS[gaps[n % gaps.len()] % GAPS.len()];
    let grouped = |digits: &str| {
        let chunks = digits.as_bytes().rchunks(2 + gaps[0] % 3).rev().map(|c| std::str::from_utf8(c).unwrap());
        chunks
            .enumerate()
            .map(|(n, c)| if n == 0 { c.to_owned() } else { format!("{}{c}", gap(n)) })
            .collect::<String>()
    };
    match form % 8 {
        0 => e164.to_owned(),
        1 => format!("%2B{digits}"),
        2 => digits.to_owned(),
        3 => format!("+{}", grouped(digits)),
        4 => grouped(digits),
        5 => format!("({}){}{}", &digits[..3], gap(1), grouped(&digits[3..])),
        6 => digits.bytes().map(|b| format!("%{b:02x}")).collect(),
        _ => format!("00{digits}"),
    }
}

fn caller() -> impl Strategy<Value = String> {
    "\\+[2-9][0-9]{9,13}"
}

/// The digits of `text`, with whatever may separate them left out.
fn digits(text: &str) -> String {
    letters(text).iter().map(|l| l.c).filter(char::is_ascii_digit).collect()
}

proptest! {
    #[test]
    fn no_callers_number_survives(
        caller in caller(),
        form in 0usize..8,
        gaps in prop::collection::vec(0usize..14, 1..6),
        place in 0usize..9,
        sid in "[A-Z]{2}[0-9a-f]{32}",
        noise in "[a-z/ .:;,=&]{0,12}",
    ) {
        let number = written(&caller, form, &gaps);
        let text = match place {
            0 => format!("https://app.example.com/{noise}/{number}/{sid}"),
            1 => format!("https://{number}@app.example.com/{sid}"),
            2 => format!("https://app.example.com/voice?From={number}&CallSid={sid}"),
            3 => format!("https://app.example.com/{sid}#{number}"),
            4 => format!("https://n{number}.example.com:8443/{sid}"),
            5 => format!("{noise}{number}{noise} {sid}"),
            6 => format!("sip:{number}@h;a={sid}"),
            7 => format!("{{\"message\":\"{number}\",\"sid\":\"{sid}\"}}"),
            _ => format!("{sid} to {OWN}, from {number}: {noise}"),
        };
        for left in [kept(&text), told(&text)] {
            let rest = left.replace(&sid, "").replace(OWN, "");
            prop_assert!(!digits(&rest).contains(&caller[4..]), "{} became {}", text, left);
        }
        let left = kept(&text);
        prop_assert!(left.contains(&sid), "{} became {}", text, left);
        prop_assert!(place != 8 || left.contains(OWN), "{} became {}", text, left);
        prop_assert!(is_kept_of(&left, &text), "{} is not {}", text, left);
        prop_assert_eq!(kept(&left), left.clone(), "twice");
    }

    #[test]
    fn our_own_numbers_survive_in_any_writing(form in 0usize..8, gaps in prop::collection::vec(0usize..14, 1..6)) {
        let text = format!("https://app.example.com/to/{}/voice", written(OWN, form, &gaps));
        prop_assert_eq!(kept(&text), text);
    }

    #[test]
    fn any_text_is_read(text in any::<String>(), escapes in "[%&#;u\\\\0-9a-fA-F()+/ .:@-]{0,60}") {
        for text in [text, escapes] {
            let left = kept(&text);
            prop_assert!(is_kept_of(&left, &text), "{} is not {}", text, left);
            told(&text);
        }
    }
}
