//! Paging, filters and dates of the lists.

use super::*;
use crate::sim::{DateFilters, HandlerCondition, HandlerState, LargerPage};

fn sids(rows: &[Value]) -> Vec<String> {
    rows.iter().map(|r| r["sid"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn pages_go_from_the_newest_back_and_miss_nothing() {
    play(one_number(""), async |door| {
        door.at(min(60)).await;
        let whole = door.all("Calls.json?PageSize=1000", "calls").await;
        let paged = door.all("Calls.json?PageSize=7", "calls").await;
        assert!(whole.len() > 80);
        assert_eq!(sids(&whole), sids(&paged));

        let first = door.get("Calls.json?PageSize=7&To=%2B12125550100").await.json();
        assert_eq!(
            (&first["page"], &first["start"], &first["end"], &first["page_size"]),
            (&0.into(), &0.into(), &6.into(), &7.into())
        );
        assert!(first["previous_page_uri"].is_null());
        let uri = format!("{}/Calls.json?To=%2B12125550100&PageSize=7&Page=0", door.account());
        assert_eq!((&first["uri"], &first["first_page_uri"]), (&uri.as_str().into(), &uri.as_str().into()));
        let next = first["next_page_uri"].as_str().unwrap();
        assert!(next.ends_with(&format!("Page=1&PageToken=PA{}", sids(&whole)[6])), "{next}");
        let second = door.get(next).await.json();
        assert_eq!((&second["page"], &second["start"], &second["end"]), (&1.into(), &7.into(), &13.into()));
        let back = door.get(second["previous_page_uri"].as_str().unwrap()).await.json();
        assert_eq!(back["calls"], first["calls"]);
    });
}

#[test]
fn rows_that_come_while_one_pages_shift_nothing() {
    play(one_number(""), async |door| {
        door.at(min(60)).await;
        let whole = sids(&door.calls().await);
        let first = door.get("Calls.json?PageSize=20").await.json();
        door.at(min(100)).await;
        let second = door.get(first["next_page_uri"].as_str().unwrap()).await.json();
        assert_eq!(sids(second["calls"].as_array().unwrap()), whole[20..40]);
    });
}

#[test]
fn an_empty_page_has_an_end_of_zero() {
    play(one_number(""), async |door| {
        let page = door.get("Calls.json").await.json();
        assert_eq!((&page["calls"], &page["end"], &page["page_size"]), (&serde_json::json!([]), &0.into(), &50.into()));
        assert!(page["next_page_uri"].is_null());
    });
}

#[test]
fn pages_that_cannot_be_are_refused() {
    let mut scenario = one_number("");
    play(scenario.clone(), async |door| {
        for (query, code) in [
            ("PageSize=1001", 20007),
            ("PageSize=0", 20007),
            ("PageSize=many", 20007),
            ("PageToken=PACA1", 21481),
            ("PageToken=PACA00000000000000000000000000000001", 21481),
            ("Page=3", 70002),
        ] {
            assert_eq!(door.get(&format!("Calls.json?{query}")).await.error(), (400, code), "{query}");
        }
        assert_eq!(door.get("/v1/Alerts?PageSize=1001").await.error(), (400, 20007));
    });
    scenario.api.larger_page = LargerPage::Cut;
    let page = play(scenario, async |door| door.get("Calls.json?PageSize=5000").await.json());
    assert_eq!(page["page_size"], 1000);
}

#[test]
fn filters_mean_what_their_names_say() {
    let mut scenario = one_number("");
    scenario.groups[0].traffic.forward = 0.5;
    scenario.groups[0].traffic.no_answer = 0.3;
    play(scenario, async |door| {
        door.at(min(60)).await;
        let all = door.calls().await;
        let filtered = async |query: &str| sids(&door.all(&format!("Calls.json?PageSize=40&{query}"), "calls").await);
        let expected =
            |keep: &dyn Fn(&Value) -> bool| sids(&all.iter().filter(|c| keep(c)).cloned().collect::<Vec<_>>());
        let child = all.iter().find(|c| !c["parent_call_sid"].is_null()).unwrap().clone();
        let to = child["to"].as_str().unwrap().replace('+', "%2B");
        assert_eq!(filtered(&format!("To={to}")).await, expected(&|c| c["to"] == child["to"]));
        let from = child["from"].as_str().unwrap().replace('+', "%2B");
        assert_eq!(filtered(&format!("From={from}")).await, expected(&|c| c["from"] == child["from"]));
        let parent = child["parent_call_sid"].as_str().unwrap();
        assert_eq!(filtered(&format!("ParentCallSid={parent}")).await, sids(std::slice::from_ref(&child)));
        assert_eq!(filtered("Status=no-answer").await, expected(&|c| c["status"] == "no-answer"));
        assert!(!expected(&|c| c["status"] == "no-answer").is_empty());
        assert_eq!(filtered("Status=busy").await.len(), 0);
        // Not a filter: ignored, as Twilio does.
        assert_eq!(filtered("Direction=inbound").await.len(), all.len());
        assert_eq!(filtered("To=nobody").await.len(), 0);
    });
}

#[test]
fn dates_filter_by_the_day_and_its_midnight() {
    // Across midnight, UTC.
    let mut scenario = one_number("");
    scenario.start = Some("2026-11-20T23:00:00Z".parse().unwrap());
    let counts = |scenario: Scenario, queries: &[&str]| {
        play(scenario, async |door| {
            door.at(min(120)).await;
            let mut out = Vec::new();
            for query in queries {
                out.push(door.all(&format!("Calls.json?PageSize=1000&{query}"), "calls").await.len());
            }
            out
        })
    };
    let queries = [
        "",
        "StartTime=2026-11-20",
        "StartTime=2026-11-21",
        "StartTime%3E=2026-11-21",
        "StartTime%3C=2026-11-21",
        "StartTime%3C=2026-11-22",
        "StartTime%3E=2026-11-20&StartTime%3C=2026-11-20",
        "StartTime%3E=2026-11-20T23:30:00Z",
        "StartTime=2026-11-20&EndTime=2026-11-20",
        "EndTime%3E=2026-11-21",
        "StartTime%3E=garbage",
    ];
    let by_day = counts(scenario.clone(), &queries);
    let all = by_day[0];
    assert_eq!(by_day[1] + by_day[2], all);
    assert_eq!(by_day[3], by_day[2]);
    assert_eq!(by_day[4], by_day[1], "before the day is up to its midnight");
    assert_eq!(by_day[5], all);
    assert_eq!(by_day[6], 0, "from and to the same day is nothing");
    assert_eq!(by_day[7], all, "a time of day is cut off");
    assert_eq!(by_day[8], 0);
    assert!(by_day[9] >= by_day[2]);
    assert_eq!(by_day[10], all);
    assert!(by_day[1] > 80 && by_day[2] > 80);
    scenario.api.date_filters = DateFilters::Exact;
    let exact = counts(scenario, &queries[7..8]);
    assert!(exact[0] > by_day[2] + 30 && exact[0] < all - 30, "{exact:?} of {all}");
}

#[test]
fn alerts_filter_to_the_second_and_by_level() {
    let mut scenario = one_number("");
    scenario.groups[0].routing.status_callback = "https://app.example.com/status".into();
    scenario.twilio.callback_warnings = 0.5;
    scenario.twilio.functions_log_per_hour = 20.0;
    play(scenario, async |door| {
        door.sim
            .set_handler(VOICE, HandlerState { share: 0.3, ..HandlerState::all(HandlerCondition::Status(500)) })
            .unwrap();
        door.at(min(60)).await;
        let all = door.alerts().await;
        let of = async |query: &str| door.all(&format!("/v1/Alerts?PageSize=20&{query}"), "alerts").await;
        let warnings = of("LogLevel=warning").await;
        assert_eq!(warnings.len(), count(&all, "log_level", "warning"));
        assert!(count(&warnings, "error_code", "15003") > 20 && count(&all, "error_code", "82004") > 3);
        assert_eq!(of("LogLevel=error").await.len() + warnings.len(), all.len());
        let at = all[all.len() / 2]["date_created"].as_str().unwrap();
        let since = all.iter().filter(|a| a["date_created"].as_str().unwrap() >= at).count();
        assert_eq!(of(&format!("StartDate={at}")).await.len(), since);
        let until = all.iter().filter(|a| a["date_created"].as_str().unwrap() <= at).count();
        assert_eq!(of(&format!("EndDate={at}")).await.len(), until);
        assert_eq!(of("StartDate=2026-11-20&EndDate=2026-11-20").await.len(), all.len());
        assert_eq!(of("StartDate=2026-11-21").await.len(), 0);
    });
}

#[test]
fn notifications_are_the_alerts_of_calls() {
    play(one_number(""), async |door| {
        door.sim.set_handler(VOICE, HandlerState::all(HandlerCondition::Status(500))).unwrap();
        door.at(min(30)).await;
        let alerts = door.alerts().await;
        let notifications = door.all("Notifications.json?PageSize=9&Log=0", "notifications").await;
        assert_eq!(sids(&notifications), sids(&alerts));
        assert_eq!(door.get("Notifications.json?Log=1").await.json()["notifications"], serde_json::json!([]));
        let (call, sid) = (alerts[3]["resource_sid"].as_str().unwrap(), alerts[3]["sid"].as_str().unwrap());
        let of_call = door.all(&format!("Calls/{call}/Notifications.json"), "notifications").await;
        assert_eq!((sids(&of_call), &of_call[0]["call_sid"]), (vec![sid.to_owned()], &call.into()));
        assert_eq!(door.get(&format!("Calls/CA{:032x}/Notifications.json", 1)).await.error(), (404, 20404));
        let alert = door.get(&format!("/v1/Alerts/{sid}")).await.json();
        let variables = alert["request_variables"].as_str().unwrap();
        assert!(
            variables.contains(&format!("CallSid={call}")) && variables.contains("To=%2B12125550100"),
            "{variables}"
        );
        let text = url::form_urlencoded::parse(alert["alert_text"].as_str().unwrap().as_bytes()).into_owned();
        let text: std::collections::BTreeMap<String, String> = text.collect();
        assert_eq!(
            (text["ErrorCode"].as_str(), text["Msg"].as_str()),
            ("11200", "Got HTTP 500 response to https://app.example.com/voice")
        );
    });
}

#[test]
fn later_apis_page_by_absolute_urls_of_the_host_that_was_asked() {
    play(one_number(""), async |door| {
        door.sim.set_handler(VOICE, HandlerState::all(HandlerCondition::Status(500))).unwrap();
        door.at(min(30)).await;
        let meta = door.get("/v1/Alerts?PageSize=5&LogLevel=error").await.json()["meta"].clone();
        assert_eq!((&meta["key"], &meta["page_size"]), (&"alerts".into(), &5.into()));
        let next = meta["next_page_url"].as_str().unwrap();
        assert!(
            next.starts_with("http://sim.test/v1/Alerts?LogLevel=error&PageSize=5&Page=1&PageToken=PANO"),
            "{next}"
        );
        let mut request = door.request("GET", "/v1/Alerts?PageSize=5", &[]);
        request.headers_mut().insert("x-forwarded-proto", "https".parse().unwrap());
        request.headers_mut().insert("x-forwarded-host", "twilio.internal:8443".parse().unwrap());
        let meta = door.send(request).await.json()["meta"].clone();
        assert!(meta["next_page_url"].as_str().unwrap().starts_with("https://twilio.internal:8443/v1/Alerts?"));
    });
}

#[test]
fn the_account_shows_at_most_ten_thousand_alerts() {
    let mut scenario = one_number("");
    scenario.groups[0].traffic.calls_per_hour = 12_000.0;
    scenario.groups[0].traffic.redial = 0.0;
    play(scenario, async |door| {
        door.sim.set_handler(VOICE, HandlerState::all(HandlerCondition::Status(500))).unwrap();
        door.at(min(65)).await;
        assert_eq!(door.all("/v1/Alerts?PageSize=1000", "alerts").await.len(), 10_000);
    });
}

#[test]
fn numbers_are_found_by_e164_and_by_pattern() {
    let mut scenario = one_number("");
    scenario.groups[0].first = Some("+13125000000".parse().unwrap());
    scenario.groups[0].count = 120;
    play(scenario, async |door| {
        let found =
            async |query: &str| door.all(&format!("IncomingPhoneNumbers.json?{query}"), "incoming_phone_numbers").await;
        let all = found("PageSize=17").await;
        assert_eq!(all.len(), 121);
        assert_eq!(sids(&all).iter().collect::<std::collections::BTreeSet<_>>().len(), 121);
        assert_eq!(found("PhoneNumber=%2B13125000077").await.len(), 1);
        assert_eq!(found("PhoneNumber=%2B13125000999").await.len(), 0);
        assert_eq!(found("PhoneNumber=312500007*").await.len(), 10);
        assert_eq!(found("Origin=hosted").await.len(), 0);
    });
}
