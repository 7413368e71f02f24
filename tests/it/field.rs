//! Situations that people report from real accounts, replayed: what serves nobody is never taken for served, and an
//! error in the log is not taken for a caller who was harmed.

use serde_json::json;

use crate::log::*;

/// Twenty callers, each with a call that ends after `seconds` with this alert of its own.
fn callers(voice_url: &str, seconds: u64, code: u32, level: &str, url: Option<&str>) -> Recording {
    let mut r = Recording::of(voice_url);
    for i in 0..20 {
        let start = 60 + i * 40;
        let call = r.call(start, &inbound(&caller(i), seconds));
        r.alert(start + 1, &call, code, level, url);
    }
    r
}

#[test]
fn an_error_of_the_callers_own_call_pages_whatever_it_names() {
    let flow = "https://webhooks.twilio.com/v1/Accounts/AC1/Flows/FW1";
    let second = Some("https://other.example.net/ivr");
    let table = [
        // A second hop on another host, behind a flow, a bin, or the handler itself.
        (flow, 11200, second, "other_url"),
        ("https://handler.twilio.com/twiml/EH9", 11205, second, "other_url"),
        (HANDLER, 12100, second, "other_url"),
        // A media stream, no URL at all, a Function, a forward that is not allowed, and what nobody has heard of.
        (HANDLER, 31920, Some("wss://stream.example.com/media"), "unexplained"),
        (HANDLER, 31901, None, "unexplained"),
        (HANDLER, 11100, None, "unexplained"),
        ("https://ivr-1234.twil.io/voice", 82002, Some("https://ivr-1234.twil.io/voice"), "unexplained"),
        (HANDLER, 13227, Some(HANDLER), "unexplained"),
        (HANDLER, 64999, Some(HANDLER), "unexplained"),
        // New ones between those that no caller notices.
        (HANDLER, 16120, None, "unexplained"),
        (HANDLER, 17500, None, "unexplained"),
        (HANDLER, 32750, None, "unexplained"),
        (HANDLER, 95555, Some(HANDLER), "unexplained"),
    ];
    for (voice_url, code, url, reason) in table {
        let decisions = callers(voice_url, 3, code, "error", url).decisions();
        assert_eq!(decisions, [page(reason, Some(code.into()))], "{code} {url:?}");
    }
    // A forward that is blocked is a warning at times.
    assert_eq!(callers(HANDLER, 1, 13227, "warning", Some(HANDLER)).decisions(), [page("unexplained", Some(13227))]);
    assert_eq!(
        callers(HANDLER, 90, 13227, "warning", Some(HANDLER)).decisions(),
        [page("errors_beside_service", Some(13227))]
    );
}

/// What the account may not dial no handler dials: a leg that failed for it is no reason to swap. One that failed for
/// another cause is.
#[test]
fn a_dial_that_the_account_is_refused_pages_also_with_a_failed_leg() {
    let forwarded = |code: u32, level: &str| {
        let mut r = Recording::of(HANDLER);
        for i in 0..20 {
            let start = 60 + i * 40;
            let call = r.call(start, &inbound(&caller(i), 2));
            r.call(start + 1, &Leg { parent: Some(&call), to: "+447700900123", status: "failed", ..inbound("x", 0) });
            r.alert(start + 1, &call, code, level, Some(HANDLER));
        }
        r.decisions()
    };
    // The country, the number, and the caller's own number, which whoever dials on passes on.
    let barred = [(13227, "warning"), (13227, "error"), (13225, "warning"), (21215, "error")];
    for (code, level) in barred.into_iter().chain([(13247, "error"), (32017, "error")]) {
        assert_eq!(forwarded(code, level), [page("unexplained", Some(code.into()))], "{code} {level}");
    }
    let invalid = forwarded(13224, "warning");
    assert_eq!(invalid.len(), 1, "{invalid:?}");
    assert_eq!((invalid[0].0.as_str(), invalid[0].2), ("rollback", Some(13224)));
}

