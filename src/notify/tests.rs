//! Each channel's payload against what its vendor documents, for a notice of every kind.

use std::sync::Arc;

use jiff::tz::TimeZone;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::*;
use crate::core::model::roster::{Number, PortAt, Roster};
use crate::core::notice::NoticeStatus;
use crate::core::notice::make::{Addresses, NoticeBuilder};
use crate::core::notice::sample::every_kind;
use crate::testing::ours;

fn notices() -> Vec<Notice> {
    let mut roster = Roster::default();
    let fallback = Some("https://handler.twilio.com/twiml/EH00000000000000000000000000000001".to_owned());
    let group = roster.add_group("support".parse().unwrap(), [fallback.clone(), fallback]);
    for i in 0..30 {
        roster.add_number(Number {
            id: ours(&format!("+150055501{i:02}")),
            label: String::new(),
            group,
            channels: [true, true],
            timezone: TimeZone::fixed(jiff::tz::offset(-5)),
            port: PortAt::Done,
        });
    }
    let addresses = Addresses {
        agent: Some("https://ringback.example.com".to_owned()),
        dashboard: Some("https://grafana.example.com/d/x".to_owned()),
    };
    let builder = NoticeBuilder { roster: Arc::new(roster), addresses };
    let now: Time = "2026-11-21T14:02:10Z".parse().unwrap();
    let mut notices = every_kind(&builder, now);
    // A text that breaks what is not escaped or cut.
    let mut hostile = notices[0].clone();
    hostile.title = format!("<b>&\"'\n{}", "x".repeat(20_000));
    hostile.did = "é<&>".repeat(10_000);
    notices.push(hostile);
    // And one that obeys every chat's markup.
    let mut marked = notices[0].clone();
    for text in [&mut marked.title, &mut marked.did] {
        *text = MARKUP.to_owned();
    }
    marked.cause = Some(MARKUP.to_owned());
    marked.proof = Some(MARKUP.to_owned());
    notices.push(marked);
    notices
}

const MARKUP: &str = "<!channel> <@U1> <https://evil.example|here> @here @everyone [win](https://evil.example) \
                      ![x](https://evil.example/x.png) *b* _i_ ~s~ `c` <b onclick=x>b</b> &lt; {{ .Labels }} voice_url";

/// All texts within `value`, but for those below a key of `but`.
fn all_texts(value: &Value, but: &[&str]) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(items) => items.iter().flat_map(|v| all_texts(v, but)).collect(),
        Value::Object(map) => {
            map.iter().filter(|(k, _)| !but.contains(&k.as_str())).flat_map(|(_, v)| all_texts(v, but)).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    }
}

#[test]
fn no_chat_takes_a_quoted_text_for_markup() {
    let notices = notices();
    let notice = notices.last().unwrap();
    let key = "0123456789abcdef0123456789abcdef";
    let bodies = [
        ("slack", slack::body(notice)),
        ("teams", teams::body(notice)),
        ("pagerduty", pagerduty::body(notice, key)),
        ("opsgenie", opsgenie::render(notice)),
        ("alertmanager", alertmanager::body(&[notice], notice.at.at)),
    ];
    for (name, body) in bodies {
        let texts = all_texts(&body, &["url", "$schema", "contentType"]).join("\n");
        assert!(texts.contains("evil.example") && texts.contains("voice_url"), "{name} says it: {texts}");
        for markup in ["<!", "<@", "<http", "<b", "](", "{{"] {
            assert!(!texts.contains(markup), "{markup:?} is in {name}: {texts}");
        }
    }
    for block in slack::body(notice)["blocks"].as_array().unwrap() {
        let (text, kind) = (block["text"]["text"].as_str().unwrap(), &block["text"]["type"]);
        let of_theirs = ["*Why*\n", "*Ringback*\n", "*Proven*\n"].iter().find_map(|name| text.strip_prefix(name));
        if let Some(theirs) = of_theirs {
            assert_eq!((kind, &block["text"]["verbatim"]), (&Value::from("mrkdwn"), &Value::from(true)));
            assert!(!theirs.contains(['*', '~', '`']) && !theirs.contains("_i_"), "{theirs}");
            assert!(theirs.contains("‹!channel›") && theirs.contains("&amp;lt;"), "{theirs}");
        }
    }
    let shown = desktop::render(notice);
    let shown = shown["body"].as_str().unwrap();
    assert!(shown.contains("&lt;b onclick=x&gt;") && !shown.contains(['<', '>']), "{shown}");
    for text in [inert("@here"), inert("a@b")] {
        assert!(text.contains("@\u{2060}"), "{text:?}");
    }
}

