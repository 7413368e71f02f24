//! Numbers in all the writings in which they are dialled, and in which networks name a party.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;

fn e164(s: &str) -> E164 {
    s.parse().unwrap()
}

fn codes(ours: &str) -> CallingCodes {
    let mut codes = CallingCodes::default();
    codes.add(e164(ours));
    codes
}

fn may_mean(text: &str, ours: &str) -> bool {
    match read(text, &codes(ours)) {
        Dialled::Numbers(numbers) => numbers.contains(&e164(ours)),
        Dialled::Nothing | Dialled::NoNumber => false,
    }
}

#[test]
fn a_number_is_itself_in_all_its_writings() {
    for text in [
        "+14155551212",
        "14155551212",
        "4155551212",
        "415-555-1212",
        "(415) 555-1212",
        "1-415-555-1212",
        "+1 415 555 1212",
        " +1 (415) 555.1212 ",
        "011 1 415 555 1212",
        "0014155551212",
        "tel:+14155551212",
        "TEL:415-555-1212;ext=12",
        "%2B1%20415%20555%201212",
        "415\u{2011}555\u{2011}1212",
        "+1\u{a0}415\u{a0}555\u{a0}1212",
        "\u{ff0b}\u{ff11}4155551212",
        "415-555-1212 x12",
        "415-555-1212 ext. 12",
        "415-555-1212,,12#",
    ] {
        assert!(may_mean(text, "+14155551212"), "{text:?}");
    }
    assert!(may_mean("1-800-FLOWERS", "+18003569377"));
    for text in ["020 7946 0000", "+44 (0)20 7946 0000", "0044 20 7946 0000", "00 44 (0) 20 7946 0000", "2079460000"] {
        assert!(may_mean(text, "+442079460000"), "{text:?}");
    }
    assert!(may_mean("8 495 555 12 12", "+74955551212"));
    assert!(may_mean("06 1 555 1212", "+3615551212"));
    assert!(may_mean("06 5551 2121", "+390655512121"), "Italy keeps its zero");
}

#[test]
fn another_number_is_another() {
    for text in ["+14155551213", "+442079460000", "415-555-1213", "+494155551212", "+11 4155551212"] {
        assert!(!may_mean(text, "+14155551212"), "{text:?}");
    }
    let none = CallingCodes::default();
    for text in ["", "  ", "\u{200b}", "tel:"] {
        assert_eq!(read(text, &none), Dialled::Nothing, "{text:?}");
    }
    for text in ["911", "100", "the desk", "{{To}}", "+12"] {
        assert_eq!(read(text, &none), Dialled::NoNumber, "{text:?}");
    }
    assert!(may_mean("555 0100", "+3545550100"), "Iceland's have seven digits");
}

#[test]
fn what_twilio_says_that_it_dials() {
    for text in [
        "+14155551212",
        " +14155551212\n",
        "+1 (415) 555-1212",
        "+442079460000",
        "+44 20 7946 0000",
        "(415) 555-1212",
        "415-555-1212",
        "4155551212",
        "1-415-555-1212",
    ] {
        assert!(is_formed(text), "{text:?}");
    }
    for text in [
        "",
        "+",
        "front desk 415-555-1212",
        "+14155551212, +14155551213",
        "+14155551212 +14155551213",
        "4155551212 4155551213",
        "1-800-FLOWERS",
        "415-555-1212 x12",
        "415-555-1212,,12#",
        "+1415555121",
        "+141555512123",
        "415-555-121",
        "115-555-1212",
        "415-155-1212",
        "555-1212",
        "011 44 20 7946 0000",
        "020 7946 0000",
        "+44 (0)20 7946 0000",
        "442079460000",
        "tel:+14155551212",
        "sip:+14155551212@example.com",
        "%2B14155551212",
        "++14155551212",
        "1+4155551212",
    ] {
        assert!(!is_formed(text), "{text:?}");
    }
}

#[test]
fn a_number_is_found_wherever_it_stands_in_a_text() {
    for text in [
        "front desk 415-555-1212",
        "415-555-1212 front desk",
        "+14155551213, +14155551212",
        "+14155551213,+14155551212",
        "+14155551212;+14155551213",
        "4155551213 4155551212",
        "41555512134155551212 or 415 555 1212",
        "+14155551213+14155551212",
        "2 desks: 4155551212",
        "desk2:+1-415-555-1212",
        "415a555b1212",
        "call 415 call 555 call 1212",
        "<+14155551212>",
        "\"Desk\" <sip:+14155551212@example.com>",
        "x\u{ff0b}\u{ff11}4155551212",
    ] {
        assert!(within(text, &codes("+14155551212")).contains(&e164("+14155551212")), "{text:?}");
    }
    for text in ["please dial 1-800-FLOWERS now", "1-800-FLOWERS", "or (800) FLOWERS, please"] {
        assert!(within(text, &codes("+18003569377")).contains(&e164("+18003569377")), "{text:?}");
    }
    for text in ["front desk", "", "415-555-1213, 415-555-1214", "the 4155th of 551212"] {
        assert!(!within(text, &codes("+18003569377")).contains(&e164("+18003569377")), "{text:?}");
    }
}