#[test]
fn one_such_call_among_many_that_were_served_is_quiet() {
    let mut r = Recording::of(HANDLER);
    for i in 0..60 {
        let call = r.call(60 + i * 40, &inbound(&caller(i), 60));
        if i == 30 {
            r.alert(61 + i * 40, &call, 31920, "error", None);
        }
    }
    assert_eq!(r.decisions(), []);
}

#[test]
fn an_action_that_fails_after_the_talk_warns_and_does_not_swap() {
    for url in [HANDLER, "https://app.example.com/after", "https://other.example.net/after"] {
        let mut r = Recording::of(HANDLER);
        for i in 0..20 {
            let start = 60 + i * 100;
            let call = r.call(start, &inbound(&caller(i), 300));
            r.call(start + 4, &Leg { parent: Some(&call), to: "+15005550155", ..inbound(&caller(i), 290) });
            r.alert(start + 296, &call, 11200, "error", Some(url));
        }
        assert_eq!(r.decisions(), [page("errors_beside_service", Some(11200))], "{url}");
    }
}

/// Of an application with one URL, the same URL is told of recordings and transcripts when the caller has gone.
#[test]
fn a_callback_that_fails_when_the_call_is_over_harms_nobody() {
    for after in [1, 4, 60, 300] {
        for url in [HANDLER, "https://app.example.com/recording"] {
            let mut r = Recording::of(HANDLER);
            for i in 0..20 {
                let start = 60 + i * 60;
                let call = r.call(start, &inbound(&caller(i), 25));
                r.alert(start + 25 + after, &call, 11200, "error", Some(url));
            }
            let mut told = r.decisions();
            told.dedup();
            assert_eq!(told, [page("errors_beside_service", Some(11200))], "{after} {url}");
        }
    }
}

/// Somebody joins a conference by the API, without a leg of the call's: no announcement of an error lasts so long.
#[test]
fn an_early_error_of_a_caller_who_then_talks_for_minutes_warns_and_does_not_swap() {
    for (failed, lasted) in [(10, 240), (10, 1200), (50, 240), (1, 900)] {
        let mut r = Recording::of(HANDLER);
        for i in 0..20 {
            let start = 60 + i * 60;
            let call = r.call(start, &inbound(&caller(i), lasted));
            let seen = r.entries.pop().unwrap();
            // It is in the log while the caller waits, and its alert is before its end.
            let mut up = seen.2.clone();
            (up["status"], up["end_time"], up["duration"]) = (json!("in-progress"), json!(null), json!(null));
            r.entries.extend([(start + 3, "call", up), seen]);
            r.alert(start + failed, &call, 11200, "error", Some(HANDLER));
        }
        assert_eq!(r.decisions(), [page("errors_beside_service", Some(11200))], "{failed} of {lasted}");
    }
    let broken = callers(HANDLER, 8, 11200, "error", Some(HANDLER)).decisions();
    assert_eq!((broken.len(), broken[0].0.as_str()), (1, "rollback"), "{broken:?}");
}

#[test]
fn a_voicemail_of_the_numbers_own_serves_after_a_leg_has_failed() {
    let forwarded = |seconds| {
        let mut r = Recording::of(HANDLER);
        for i in 0..20 {
            let start = 60 + i * 100;
            let call = r.call(start, &inbound(&caller(i), seconds));
            let leg = Leg { parent: Some(&call), to: "sip:me@pbx.example.com", status: "failed", ..inbound("x", 0) };
            r.call(start + 1, &leg);
            r.alert(start + 1, &call, 32009, "error", None);
        }
        r.decisions()
    };
    assert_eq!(forwarded(48), [page("errors_beside_service", Some(32009))]);
    let broken = forwarded(6);
    assert_eq!(broken.len(), 1, "{broken:?}");
    assert_eq!((broken[0].0.as_str(), broken[0].2), ("rollback", Some(32009)), "with the code that says why");
}