#[test]
fn what_a_receiver_answers_is_one_line_and_no_order() {
    let said = "HTTP 500: \u{1b}[2J a\nb https://u:p4ss@h/v?token=s3cret".to_owned();
    for reply in [
        NotifierReply::Delivered(said.clone()),
        NotifierReply::Again { problem: said.clone(), after: None },
        NotifierReply::Refused(said),
    ] {
        assert_eq!(reply.harmless(&OwnSecrets::default()).text(), "HTTP 500: \u{fffd}[2J a b https://h/v?…");
    }
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

fn only(value: &Value, allowed: &[&str]) {
    for key in keys(value) {
        assert!(allowed.contains(&key), "{key} is not documented: {value}");
    }
}

fn text_of(value: &Value, most: usize) {
    let n = value.as_str().unwrap_or_else(|| panic!("not text: {value}")).chars().count();
    assert!((1..=most).contains(&n), "{n} characters, of at most {most}");
}

#[test]
fn there_is_a_notice_of_every_kind_and_each_has_its_answers() {
    let notices = notices();
    for kind in NoticeKind::ALL {
        let notice = notices.iter().find(|n| n.kind == kind).unwrap_or_else(|| panic!("none of {}", kind.label()));
        assert!(!notice.did.is_empty() && !notice.title.is_empty(), "{}", notice.text());
        assert!(notice.status == NoticeStatus::Resolved || !notice.next.is_empty(), "{}", notice.text());
        assert!(notice.text().contains(" UTC"), "no zone: {}", notice.text());
    }
    let local = notices[0].since.as_ref().unwrap();
    assert_eq!(local.text, "2026-11-21 14:00:35 UTC (09:00:35 -05:00)");
}

/// <https://docs.slack.dev/reference/block-kit/blocks>
#[test]
fn slack_takes_every_notice() {
    for notice in notices() {
        let body = slack::body(&notice);
        only(&body, &["text", "blocks"]);
        let blocks = body["blocks"].as_array().unwrap();
        assert!((1..=50).contains(&blocks.len()));
        for block in blocks {
            only(block, &["type", "text"]);
            match block["type"].as_str().unwrap() {
                "header" => {
                    assert_eq!(block["text"]["type"], "plain_text");
                    text_of(&block["text"]["text"], 150);
                }
                "section" => {
                    assert_eq!(block["text"]["type"], "mrkdwn");
                    text_of(&block["text"]["text"], 3000);
                    let text = block["text"]["text"].as_str().unwrap();
                    assert!(!text.contains('<') && !text.contains("&x"), "escaped: {text}");
                }
                other => panic!("{other} is not documented"),
            }
        }
    }
}

/// <https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using>
#[test]
fn teams_takes_every_notice() {
    for notice in notices() {
        let body = teams::body(&notice);
        assert_eq!((keys(&body), body["type"].as_str()), (vec!["attachments", "type"], Some("message")));
        let attachment = &body["attachments"][0];
        assert_eq!(attachment["contentType"], "application/vnd.microsoft.card.adaptive");
        assert_eq!(attachment["contentUrl"], Value::Null);
        let card = &attachment["content"];
        assert_eq!((card["type"].as_str(), card["version"].as_str()), (Some("AdaptiveCard"), Some("1.4")));
        let known = ["type", "text", "size", "weight", "color", "isSubtle", "fontType", "selectAction"];
        for block in card["body"].as_array().unwrap() {
            only(block, &["type", "inlines", "spacing"]);
            assert_eq!(block["type"], "RichTextBlock");
            for run in block["inlines"].as_array().unwrap() {
                only(run, &known);
                assert_eq!(run["type"], "TextRun");
            }
        }
        for action in card["actions"].as_array().unwrap() {
            assert_eq!(action["type"], "Action.OpenUrl");
            action["url"].as_str().unwrap().parse::<url::Url>().unwrap();
        }
        assert!(body.to_string().len() <= 28 << 10, "{} bytes", body.to_string().len());
    }
}

/// <https://developer.pagerduty.com/docs/send-alert-event>
#[test]
fn pagerduty_takes_every_notice() {
    let key = "0123456789abcdef0123456789abcdef";
    for notice in notices() {
        let body = pagerduty::body(&notice, key);
        assert_eq!(body["routing_key"], key);
        text_of(&body["dedup_key"], 255);
        if notice.status == NoticeStatus::Resolved {
            assert_eq!(keys(&body), ["dedup_key", "event_action", "routing_key"]);
            assert_eq!(body["event_action"], "resolve");
            continue;
        }
        only(&body, &["routing_key", "event_action", "dedup_key", "client", "links", "payload"]);
        assert_eq!(body["event_action"], "trigger");
        let payload = &body["payload"];
        let known = ["summary", "source", "severity", "timestamp", "component", "group", "class", "custom_details"];
        only(payload, &known);
        text_of(&payload["summary"], 1024);
        text_of(&payload["source"], 255);
        assert!(["critical", "error", "warning", "info"].contains(&payload["severity"].as_str().unwrap()));
        payload["timestamp"].as_str().unwrap().parse::<Time>().unwrap();
        for link in body["links"].as_array().unwrap() {
            only(link, &["href", "text"]);
        }
    }
}

/// <https://docs.opsgenie.com/docs/alert-api>
#[test]
fn opsgenie_takes_every_notice() {
    let (url, key) = (SecretString::from("https://api.eu.opsgenie.com/"), SecretString::from("k"));
    for notice in notices() {
        let request = opsgenie::request(&notice, &url, &key);
        let (name, value) = &request.headers[0];
        assert_eq!((*name, value.expose_secret()), ("authorization", "GenieKey k"));
        let address: url::Url = request.url.expose_secret().parse().unwrap();
        let body: Value = serde_json::from_str(&request.body).unwrap();
        if notice.status == NoticeStatus::Resolved {
            assert!(
                address.path().starts_with("/v2/alerts/ringback%2F") && address.path().ends_with("/close"),
                "{address}"
            );
            assert_eq!(address.query(), Some("identifierType=alias"));
            only(&body, &["source", "note", "user"]);
            continue;
        }
        assert_eq!(address.path(), "/v2/alerts");
        let known = [
            "message",
            "alias",
            "description",
            "priority",
            "source",
            "entity",
            "tags",
            "details",
            "responders",
            "actions",
        ];
        only(&body, &known);
        text_of(&body["message"], 130);
        text_of(&body["alias"], 512);
        text_of(&body["description"], 15_000);
        assert!(["P1", "P2", "P3", "P4", "P5"].contains(&body["priority"].as_str().unwrap()));
        let tags = body["tags"].as_array().unwrap();
        assert!(tags.len() <= 20 && tags.iter().all(|t| t.as_str().unwrap().chars().count() <= 50));
        assert!(body["details"].as_object().unwrap().values().all(Value::is_string));
    }
}

/// <https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml>
#[test]
fn alertmanager_takes_every_notice() {
    for notice in notices() {
        let body = alertmanager::body(&[&notice], notice.at.at);
        let alert = &body[0];
        only(alert, &["labels", "annotations", "startsAt", "endsAt", "generatorURL"]);
        for map in ["labels", "annotations"] {
            for (name, value) in alert[map].as_object().unwrap() {
                assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && value.is_string(), "{name}");
            }
        }
        assert!(alert["labels"]["alertname"].is_string());
        let time = |key: &str| alert[key].as_str().unwrap().parse::<Time>().unwrap();
        assert!(time("startsAt") <= time("endsAt"));
        assert_eq!(time("endsAt") <= notice.at.at, notice.status == NoticeStatus::Resolved);
    }
}