/// One of our numbers: a calling code, and what follows it.
fn number() -> impl Strategy<Value = (&'static str, String)> {
    let code = select(vec!["1", "7", "44", "49", "61", "81", "353", "358", "852"]);
    (code, "[2-9][0-9]{7,9}")
}

/// Between two digits.
fn separator() -> impl Strategy<Value = &'static str> {
    select(vec!["", "", "", " ", "-", ".", "/", ") ", " (", "\u{a0}", "\u{2010}", "\u{2013}", "\u{200b}"])
}

#[test]
fn a_party_is_one_number_however_it_is_written() {
    let both = {
        let mut codes = codes("+14155551212");
        codes.add(e164("+442079460958"));
        codes
    };
    let of = |text: &str| identity(text, &both).map(|n| n.to_string());
    for text in [
        "+19175551234",
        "19175551234",
        "9175551234",
        "917-555-1234",
        "(917) 555-1234",
        "0019175551234",
        "01119175551234",
        "%2B19175551234",
        "tel:+1-917-555-1234",
        "917-555-1234 x12",
    ] {
        assert_eq!(of(text).as_deref(), Some("+19175551234"), "{text}");
    }
    for text in ["+442079460958", "442079460958", "020 7946 0958", "+44 (0)20 7946 0958", "00442079460958"] {
        assert_eq!(of(text).as_deref(), Some("+442079460958"), "{text}");
    }
    // An area of Britain, and a country that is none of ours.
    assert_eq!(of("0113 496 0000").as_deref(), Some("+441134960000"));
    assert_eq!(of("4930901820000").as_deref(), Some("+4930901820000"));
    for none in ["", "alice", "1001", "10012", "5551234", "+1555", "No Caller ID", "Out of Area", "+1917555XXXX"] {
        assert_eq!(of(none), None, "{none}");
    }
}

proptest! {
    #[test]
    fn any_writing_of_our_number_is_found(
        (code, national) in number(),
        style in 0..9usize,
        separators in proptest::collection::vec(separator(), 24),
        tail in select(vec!["", " ", ",,1234", ";ext=7", " x7", "\n"]),
    ) {
        let trunk = match code { "1" => "1", "7" => "8", _ => "0" };
        let (start, digits) = match style {
            0 => ("+", format!("{code}{national}")),
            1 => ("", format!("{code}{national}")),
            2 => ("", format!("00{code}{national}")),
            3 => ("", format!("011{code}{national}")),
            4 => ("", national.clone()),
            5 => ("", format!("{trunk}{national}")),
            6 => ("tel:+", format!("{code}{national}")),
            7 => ("%2B", format!("{code}{national}")),
            _ => ("+", format!("{code}0{national}")),
        };
        let spelt: String = digits.chars().zip(&separators).map(|(c, s)| format!("{c}{s}")).collect();
        let text = format!("{start}{spelt}{tail}");
        prop_assert!(may_mean(&text, &format!("+{code}{national}")), "{:?}", text);
    }

    #[test]
    fn no_text_does_harm(text in ".{0,60}", ours in "\\+[1-9][0-9]{6,14}") {
        read(&text, &codes(&ours));
        is_formed(&text);
        within(&text, &codes(&ours));
    }

    /// Whatever words and other numbers it stands among.
    #[test]
    fn our_number_among_others_is_found(
        before in "([a-z]{1,8} |\\+[1-9][0-9]{9,12}[ ,;])?",
        plus in select(vec!["+1", "1", ""]),
        after in "([ ,;][a-z]{1,8}|[ ,;]\\+[1-9][0-9]{9,12})?",
    ) {
        let text = format!("{before}{plus}4155551212{after}");
        prop_assert!(within(&text, &codes("+14155551212")).contains(&e164("+14155551212")), "{:?}", text);
    }

    /// In full, a number means itself and, without a superfluous zero, nothing else.
    #[test]
    fn a_number_in_full_is_no_other((code, national) in number(), (other, rest) in number()) {
        prop_assume!((code, &national) != (other, &rest));
        let (text, ours) = (format!("+{code}{national}"), format!("+{other}{rest}"));
        prop_assert!(!may_mean(&text, &ours), "{} is not {}", text, ours);
    }
}