#[test]
fn messages_that_are_taken_and_answered_by_the_api_are_not_lost() {
    for code in [12300, 11200] {
        let texts = |answer: Option<&str>| {
            let mut r = Recording::of(HANDLER);
            for i in 0..20 {
                let start = 60 + i * 60;
                let message = r.message(start, "inbound", &caller(i), "received", None);
                r.alert(start + 1, &message, code, "error", Some(TEXTS));
                if let Some(direction) = answer {
                    r.message(start + 20, direction, &caller(i), "delivered", None);
                }
            }
            r.decisions()
        };
        assert_eq!(texts(Some("outbound-api")), [page("errors_beside_service", Some(code.into()))], "{code}");
        let want = if code == 12300 { "page" } else { "rollback" };
        // What the webhook itself replies after it failed is a fallback URL's.
        for answer in [None, Some("outbound-reply")] {
            let lost = texts(answer);
            assert!(lost.iter().all(|d| d.0 == want) && !lost.is_empty(), "{code} {answer:?}: {lost:?}");
        }
    }
}

#[test]
fn messages_of_ours_that_are_refused_page_once_with_the_code() {
    let sent = |code: u32, every: u64| {
        let mut r = Recording::of(HANDLER);
        for i in 0..60 {
            let (status, code) = if i % every == 0 { ("undelivered", Some(code)) } else { ("delivered", None) };
            r.message(60 + i * 20, "outbound-api", &caller(i), status, code);
        }
        r.decisions()
    };
    for (code, reason) in [(30034, "registration"), (30032, "registration"), (30002, "account")] {
        assert_eq!(sent(code, 1), [page(reason, Some(code.into()))], "{code}");
    }
    // Recipients who have opted out, or are off, are nobody's failure.
    for code in [21610, 30003, 30005] {
        assert_eq!(sent(code, 1), [], "{code}");
    }
    // The row says that it was sent, and Twilio's log that it went no further.
    for (code, told) in [(30034, vec![page("registration", Some(30034))]), (30003, vec![])] {
        let mut r = Recording::of(HANDLER);
        for i in 0..60 {
            let text = r.message(60 + i * 20, "outbound-api", &caller(i), "sent", None);
            r.alert(62 + i * 20, &text, code, "error", None);
        }
        assert_eq!(r.decisions(), told, "{code}, as an alert");
    }
    assert_eq!(sent(30034, 4), [page("registration", Some(30034))], "one in four, of sixty");
    assert_eq!(sent(30034, 12), [], "one in twelve");
}

#[test]
fn calls_that_all_fail_page_whoever_calls() {
    let spellings = ["anonymous", "Anonymous", "Restricted", "Unavailable", "Unknown", "+266696687", "+7378742833", ""];
    let all = |from: &dyn Fn(u64) -> String| {
        let mut r = Recording::of(HANDLER);
        for i in 0..60 {
            let call = r.call(60 + i * 60, &inbound(&from(i), 4));
            r.alert(61 + i * 60, &call, 11200, "error", Some(HANDLER));
        }
        r.decisions()
    };
    for from in [&|_| "+15005550777".to_owned() as String, &|i: u64| spellings[i as usize % 8].to_owned()]
        as [&dyn Fn(u64) -> String; 2]
    {
        // Decided again after half an hour, for it goes on.
        assert_eq!(all(from), [(); 2].map(|()| page("few_callers", Some(11200))), "{}", from(0));
    }
    assert_eq!(all(&caller)[0].0, "rollback", "different callers");
}

#[test]
fn a_number_at_twilios_demo_serves_nobody() {
    let mut r = Recording::of("https://demo.twilio.com/welcome/voice/");
    for i in 0..20 {
        r.call(60 + i * 60, &inbound(&caller(i), 20));
    }
    let decisions = r.decisions();
    assert!(!decisions.is_empty(), "nobody was told");
    assert_eq!(decisions[0].0, "rollback", "{decisions:?}");
}