#[test]
fn mail_is_one_conversation_a_trouble_and_its_headers_hold_no_line_breaks() {
    let mailbox = email::Mailbox {
        url: SecretString::from("smtp://127.0.0.1"),
        from: "Ringback <ringback@example.com>".parse().unwrap(),
        to: vec!["ops@example.com".parse().unwrap()],
    };
    for notice in notices() {
        let mail = email::render(&mailbox, &notice);
        let mail = mail.as_str().unwrap_or_else(|| panic!("{mail}"));
        let (headers, _) = mail.split_once("\r\n\r\n").unwrap();
        for line in headers.split("\r\n") {
            assert!(line.starts_with(' ') || line.split_once(": ").is_some_and(|(n, _)| !n.contains(' ')), "{line:?}");
        }
        assert!(headers.contains("References: <") && headers.contains("Date: Sat, 21 Nov 2026"), "{headers}");
    }
}

#[test]
fn a_receiver_can_check_the_signature_with_what_every_language_has() {
    // echo -n '1795269730.{}' | openssl dgst -sha256 -hmac 'a key'
    let made = webhook::signature("a key", 1_795_269_730, "{}");
    assert_eq!(made, "v1=9d162a656940571666f672e972db2202db069503802e19b5ad3ef579fb3e3b53");
    assert_ne!(made, webhook::signature("a key", 1_795_269_731, "{}"));
    assert_ne!(made, webhook::signature("another", 1_795_269_730, "{}"));
}

