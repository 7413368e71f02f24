//! Who answers, what a swap writes, and which URLs are one.

use super::*;
use crate::routing::history::RoutingState;

pub fn record() -> NumberRecord {
    NumberRecord {
        sid: NumberSid::from_u128(1),
        number: "+15005550100".parse().unwrap(),
        trunk: None,
        voice_application: None,
        voice_url: Some("https://app.example.com/voice".into()),
        voice_fallback_url: None,
        fax: false,
        sms_application: None,
        sms_url: Some("https://app.example.com/sms".into()),
        sms_fallback_url: None,
        status_callback: None,
        service: None,
        elsewhere: [None, None],
        lacks: [false; 2],
        unread: [false; 2],
        gone: [false; 2],
    }
}

fn app(n: u128) -> Application {
    Application {
        sid: ApplicationSid::from_u128(n),
        voice_url: Some("https://app.example.com/app-voice".into()),
        voice_fallback_url: None,
        sms_url: None,
        sms_fallback_url: None,
        status_callback: None,
        is_read: true,
    }
}

#[test]
fn the_first_of_trunk_fax_application_and_url_answers_calls() {
    let mut n = record();
    assert_eq!(n.handler(Channel::Voice).to_string(), "https://app.example.com/voice");
    n.voice_application = Some(app(7));
    assert_eq!(n.handler(Channel::Voice), Handler::Application(ApplicationSid::from_u128(7)));
    n.fax = true;
    assert_eq!(n.handler(Channel::Voice), Handler::Fax);
    n.trunk = Some(TrunkSid::from_u128(9));
    assert_eq!(n.handler(Channel::Voice), Handler::Trunk(TrunkSid::from_u128(9)));
    n.elsewhere[0] = Some("ie1".into());
    assert_eq!(n.handler(Channel::Voice).to_string(), "region ie1", "there this record has no say");
    assert!(n.swap(Channel::Voice, "https://f").unwrap_err().to_string().contains("region ie1"));
    let mut empty = record();
    empty.voice_url = None;
    assert_eq!(empty.handler(Channel::Voice), Handler::Nobody);
}

#[test]
fn a_messaging_service_wins_unless_it_defers() {
    let mut n = record();
    n.sms_application = Some(app(7));
    assert_eq!(n.handler(Channel::Messaging), Handler::Application(ApplicationSid::from_u128(7)));
    let sid = ServiceSid::from_u128(3);
    n.service = Some(Service { sid, inbound_url: None, fallback_url: None, defers_to_number: false });
    assert_eq!(n.handler(Channel::Messaging), Handler::Service(sid));
    assert!(n.swap(Channel::Messaging, "https://f").is_err());
    n.service.as_mut().unwrap().defers_to_number = true;
    assert_eq!(n.handler(Channel::Messaging), Handler::Application(ApplicationSid::from_u128(7)));
}

#[test]
fn a_swap_clears_what_would_win_and_touches_nothing_else() {
    let mut n = record();
    assert_eq!(n.swap(Channel::Voice, "https://f#rc=1").unwrap(), [("VoiceUrl".to_owned(), "https://f#rc=1".into())]);
    n.trunk = Some(TrunkSid::from_u128(9));
    n.voice_application = Some(app(7));
    n.fax = true;
    let names: Vec<_> = n.swap(Channel::Voice, "https://f").unwrap().into_iter().map(|(k, _)| k).collect();
    assert_eq!(names, ["TrunkSid", "VoiceApplicationSid", "VoiceReceiveMode", "VoiceUrl"]);
    n.sms_application = Some(app(8));
    assert_eq!(
        n.swap(Channel::Messaging, "https://f").unwrap(),
        [("SmsApplicationSid".to_owned(), "".into()), ("SmsUrl".to_owned(), "https://f".into())]
    );
}

#[test]
fn a_webhook_is_known_by_host_and_path() {
    for same in
        ["https://A.example.com/voice", "https://a.example.com/voice?CallSid=CA1", "https://a.example.com/voice/"]
    {
        assert!(is_same_webhook("https://a.example.com/voice#rc=0", same), "{same}");
    }
    for other in ["http://a.example.com/voice", "https://a.example.com/Voice", "https://a.example.com/status", ""] {
        assert!(!is_same_webhook("https://a.example.com/voice", other), "{other}");
    }
    let secured = "https://user:p@ss@a.example.com:443/voice?token=t0ken#rc=0";
    assert!(is_same_webhook(secured, "https://a.example.com/voice"));
    assert!(is_same_webhook("http://a.example.com/voice", "http://a.example.com:80/voice"));
    assert!(!is_same_webhook("https://a.example.com/voice", "https://a.example.com:8443/voice"));
    for (configured, same) in [
        (" https://a.example.com./voice ", "https://a.example.com/voice"),
        ("https://a.example.com.:8443/voice", "https://a.example.com:8443/voice"),
        ("https://a.example.com.:443/voice", "https://a.example.com/voice"),
    ] {
        assert!(is_same_webhook(configured, same) && is_same_webhook(same, configured), "{configured:?}");
    }
    assert!(!is_same_webhook("https://[::1]:8443/voice", "https://[::1]/voice"));
}