#[test]
fn a_number_is_ours_in_every_form_in_which_a_row_has_it() {
    let failing = |to: &str| {
        let mut r = Recording::of(HANDLER);
        for i in 0..20 {
            let start = 60 + i * 40;
            let call = r.call(start, &Leg { to, ..inbound(&caller(i), 2) });
            r.alert(start + 1, &call, 11200, "error", Some(HANDLER));
        }
        r.decisions()
    };
    let plain = failing(OURS);
    assert_eq!(plain.first().map(|d| d.0.as_str()), Some("rollback"), "{plain:?}");
    for to in [
        "sip:+15005550100@desk.pstn.twilio.com;region=us1",
        "sip:15005550100@desk.pstn.twilio.com",
        "SIP:+15005550100@DESK.pstn.twilio.com:5061;transport=tls",
        "tel:+1-500-555-0100",
        "5005550100",
    ] {
        assert_eq!(failing(to), plain, "{to}");
    }
    assert_eq!(failing("sip:+15005550199@desk.pstn.twilio.com"), [], "another's");
}

/// Between one voice and many there is no number of callers whose calls all fail and of whom nobody hears.
#[test]
fn however_few_call_somebody_hears_that_every_call_fails() {
    for callers in [1, 2, 3, 4, 5] {
        let mut r = Recording::of(HANDLER);
        for i in 0..60 {
            let start = 60 + i * 30;
            let call = r.call(start, &inbound(&caller(i % callers), 2));
            r.alert(start + 1, &call, 11200, "error", Some(HANDLER));
        }
        assert!(!r.decisions().is_empty(), "{callers} callers");
    }
}

#[test]
fn a_dialled_end_that_is_not_reached_is_a_doubt_also_without_a_trunk() {
    assert_eq!(callers(HANDLER, 4, 32011, "warning", None).decisions(), [page("unexplained", Some(32011))]);
    // Who stayed may have met something else; that it was tried in vain is said.
    assert_eq!(callers(HANDLER, 90, 32011, "warning", None).decisions(), [page("errors_beside_service", Some(32011))]);
}

#[test]
fn who_has_opted_out_is_nobodys_failure_whatever_says_so() {
    let mut r = Recording::of(HANDLER);
    for i in 0..12 {
        let start = 60 + i * 40;
        let text = r.message(start, "inbound", &caller(i), "received", None);
        let reply = r.message(start + 1, "outbound-reply", &caller(i), "failed", Some(21610));
        r.alert(start + 2, &text, 21610, "error", None);
        r.alert(start + 2, &reply, 21610, "error", None);
    }
    assert_eq!(r.decisions(), []);
}

/// One caller or two, one call or text in ten minutes: no rule that looks at minutes ever sees enough of them.
#[test]
fn a_quiet_number_that_serves_nobody_for_an_hour_pages_on_both_channels() {
    for (callers, texts) in [(1, false), (2, false), (1, true), (2, true)] {
        let mut r = Recording::of(HANDLER);
        for i in 0..8 {
            let (start, from) = (60 + i * 600, caller(i % callers));
            let (sid, url) = if texts {
                (r.message(start, "inbound", &from, "received", None), TEXTS)
            } else {
                (r.call(start, &inbound(&from, 5)), HANDLER)
            };
            r.alert(start + 1, &sid, 11200, "error", Some(url));
        }
        let mut told = r.decisions();
        assert!(told.len() <= 2, "at the fifth, and once more while it goes on: {told:?}");
        told.dedup();
        assert_eq!(told, [page("few_callers", Some(11200))], "{callers} {texts}");
    }
}

#[test]
fn a_quiet_number_that_serves_every_fifth_caller_is_told_of_and_one_that_fails_every_twentieth_is_not() {
    let of = |is_failing: fn(u64) -> bool| {
        let mut r = Recording::of(HANDLER);
        for i in 0..40 {
            let call = r.call(60 + i * 600, &inbound(&caller(i % 2), if is_failing(i) { 4 } else { 60 }));
            if is_failing(i) {
                r.alert(61 + i * 600, &call, 11200, "error", Some(HANDLER));
            }
        }
        let mut told = r.decisions();
        told.dedup();
        told
    };
    assert_eq!(of(|i| i % 5 != 4), [page("webhook", Some(11200))]);
    assert_eq!(of(|i| i % 20 == 4), []);
}

