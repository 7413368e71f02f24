//! Twilio's JSON in its many dresses. The client over HTTP is tested against the simulator, in
//! `tests/it`.

use super::wire::{Listed, Page};
use super::*;
use crate::core::detect::observation::{CallStatus, Leg, Level, MessageStatus, RemoteParty};
use crate::core::model::code::Code;
use crate::core::model::id::Resource;
use crate::core::model::id::{E164, MessageSid};
use crate::core::model::roster::{Number, PortAt};
use crate::core::model::value::FieldValue;
use crate::testing::{ACCOUNT, ours};

const OURS: &str = "+15005550100";

fn roster() -> Roster {
    let mut roster = Roster::default();
    let group = roster.add_group("support".parse().unwrap(), [None, None]);
    roster.add_number(Number {
        id: ours(OURS),
        label: String::new(),
        timezone: jiff::tz::TimeZone::UTC,
        group,
        channels: [true; 2],
        port: PortAt::Done,
    });
    roster.add_prober("+15005550199".parse().unwrap());
    roster
}

fn page<L: Listed>(body: &str) -> Page<L::Item> {
    try_page::<L>(body).unwrap()
}

fn try_page<L: Listed>(body: &str) -> Result<Page<L::Item>, wire::NotAPage> {
    wire::page::<L>(
        body.as_bytes(),
        Reader {
            roster: &roster(),
            account: ACCOUNT,
            key: &CallerKey::public(),
            sids: &NumberSids::default(),
            carriers: None,
        },
    )
}

fn call(changes: &str) -> String {
    let mut row = serde_json::json!({
        "sid": "CA00000000000000000000000000000001", "account_sid": ACCOUNT.to_string(),
        "parent_call_sid": null, "direction": "inbound", "from": "+12125550142", "to": OURS, "status": "completed",
        "start_time": "Sat, 21 Nov 2026 09:00:00 +0000", "end_time": "Sat, 21 Nov 2026 09:00:07 +0000",
        "date_created": "Sat, 21 Nov 2026 08:59:59 +0000", "duration": "7", "price": null, "trunk_sid": "",
        "subresource_uris": {"recordings": "/x"}
    });
    let changes: serde_json::Value = serde_json::from_str(changes).unwrap();
    for (k, v) in changes.as_object().unwrap() {
        row[k] = v.clone();
    }
    row.to_string()
}

fn calls(rows: &[String]) -> String {
    format!(r#"{{"page":0,"calls":[{}],"next_page_uri":null,"end":0}}"#, rows.join(","))
}

fn one_call(changes: &str) -> Result<WireRow<Call>, BadRow> {
    page::<wire::Calls>(&calls(&[call(changes)])).rows.remove(0)
}

#[test]
fn a_call_is_read_as_twilio_writes_it() {
    let Ok(WireRow::Ours(c)) = one_call("{}") else { panic!() };
    assert_eq!(c.started_at.to_string(), "2026-11-21T09:00:00.000Z");
    assert_eq!((c.status, c.duration), (CallStatus::Completed, Some(7)));
    let Leg::Inbound { number, caller } = c.leg else { panic!() };
    assert_eq!((number.to_string().as_str(), caller.last_two, caller.is_prober), (OURS, Some(42), false));
    assert_eq!(caller.hash, CallerKey::public().hash("+12125550142"));
}

#[test]
fn unset_is_null_or_empty_or_absent_and_numbers_may_be_text() {
    for duration in [r#"{"duration":7}"#, r#"{"duration":"7"}"#] {
        assert!(matches!(one_call(duration), Ok(WireRow::Ours(Call { duration: Some(7), .. }))));
    }
    for unset in [r#"{"duration":null,"end_time":""}"#, r#"{"duration":"","end_time":null}"#] {
        assert!(matches!(one_call(unset), Ok(WireRow::Ours(Call { duration: None, ended_at: None, .. }))));
    }
    let bare = r#"{"calls":[{"sid":"CA00000000000000000000000000000001","direction":"inbound","to":"+15005550100",
        "date_created":"2026-11-21T09:00:00Z","new_field":{"a":[1,2]}}]}"#;
    assert!(matches!(
        page::<wire::Calls>(bare).rows[0],
        Ok(WireRow::Ours(Call { status: CallStatus::Unknown, duration: None, .. }))
    ));
}