#[test]
fn answers_are_judged_by_whether_another_try_may_help() {
    let again = |status| matches!(judge(status, None, ""), NotifierReply::Again { .. });
    assert!(matches!(judge(202, None, "ok"), NotifierReply::Delivered(_)));
    assert!([408, 425, 429, 500, 502, 503, 599].into_iter().all(again));
    assert!(![200, 301, 400, 401, 403, 404, 410, 422].into_iter().any(again));
    let now: Time = "2026-11-21T14:00:00Z".parse().unwrap();
    assert_eq!(retry_after("7", now), Some(Duration::from_secs(7)));
    assert_eq!(retry_after("Sat, 21 Nov 2026 14:00:30 GMT", now), Some(Duration::from_secs(30)));
    assert_eq!(retry_after("999999999", now), Some(AFTER_AT_MOST));
    assert_eq!(retry_after("soon", now), None);
}

#[test]
fn no_secret_is_in_what_can_be_printed() {
    let secret = || SecretString::from("https://hooks.example.com/T0P-SECRET");
    let notifier = |channel| Notifier {
        name: "n".to_owned(),
        channel,
        severities: Severity::ALL.into(),
        groups: Vec::new(),
        per_minute: 1,
        timeout: Duration::from_secs(1),
        through_twilio: None,
    };
    let channels = [
        NotifyChannel::Slack { url: secret() },
        NotifyChannel::Teams { url: secret() },
        NotifyChannel::PagerDuty { url: secret(), key: secret() },
        NotifyChannel::Opsgenie { url: secret(), key: secret() },
        NotifyChannel::Webhook { url: secret(), key: Some(secret()) },
        NotifyChannel::Alertmanager { url: secret() },
    ];
    for channel in channels {
        let notifier = notifier(channel);
        let shown = format!("{notifier:?}");
        assert!(!shown.contains("T0P"), "{shown}");
        for notice in notices() {
            assert!(!notifier.render(&notice).to_string().contains("T0P"));
        }
    }
}