/// One number for all callers, as of a telephone system, and three in four fail: two people or two hundred.
#[test]
fn a_share_of_calls_that_fail_is_told_of_whoever_calls() {
    for (every, code) in [(15, 11200), (15, 31920), (300, 11200), (300, 31920)] {
        let mut r = Recording::of(HANDLER);
        for i in 0..120 {
            let call = r.call(60 + i * every, &inbound(&caller(0), 4));
            if i % 4 != 0 {
                r.alert(61 + i * every, &call, code, "error", Some(HANDLER));
            }
        }
        let told = r.decisions();
        assert!(!told.is_empty() && told.iter().all(|(what, ..)| what == "page"), "{every} {code}: {told:?}");
    }
}

/// Every seventh caller fails all day: no minute shows it, and no handler is well that does so.
#[test]
fn one_caller_in_seven_is_told_of_by_the_end_of_the_day() {
    for code in [11200, 31920] {
        let mut r = Recording::of(HANDLER);
        for i in 0..700 {
            let call = r.call(60 + i * 60, &inbound(&caller(i), 4));
            if i % 7 == 0 {
                r.alert(61 + i * 60, &call, code, "error", Some(HANDLER));
            }
        }
        let told = r.decisions();
        assert!(!told.is_empty() && told.iter().all(|(what, ..)| what == "page"), "{code}: {told:?}");
    }
}

/// A Messaging Service answers from whichever of its numbers it likes, watched or not.
#[test]
fn an_answer_from_another_number_of_the_service_is_an_answer() {
    for (service, served) in
        [("MG00000000000000000000000000000001", true), ("MG00000000000000000000000000000002", false)]
    {
        let mut r = Recording::of(HANDLER);
        for i in 0..20 {
            let (start, from) = (60 + i * 40, caller(i));
            let asked = r.message(start, "inbound", &from, "received", None);
            r.entries.last_mut().unwrap().2["messaging_service_sid"] = json!("MG00000000000000000000000000000001");
            r.alert(start + 1, &asked, 12300, "error", Some(TEXTS));
            r.message(start + 4, "outbound-api", &from, "delivered", None);
            let row = &mut r.entries.last_mut().unwrap().2;
            row["from"] = json!("+15005550177");
            row["messaging_service_sid"] = json!(service);
        }
        let told = r.decisions();
        let want = if served { "errors_beside_service" } else { "unexplained" };
        assert_eq!(told, [page(want, Some(12300))], "{service}");
    }
}

#[test]
fn an_error_is_one_in_whatever_case_and_in_words_alone() {
    for level in ["ERROR", "Error", "fatal"] {
        assert_eq!(callers(HANDLER, 5, 31920, level, None).decisions(), [page("unexplained", Some(31920))], "{level}");
    }
    for texts in [false, true] {
        let mut r = Recording::of(HANDLER);
        for i in 0..20 {
            let (start, from) = (60 + i * 40, caller(i));
            if texts {
                r.message(start, "inbound", &from, "received", None);
            } else {
                r.call(start, &inbound(&from, 60));
            }
            r.entries.last_mut().unwrap().2["error_message"] = json!("something went wrong");
        }
        assert_eq!(r.decisions(), [page("unexplained", None)], "{texts}");
    }
}

/// Twilio may leave out whose an alert is; what it had asked names the call.
#[test]
fn an_alert_without_a_resource_is_of_the_call_that_its_text_names() {
    let mut r = Recording::of(HANDLER);
    for i in 0..20 {
        let start = 60 + i * 40;
        let call = r.call(start, &inbound(&caller(i), 3));
        r.alert(start + 1, "", 11200, "error", Some(HANDLER));
        let (_, _, alert) = r.entries.last_mut().unwrap();
        alert["alert_text"] = json!(format!("LogLevel=ERROR&ErrorCode=11200&CallSid={call}&Msg=x"));
    }
    let decisions = r.decisions();
    assert_eq!(decisions.first().map(|(what, ..)| what.as_str()), Some("rollback"), "{decisions:?}");
}