#[test]
fn both_date_formats_are_taken() {
    for date in ["Sat, 21 Nov 2026 09:00:00 +0000", "2026-11-21T09:00:00Z", "Sat, 21 Nov 2026 10:00:00 +0100"] {
        assert_eq!(wire::date(date).unwrap().to_string(), "2026-11-21T09:00:00.000Z", "{date}");
    }
    for bad in ["", "21.11.2026", "2026-13-01T00:00:00Z", "Sat, 99 Nov 2026 09:00:00 +0000"] {
        assert!(wire::date(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_date_is_read_as_the_library_reads_it() {
    let library = jiff::fmt::rfc2822::DateTimeParser::new();
    let days = ["Sat, 21 Nov 2026", "Sun, 21 Nov 2026", "Mon, 29 Feb 2027", "Tue, 29 Feb 2028", "(,) 1 Nov 2026 ("];
    let zones = [" +0000", " +0100", " -0000", " GMT", "+0000", "", " )+0000"];
    for (day, zone) in days.iter().flat_map(|day| zones.map(|zone| (day, zone))) {
        for time in ["00:00:00", "09:05:59", "23:59:59", "23:59:60", "24:00:00", "12:60:00", "1 :00:00", ":0:00:00"] {
            let text = format!("{day} {time}{zone}");
            let expected = library.parse_timestamp(&text).ok().map(Time::from);
            // Whatever day was read before.
            for _ in 0..2 {
                assert_eq!(wire::date(&text).ok(), expected, "{text}");
            }
            wire::date("Wed, 18 Nov 2026 22:24:09 +0000").unwrap();
        }
    }
}

#[test]
fn words_that_twilio_invents_are_survived() {
    let Ok(WireRow::Ours(c)) = one_call(r#"{"status":"teleported"}"#) else { panic!() };
    assert_eq!(c.status, CallStatus::Unknown);
    // Whether it is a caller's nobody can tell: said where it is of one of our numbers.
    assert!(one_call(r#"{"direction":"sideways"}"#).unwrap_err().to_string().contains("direction"));
    assert!(matches!(one_call(r#"{"direction":"sideways","to":"+15005550999"}"#), Ok(WireRow::NotOurs(Some(_)))));
}

#[test]
fn the_leg_tells_who_was_called() {
    assert!(matches!(one_call(r#"{"to":"+15005550999"}"#), Ok(WireRow::NotOurs(_))));
    assert!(matches!(one_call(r#"{"to":"sip:a@b"}"#), Ok(WireRow::NotOurs(_))));
    for to in ["sip:+15005550100@t.pstn.twilio.com;region=us1", "SIP:15005550100@t", "tel:5005550100"] {
        let Ok(WireRow::Ours(c)) = one_call(&format!(r#"{{"to":"{to}"}}"#)) else { panic!("{to}") };
        assert!(matches!(c.leg, Leg::Inbound { number, .. } if number.to_string() == OURS), "{to}");
    }
    for to in [r#""""#, "null", r#""sip:5550100@t""#] {
        assert_eq!(one_call(&format!(r#"{{"to":{to}}}"#)).unwrap_err().field, "to", "{to}");
    }
    assert!(matches!(one_call(r#"{"direction":"outbound-api"}"#), Ok(WireRow::NotOurs(_))));
    // A softphone calls out; a call that reached a number of somebody's, and does not say which, is not understood.
    assert!(matches!(one_call(r#"{"from":"client:alice","to":""}"#), Ok(WireRow::NotOurs(_))));
    assert!(one_call(r#"{"from":"client:alice","to":"","phone_number_sid":"PN1"}"#).is_err());
    assert!(one_call(r#"{"to":""}"#).is_err());
    // Its number's SID says whose it is, as soon as the number was read, whatever is written there.
    let sids = NumberSids::default();
    let reader = Reader { roster: &roster(), account: ACCOUNT, key: &CallerKey::public(), sids: &sids, carriers: None };
    let sid = "PN00000000000000000000000000000001";
    let reached = |more: &str| {
        let body = calls(&[call(&format!(r#"{{"phone_number_sid":"{sid}",{more}}}"#))]);
        match wire::page::<wire::Calls>(body.as_bytes(), reader).unwrap().rows.remove(0) {
            Ok(WireRow::Ours(Call { leg: Leg::Inbound { number, .. }, .. })) => Ok(Some(number.to_string())),
            Ok(_) => Ok(None),
            Err(bad) => Err(bad.field),
        }
    };
    let writings = [r#""to":"""#, r#""to":null"#, r#""to":"+18005550100""#, r#""from":"client:alice","to":"""#];
    assert_eq!(writings.map(reached), [Err("to"), Err("to"), Ok(None), Err("to")]);
    sids.note(sid.parse().unwrap(), OURS.parse().unwrap());
    assert_eq!(writings.map(reached), [(); 4].map(|()| Ok(Some(OURS.to_owned()))));
    assert_eq!(reached(r#""to":"+18005550100","direction":"outbound-api""#), Ok(None), "we called");
    assert!(matches!(
        one_call(r#"{"direction":"trunking-originating"}"#),
        Ok(WireRow::Ours(Call { leg: Leg::Inbound { .. }, .. }))
    ));
    let child = r#"{"direction":"outbound-dial","to":"+1999","parent_call_sid":"CA00000000000000000000000000000009"}"#;
    let parent = CallSid::from_u128(9);
    assert!(matches!(one_call(child), Ok(WireRow::Ours(Call { leg: Leg::Child { parent: p }, .. })) if p == parent));
    let Ok(WireRow::Ours(c)) = one_call(r#"{"from":"anonymous"}"#) else { panic!() };
    assert!(matches!(c.leg, Leg::Inbound { caller: RemoteParty { last_two: None, .. }, .. }));
    let Ok(WireRow::Ours(c)) = one_call(r#"{"from":"+15005550199"}"#) else { panic!() };
    assert!(matches!(c.leg, Leg::Inbound { caller, .. } if caller.is_prober));
}

#[test]
fn a_bad_row_is_set_aside_and_the_page_goes_on() {
    let rows = [
        call("{}"),
        call(r#"{"sid":"CA1"}"#),
        call(r#"{"start_time":"soon"}"#),
        call(r#"{"status":{"a":1}}"#),
        "17".to_owned(),
        call(r#"{"sid":"CA00000000000000000000000000000002"}"#),
    ];
    let page = page::<wire::Calls>(&calls(&rows));
    let good: Vec<bool> = page.rows.iter().map(Result::is_ok).collect();
    assert_eq!(good, [true, false, false, false, false, true]);
    let bad = page.rows[1].as_ref().unwrap_err();
    assert_eq!(bad.to_string(), r#"sid: "CA1" is not a SID: CA and 32 hexadecimal digits"#);
    assert!(
        bad.raw.contains(r#""sid":"CA1""#) && bad.raw.contains(r#""start_time":"Sat, 21 Nov 2026 09:00:00 +0000""#)
    );
}

#[test]
fn of_a_bad_row_only_the_outline_is_kept() {
    let private = r#"{"sid":"CA1","from_formatted":"(212) 555-0142","caller_name":"JANE ROE","duration":"+12125550142",
        "forwarded_from":"12125550142","tomorrow":{"from":"+12125550142"},"end_time":"by +12125550142"}"#;
    let bad = page::<wire::Calls>(&calls(&[call(private)])).rows.remove(0).unwrap_err();
    for said in [&bad.raw, &bad.problem] {
        assert!(!said.contains("2125550142") && !said.contains("555-0142") && !said.contains("JANE"), "{said}");
    }
    let national =
        r#"{"sid":"212-555-0142","duration":12125550142,"status":"1 212 555 0142","end_time":"%2B12125550142"}"#;
    let bad = page::<wire::Calls>(&calls(&[call(national)])).rows.remove(0).unwrap_err();
    for said in [&bad.raw, &bad.problem] {
        assert!(!said.contains("0142"), "{said}");
    }
    let text = page::<wire::Calls>(r#"{"calls":["call me at +12125550142"]}"#).rows.remove(0).unwrap_err();
    assert_eq!(text.raw, "25 bytes that are no object");
    assert!(!text.problem.contains("2125550142"), "{}", text.problem);
}

#[test]
fn bytes_that_are_no_text_spoil_a_field_and_not_the_page() {
    let body = calls(&[call(r#"{"caller_name":"Zoe"}"#), call("{}")]).replace("Zoe", "Zo\u{fe}");
    let body: Vec<u8> = body.chars().map(|c| c as u8).collect();
    let page = wire::page::<wire::Calls>(
        &body,
        Reader {
            roster: &roster(),
            account: ACCOUNT,
            key: &CallerKey::public(),
            sids: &NumberSids::default(),
            carriers: None,
        },
    )
    .unwrap();
    assert!(page.rows.iter().all(|r| matches!(r, Ok(WireRow::Ours(_)))));
}

#[test]
fn escapes_and_space_make_no_difference() {
    let plain = page::<wire::Calls>(&calls(&[call("{}")])).rows;
    for (written, otherwise) in [
        ("inbound", r"\u0069nbound"),
        ("21 Nov", r"21\u0020Nov"),
        ("/x", r#"\/\"x\\"#),
        ("\":", "\" :\n\t"),
        (",\"", "\r\n, \""),
    ] {
        let row = call("{}").replace(written, otherwise);
        assert_eq!(page::<wire::Calls>(&calls(&[row])).rows, plain, "{otherwise}");
    }
}

#[test]
fn a_date_that_is_nonsense_does_not_end_a_walk() {
    let old = call(r#"{"sid":"CA00000000000000000000000000000002","start_time":"Thu, 01 Jan 1970 00:00:00 +0000"}"#);
    let newest = page::<wire::Calls>(&calls(&[call("{}"), old])).newest;
    assert_eq!(newest.unwrap().to_string(), "2026-11-21T09:00:00.000Z");
}

#[test]
fn a_body_that_is_no_page_is_an_error() {
    for bad in ["", "[]", "{}", "<html>502</html>", r#"{"calls":17}"#, r#"{"calls":[]"#, r#"{"calls":[]} x"#] {
        assert!(try_page::<wire::Calls>(bad).is_err(), "{bad}");
    }
    assert_eq!(
        try_page::<wire::Calls>("{}").unwrap_err().to_string(),
        "not a page of calls: missing field `calls` at line 1 column 2"
    );
}

#[test]
fn the_next_page_is_found_in_both_kinds_of_list() {
    let old = r#"{"calls":[],"next_page_uri":"/2010-04-01/x?Page=1&PageToken=PACA0"}"#;
    assert_eq!(page::<wire::Calls>(old).next.as_deref(), Some("/2010-04-01/x?Page=1&PageToken=PACA0"));
    let new = r#"{"alerts":[],"meta":{"key":"alerts","next_page_url":"https://monitor.twilio.com/v1/Alerts?Page=1"}}"#;
    assert_eq!(page::<wire::Alerts>(new).next.as_deref(), Some("https://monitor.twilio.com/v1/Alerts?Page=1"));
    assert_eq!(page::<wire::Alerts>(r#"{"meta":{"next_page_url":null},"alerts":[]}"#).next, None);
}

#[test]
fn messages_and_alerts_are_read() {
    let message = r#"{"messages":[{"sid":"SM00000000000000000000000000000001","direction":"outbound-reply",
        "from":"+15005550100","to":"+12125550142","status":"undelivered","error_code":30003,"body":"secret",
        "date_sent":"Sat, 21 Nov 2026 09:00:00 +0000","messaging_service_sid":null}]}"#;
    let Ok(WireRow::Ours(m)) = &page::<wire::Messages>(message).rows[0] else { panic!() };
    assert_eq!((m.sid, m.status, m.error), (MessageSid::from_u128(1), MessageStatus::Undelivered, Some(Code(30003))));
    let alert = r#"{"alerts":[{"sid":"NO00000000000000000000000000000001","error_code":"11200","log_level":"error",
        "resource_sid":"CA00000000000000000000000000000007","date_generated":"2026-11-21T09:00:00Z",
        "request_url":"https://app.example.com/voice?From=%2B12125550142","alert_text":"Msg=x&ErrorCode=11200"}]}"#;
    let Ok(WireRow::Ours(a)) = &page::<wire::Alerts>(alert).rows[0] else { panic!() };
    assert_eq!((a.code, a.resource), (Code(11200), Some(Resource::Call(CallSid::from_u128(7)))));
    assert_eq!(
        a.url.as_ref().map(FieldValue::whole),
        Some("https://app.example.com/voice"),
        "the query may hold the caller's number"
    );
}

/// Twilio may leave out whose an alert is, or name the number or a flow; its texts name the call in many writings.
#[test]
fn an_alert_is_of_the_call_that_its_texts_name() {
    let call = "CA00000000000000000000000000000007";
    let of = |fields: &str| {
        let row = format!(
            r#"{{"alerts":[{{"sid":"NO00000000000000000000000000000001","error_code":"11200","log_level":"error",
                "date_generated":"2026-11-21T09:00:00Z",{fields}}}]}}"#
        );
        let Ok(WireRow::Ours(alert)) = page::<wire::Alerts>(&row).rows.remove(0) else { panic!("{fields}") };
        alert.resource
    };
    let is = Some(Resource::Call(CallSid::from_u128(7)));
    for fields in [
        format!(r#""resource_sid":"{}""#, call.to_lowercase()),
        format!(r#""resource_sid":" {call} ""#),
        format!(r#""resource_sid":"FW00000000000000000000000000000001","alert_text":"CallSid={call}&x=1""#),
        format!(r#""resource_sid":"","request_variables":"{{\"CallSid\":\"{call}\"}}""#),
        format!(r#""resource_sid":null,"request_variables":"call_sid={call}""#),
        format!(r#""alert_text":"the call {call} failed.""#),
        format!(r#""alert_text":"Msg=x%26CallSid%3D{call}%26y""#),
        format!(r#""request_url":"https://app.example.com/voice?CallSid={call}&From=%2B12125550142""#),
    ] {
        assert_eq!(of(&fields), is, "{fields}");
    }
    let other = "CA00000000000000000000000000000008";
    for fields in [format!(r#""alert_text":"{call} or {other}""#), r#""alert_text":"CA12, of nobody""#.to_owned()] {
        assert_eq!(of(&fields), None, "{fields}");
    }
}

/// Telephone numbers move between accounts; a key of the parent's reads the parent's alerts.
#[test]
fn a_row_of_another_account_is_not_taken_for_ours() {
    let (ours, other) = (ACCOUNT.to_string(), "AC00000000000000000000000000000099");
    let is_ours = |account: &str| {
        let account = format!(r#""account_sid":{account}"#);
        let message = format!(
            r#"{{"messages":[{{"sid":"SM00000000000000000000000000000001","direction":"inbound","from":"+12125550142",
                "to":"{OURS}","date_sent":"Sat, 21 Nov 2026 09:00:00 +0000",{account}}}]}}"#
        );
        let alert = format!(
            r#"{{"alerts":[{{"sid":"NO00000000000000000000000000000001","error_code":"11200",
                "date_generated":"2026-11-21T09:00:00Z",{account}}}]}}"#
        );
        [
            one_call(&format!("{{{account}}}")).is_ok(),
            page::<wire::Messages>(&message).rows[0].is_ok(),
            page::<wire::Alerts>(&alert).rows[0].is_ok(),
        ]
    };
    assert_eq!(is_ours(&format!("\"{ours}\"")), [true; 3]);
    assert_eq!(is_ours(&format!("\"{}\"", ours.to_lowercase())), [true; 3]);
    assert_eq!(is_ours("null"), [true; 3], "it is not said");
    assert_eq!(is_ours(&format!("\"{other}\"")), [false; 3]);
}

#[test]
fn words_are_read_in_any_case_and_none_that_is_not_known_is_harmless() {
    for (word, level) in [
        ("ERROR", Level::Error),
        ("Warning", Level::Warning),
        ("WARN", Level::Warning),
        ("Notice", Level::Notice),
        ("DEBUG", Level::Notice),
        ("critical", Level::Error),
        ("", Level::Error),
    ] {
        assert_eq!(Level::from_wire(word), level, "{word:?}");
    }
    assert_eq!(MessageStatus::from_wire("DELIVERED"), MessageStatus::Delivered);
    let Ok(WireRow::Ours(c)) = one_call(r#"{"status":"COMPLETED","direction":"Inbound"}"#) else { panic!() };
    assert_eq!((c.status, c.error), (CallStatus::Completed, None));
}

#[test]
fn an_error_in_words_alone_is_an_error() {
    for (fields, error) in [
        (r#"{"error_code":null,"error_message":null}"#, None),
        (r#"{"error_code":0,"error_message":""}"#, None),
        (r#"{"error_message":"The carrier said +12125550142"}"#, Some(Code::UNNAMED)),
        (r#"{"error_code":"E1","error_message":null}"#, Some(Code::UNNAMED)),
        (r#"{"error_code":"30034","error_message":"x"}"#, Some(Code(30034))),
    ] {
        let Ok(WireRow::Ours(c)) = one_call(fields) else { panic!() };
        assert_eq!(c.error, error, "{fields}");
    }
}

/// An alert of which the code cannot be read is an alert, as a row with such a code has an error.
#[test]
fn an_alert_whose_code_cannot_be_read_is_an_error_without_a_name() {
    for (code, is) in [("null", 0), ("\"\"", 0), ("\"abc\"", 0), ("-5", 0), ("1.5", 0), ("\" 11200 \"", 11200)] {
        let alert = format!(
            r#"{{"alerts":[{{"sid":"NO00000000000000000000000000000001","error_code":{code},"log_level":"error",
            "resource_sid":"CA00000000000000000000000000000007","date_generated":"2026-11-21T09:00:00Z"}}]}}"#
        );
        let Ok(WireRow::Ours(a)) = &page::<wire::Alerts>(&alert).rows[0] else { panic!("{code}") };
        assert_eq!(a.code, Code(is), "{code}");
    }
    assert_eq!(Code(0), Code::UNNAMED);
}

fn caller(from: &str) -> RemoteParty {
    let Ok(WireRow::Ours(call)) = one_call(&serde_json::json!({"from": from}).to_string()) else { panic!("{from}") };
    let Leg::Inbound { caller, .. } = call.leg else { panic!("{from}") };
    caller
}

/// One party in whatever form is one witness, our own test calls' among them; what is no number is none of its own.
#[test]
fn one_party_is_one_in_every_writing() {
    let forms = |digits: &str| {
        let national = &digits[1..];
        [
            format!("+{digits}"),
            digits.to_owned(),
            national.to_owned(),
            format!("({}) {}-{}", &national[..3], &national[3..6], &national[6..]),
            format!("00{digits}"),
            format!("011{digits}"),
            format!("sip:{digits}@pbx.example.com"),
            format!("sip:{national}@pbx.example.com;user=phone"),
            format!("sip:+{digits}:pw@10.0.0.1"),
            format!("+{digits}@10.0.0.1:5060"),
            format!("tel:+{digits};phone-context=x"),
            format!("whatsapp:+{digits}"),
        ]
    };
    let one = caller("+12125550142");
    assert!(one.last_two == Some(42) && !one.is_prober);
    for text in forms("12125550142") {
        assert_eq!(caller(&text), one, "{text}");
    }
    for text in forms("15005550199") {
        assert!(caller(&text).is_prober, "{text}");
    }
    let nobody = caller("anonymous");
    for text in [
        "Private Number",
        "No Caller ID",
        "Out of Area",
        "Blocked",
        "+266696687",
        "sip:1001@pbx.example.com",
        "client:front-desk",
        "ACME",
        "555-0142",
    ] {
        assert_eq!(caller(text), nobody, "{text}");
    }
}

/// A word for a direction that Twilio has not used before: whose the text is can be told all the same.
#[test]
fn a_text_of_ours_with_an_unknown_direction_is_not_understood() {
    for (from, to, is_ours) in [("+12125550142", OURS, true), (OURS, "+12125550142", true), ("+1999", "+1888", false)] {
        let row = page::<wire::Messages>(&format!(
            r#"{{"messages":[{{"sid":"SM00000000000000000000000000000001","direction":"inbound-sms","from":"{from}",
            "to":"{to}","status":"received","date_created":"Sat, 21 Nov 2026 09:00:00 +0000"}}]}}"#
        ));
        match row.rows.into_iter().next() {
            Some(Err(bad)) => assert!(is_ours && bad.field == "direction", "{from} {to}"),
            Some(Ok(WireRow::NotOurs(_))) => assert!(!is_ours, "{from} {to}"),
            other => panic!("{from} {to}: {other:?}"),
        }
    }
}

/// Whoever sends for a Messaging Service may answer for one of our numbers.
#[test]
fn a_services_senders_need_not_be_telephone_numbers() {
    let sent = |from: &str, service: &str, direction: &str| {
        let page = page::<wire::Messages>(&format!(
            r#"{{"messages":[{{"sid":"SM00000000000000000000000000000001","direction":"{direction}","from":{from},
            "to":"+12125550142","status":"failed","error_code":21703,"date_created":"Sat, 21 Nov 2026 09:00:00 +0000",
            "messaging_service_sid":{service}}}]}}"#
        ));
        match page.rows.into_iter().next() {
            Some(Ok(WireRow::Ours(message))) => Some((message.number, message.service)),
            Some(Ok(WireRow::NotOurs(_))) => None,
            other => panic!("{from}: {other:?}"),
        }
    };
    let (text, service) = ("\"MG00000000000000000000000000000004\"", "MG00000000000000000000000000000004".parse().ok());
    for (from, number) in [
        ("\"+15005550177\"", "+15005550177".parse().unwrap()),
        ("\"22333\"", E164::NONE),
        ("\"ACME\"", E164::NONE),
        ("\"rcs:acme_agent\"", E164::NONE),
        ("null", E164::UNASSIGNED),
        (text, E164::UNASSIGNED),
        ("\"(500) 555-0100\"", OURS.parse().unwrap()),
    ] {
        assert_eq!(sent(from, text, "outbound-api"), Some((number, service)), "{from}");
    }
    assert_eq!(sent(text, "null", "outbound-api"), Some((E164::UNASSIGNED, service)), "the service is the sender");
    assert_eq!(sent("\"22333\"", "null", "outbound-api"), None, "whose it is cannot be told");
    assert_eq!(sent("\"22333\"", text, "outbound-reply"), None, "a webhook's own reply");
}

#[test]
fn of_an_alerts_url_no_part_has_a_callers_number() {
    for (url, left) in [
        ("https://r.example.com/outbound/+12125550142", "https://r.example.com/outbound/(…42)"),
        ("https://r.example.com/%2B12125550142/voice?x=1", "https://r.example.com/(…42)/voice"),
        ("https://r.example.com/call/212-555-0142#x", "https://r.example.com/call/(…42)"),
        ("https://12125550142:pw@r.example.com/to/+15005550100", "https://r.example.com/to/+15005550100"),
        ("sip:+12125550142@sip.example.com;transport=tcp", "sip.example.com;transport=tcp"),
        ("tel:2125550142", "tel:(…42)"),
    ] {
        let alert = format!(
            r#"{{"alerts":[{{"sid":"NO00000000000000000000000000000001","error_code":"11200","log_level":"error",
            "date_generated":"2026-11-21T09:00:00Z","request_url":"{url}","alert_text":"{url}"}}]}}"#
        );
        let Ok(WireRow::Ours(a)) = &page::<wire::Alerts>(&alert).rows[0] else { panic!() };
        assert_eq!(a.url.as_ref().map(FieldValue::whole), Some(left), "{url}");
    }
    let event = r#"{"events":[{"actor_type":"user","actor_sid":"US00000000000000000000000000000001","source":"web"},
        {"actor_type":"user","actor_sid":"(212) 555-0142","source":"+15005550100"}]}"#;
    let rows = page::<wire::Events>(event).rows;
    let Ok(WireRow::Ours((None, known, _))) = &rows[0] else { panic!() };
    assert_eq!(known.as_str(), "user US00000000000000000000000000000001 by web");
    let Ok(WireRow::Ours((None, unknown, _))) = &rows[1] else { panic!() };
    assert_eq!(unknown.as_str(), "user (…) by +15005550100");
}

#[test]
fn a_numbers_record_is_kept_whole() {
    let raw = r#"{"sid":"PN00000000000000000000000000000001","phone_number":"+15005550100","trunk_sid":null,
        "voice_application_sid":"AP00000000000000000000000000000002","voice_url":"","sms_url":null,"beta":false,
        "voice_receive_mode":"voice","unheard_of":[1]}"#;
    let body = format!(r#"{{"incoming_phone_numbers":[{raw}]}}"#);
    let Ok(WireRow::Ours(n)) = &page::<wire::Numbers>(&body).rows[0] else { panic!() };
    assert_eq!(n.raw.whole(), raw);
    assert_eq!((n.record.voice_url.as_ref(), n.record.fax), (None, false));
    assert_eq!(n.record.voice_application.as_ref().unwrap().sid, ApplicationSid::from_u128(2));
}