#[test]
fn a_fallback_is_known_by_what_answers() {
    let bin = "https://handler.twilio.com/twiml/EH00000000000000000000000000000001";
    let on = |url: &str| NumberRecord { voice_url: Some(url.into()), ..record() }.leads_to(Channel::Voice, bin);
    for same in [
        "http://handler.twilio.com/twiml/EH00000000000000000000000000000001",
        "HTTPS://Handler.Twilio.COM:443/twiml/EH00000000000000000000000000000001/?x=1#rc=2",
        "http://handler.twilio.com:80/twiml/EH00000000000000000000000000000001?x=1",
    ] {
        assert!(on(same), "{same}");
        assert!(is_fallback(bin, same), "{same}");
    }
    for other in [
        "https://handler.twilio.com/twiml/EH00000000000000000000000000000002",
        "https://handler.twilio.com:8443/twiml/EH00000000000000000000000000000001",
        "https://handler.example.com/twiml/EH00000000000000000000000000000001",
    ] {
        assert!(!on(other), "{other}");
    }
    // What answers there may tell them apart.
    let own = "https://app.example.com/fallback?line=1";
    for other in ["http://app.example.com/fallback?line=1", "https://app.example.com/fallback?line=2"] {
        assert!(!is_same_fallback(own, other), "{other}");
    }
    assert!(is_same_fallback(own, "https://APP.example.com:443/fallback?line=1#rc=2"));
    // By way of an application, or of a service.
    let application = Application { voice_url: Some(bin.into()), ..app(7) };
    assert!(NumberRecord { voice_application: Some(application), ..record() }.leads_to(Channel::Voice, bin));
    let sid = ServiceSid::from_u128(3);
    let service = Service { sid, inbound_url: Some(bin.into()), fallback_url: None, defers_to_number: false };
    assert!(NumberRecord { service: Some(service), ..record() }.leads_to(Channel::Messaging, bin));
    let trunked = NumberRecord { voice_url: Some(bin.into()), trunk: Some(TrunkSid::from_u128(9)), ..record() };
    assert!(!trunked.leads_to(Channel::Voice, bin));
}

#[test]
fn a_webhook_is_known_without_the_numbers_in_its_url() {
    let ours = Roster::default();
    for configured in [
        "https://a.example.com/forward/415-555-1212",
        "https://a.example.com/forward/%2B14155551212/?x=1",
        "https://user:pw@A.example.com/14155551212/voice#rc=0",
    ] {
        let left = kept(configured, &ours);
        assert!(!left.contains("555"), "{left}");
        assert!(is_same_webhook(configured, &left), "{configured} is not {left}");
        assert!(!is_same_webhook(&configured.replace("1212", "1213"), &left), "{configured}");
        assert!(!is_same_webhook("https://a.example.com/voice", &left), "{configured}");
    }
    assert_eq!(kept("https://u:p@H.example.com:443/v?From=%2B14155551212#a", &ours), "https://h.example.com/v");
}

#[test]
fn a_handler_is_shown_without_its_secrets() {
    let url = Handler::Url("https://user:p@ss@A.example.com/voice?token=t0ken#rc=0".into());
    let shown = "https://a.example.com/voice?…#rc=0";
    assert_eq!(url.to_string(), shown);
    assert_eq!(format!("{url:?}"), shown);
    assert_eq!(serde_json::to_value(&url).unwrap(), serde_json::json!({ "url": shown }));
    assert_eq!(Handler::Url("not a url".into()).to_string(), "(…)");
    let forward = Handler::Url("https://a.example.com/forward/+14155551212?x=1#4155551212".into());
    assert_eq!(forward.to_string(), "https://a.example.com/forward/(…)?…#…");
}

#[test]
fn a_handler_without_a_webhook_and_a_fax_machine_serve_nobody() {
    let state = |n: &NumberRecord, channel| RoutingState::of(n, channel);
    let mut n = record();
    n.voice_application = Some(app(7));
    n.sms_application = Some(app(7));
    assert_eq!(state(&n, Channel::Voice), RoutingState::Handled);
    assert_eq!(state(&n, Channel::Messaging), RoutingState::Nobody, "the application has no sms_url");
    n.sms_application = Some(Application { is_read: false, ..app(7) });
    assert_eq!(state(&n, Channel::Messaging), RoutingState::Handled, "what was not read is not known to be empty");
    n.sms_application = None;
    let service = |inbound_url: Option<&str>, defers_to_number| {
        let inbound_url = inbound_url.map(FieldValue::from);
        Some(Service { sid: ServiceSid::from_u128(3), inbound_url, fallback_url: None, defers_to_number })
    };
    for (service, is) in [
        (service(None, false), RoutingState::Nobody),
        (service(None, true), RoutingState::Handled),
        (service(Some("https://app.example.com/in"), false), RoutingState::Handled),
    ] {
        n.service = service;
        assert_eq!(state(&n, Channel::Messaging), is, "{:?}", n.service);
    }
    n.voice_application = None;
    n.fax = true;
    assert_eq!(state(&n, Channel::Voice), RoutingState::Fax);
    assert!(RoutingState::Fax.trouble().is_some_and(|why| why.contains("voice_receive_mode")));
    n.trunk = Some(TrunkSid::from_u128(9));
    assert_eq!(state(&n, Channel::Voice), RoutingState::Handled, "a trunk answers before it");
}

#[test]
fn what_answers_is_the_webhook_that_counts() {
    let mut n = record();
    assert_eq!(n.answering_url(Channel::Voice), Some("https://app.example.com/voice"));
    n.voice_application = Some(app(7));
    assert_eq!(n.answering_url(Channel::Voice), Some("https://app.example.com/app-voice"));
    n.trunk = Some(TrunkSid::from_u128(9));
    assert_eq!(n.answering_url(Channel::Voice), None, "a trunk asks no webhook");
}