/// Errors of our handler that name nobody: somebody met them, and who is not known. That pages and swaps nothing.
#[test]
fn an_alert_that_names_no_call_is_not_health() {
    let of_number = "PN00000000000000000000000000000001";
    for (resource, url) in
        [("", HANDLER), ("MG00000000000000000000000000000007", HANDLER), (of_number, "https://x.example")]
    {
        let mut r = Recording::of(HANDLER);
        for i in 0..20 {
            let start = 60 + i * 40;
            r.call(start, &inbound(&caller(i), 3));
            r.alert(start + 1, resource, 11200, "error", Some(url));
        }
        assert_eq!(r.decisions(), [page("unexplained", Some(11200))], "{resource:?}");
    }
    // Of a task or a conference, while callers talk: it is not known that they met it.
    let mut r = Recording::of(HANDLER);
    for i in 0..20 {
        let start = 60 + i * 40;
        r.call(start, &inbound(&caller(i), 80));
        r.alert(start + 5, "WT00000000000000000000000000000007", 11200, "error", Some(HANDLER));
    }
    assert_eq!(r.decisions(), [page("errors_beside_service", Some(11200))]);
    // Raised when none of our callers was there, it is somebody else's. Of a call in small letters it is that call's.
    for (after, is_named) in [(20, false), (1, true)] {
        let mut r = Recording::of(HANDLER);
        for i in 0..20 {
            let start = 60 + i * 40;
            let call = r.call(start, &inbound(&caller(i), 3));
            let resource = if is_named { call.to_lowercase() } else { String::new() };
            r.alert(start + after, &resource, 11200, "error", Some(HANDLER));
        }
        assert_eq!(r.decisions().first().map(|(what, ..)| what == "rollback"), is_named.then_some(true), "{after}");
    }
}

/// Texts to us that Twilio says it did not take.
#[test]
fn inbound_texts_that_failed_are_not_served() {
    for status in ["failed", "undelivered", "canceled"] {
        let mut r = Recording::of(HANDLER);
        for i in 0..20 {
            r.message(60 + i * 40, "inbound", &caller(i), status, None);
        }
        assert_eq!(r.decisions(), [page("unexplained", None)], "{status}");
    }
}

/// An application that asks the API for new messages, once a minute, needs no webhook.
#[test]
fn texts_that_are_answered_without_a_webhook_are_served() {
    for delay in [10, 55, 300] {
        let mut r = Recording::of(HANDLER);
        r.entries[0].2["sms_url"] = json!("");
        for i in 0..20 {
            let start = 60 + i * 90;
            r.message(start, "inbound", &caller(i), "received", None);
            r.message(start + delay, "outbound-api", &caller(i), "delivered", None);
        }
        let decisions = r.decisions();
        assert!(decisions.iter().all(|(what, ..)| what != "rollback"), "{delay}: {decisions:?}");
    }
    let mut r = Recording::of(HANDLER);
    r.entries[0].2["sms_url"] = json!("");
    for i in 0..20 {
        r.message(60 + i * 90, "inbound", &caller(i), "received", None);
    }
    // Conversations may take them, and people answer later than this recording lasts: nothing in the API says so.
    assert_eq!(r.decisions(), [page("unexplained", None)], "nobody is seen to answer");
}

/// The code says what happened to the caller. Its level is Twilio's.
#[test]
fn a_code_that_harms_callers_does_so_as_a_warning_too() {
    for code in [11200, 11205, 12100, 11310, 10004, 31920, 82002, 99999] {
        let decisions = |seconds| callers(HANDLER, seconds, code, "warning", Some(HANDLER)).decisions();
        assert_eq!(decisions(3), [page("unexplained", Some(code.into()))], "{code}");
        assert!(decisions(60).iter().all(|(_, reason, _)| reason == "errors_beside_service"), "{code}");
    }
    for code in [12200, 13214, 13221, 13310, 13335, 13510, 13512, 13610] {
        let told = callers(HANDLER, 20, code, "warning", Some(HANDLER)).decisions();
        assert!(told.iter().all(|(_, reason, _)| reason == "errors_beside_service"), "{code}: {told:?}");
    }
    for code in [82004, 82005] {
        assert_eq!(callers(HANDLER, 20, code, "error", None).decisions(), [], "{code}: a function's log");
    }
}

/// A stream or a virtual agent that ends with an error after a minute has talked with the caller.
#[test]
fn a_talk_that_ends_with_an_error_of_what_it_was_with_was_one() {
    for code in [31921, 64105, 64002] {
        let mut r = Recording::of(HANDLER);
        for i in 0..20 {
            let call = r.call(60 + i * 60, &inbound(&caller(i), 90));
            r.alert(60 + i * 60 + 89, &call, code, "error", None);
        }
        assert_eq!(r.decisions(), [page("errors_beside_service", Some(code.into()))], "{code}");
    }
}

/// Calls of which nobody is known to have been served, although nothing failed.
#[test]
fn callers_who_are_all_gone_at_once_are_told_of() {
    for (status, seconds) in [("completed", 0), ("completed", 2), ("canceled", 0)] {
        let mut r = Recording::of(HANDLER);
        for i in 0..60 {
            r.call(60 + i * 40, &Leg { status, ..inbound(&caller(i), seconds) });
        }
        assert_eq!(r.decisions(), [page("unreached", None)], "{status} {seconds}");
        let mut r = Recording::of(HANDLER);
        for i in 0..60 {
            r.call(60 + i * 40, &Leg { status, ..inbound(&caller(i), seconds) });
            r.call(80 + i * 40, &inbound(&caller(100 + i), 80));
        }
        assert_eq!(r.decisions(), [], "{status} {seconds}: half of them");
    }
    let mut r = Recording::of(HANDLER);
    for i in 0..60 {
        let call = r.call(60 + i * 40, &inbound(&caller(i), 9));
        r.call(62 + i * 40, &Leg { parent: Some(&call), to: "+15005550155", ..inbound("x", 0) });
    }
    assert_eq!(r.decisions(), [page("unreached", None)], "a leg that was put down as it was taken");
}

#[test]
fn a_leg_that_is_corrected_from_completed_to_failed_was_no_talk() {
    let mut r = Recording::of(HANDLER);
    for i in 0..20 {
        let start = 60 + i * 60;
        let call = r.call(start, &inbound(&caller(i), 12));
        r.call(start + 2, &Leg { parent: Some(&call), to: "+15005550155", ..inbound("x", 5) });
        let mut corrected = r.entries.last().unwrap().clone();
        (corrected.0, corrected.2["status"], corrected.2["duration"]) = (corrected.0 + 8, json!("failed"), json!("0"));
        r.entries.push(corrected);
    }
    assert_eq!(r.decisions().first().map(|(what, ..)| what.as_str()), Some("rollback"));
}

/// Words that Twilio has not used before say neither that somebody was served nor nothing at all.
#[test]
fn what_is_in_a_state_that_nobody_knows_was_not_served() {
    let mut r = Recording::of(HANDLER);
    (0..20).for_each(|i| _ = r.call(60 + i * 40, &Leg { status: "rejected", ..inbound(&caller(i), 0) }));
    assert_eq!(r.decisions(), [page("unexplained", None)]);
    for (direction, reason) in [("inbound", "unexplained"), ("outbound-api", "delivery")] {
        let mut r = Recording::of(HANDLER);
        (0..20).for_each(|i| _ = r.message(60 + i * 40, direction, &caller(i), "blocked", None));
        assert_eq!(r.decisions(), [page(reason, None)], "{direction}");
    }
}
