//! What is written for what is wanted, and what cannot be made so. Every combination is tried against the pretend
//! Twilio, in `tests/it/handlers.rs`.

use super::*;
use crate::model::handler::WebhookMethod;
use crate::routing::record::Service;
use crate::routing::record::tests::record;
use crate::routing::values::in_service;

const URL: &str = "https://new.example.com/voice";
const BIN: &str = "https://handler.twilio.com/twiml/EH00000000000000000000000000000001";

fn voice(json: &str) -> RoutingValues {
    RoutingValues::read(json, Channel::Voice).unwrap()
}

fn to(url: &str) -> WantedHandler {
    WantedHandler { target: Some(WantedTarget::Url(url.into())), ..WantedHandler::default() }
}

fn said(now: &str, wanted: &WantedHandler) -> String {
    let now = voice(now);
    match compare(&record(), &now, wanted, Some(BIN), None) {
        Comparison::AsWanted => "as wanted".to_owned(),
        Comparison::Differs(update) => {
            changes(&now, &update).iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        }
        Comparison::Cannot(why) => format!("cannot: {why}"),
        Comparison::HandedOver(owner) => format!("with {owner}"),
    }
}

#[test]
fn only_what_differs_is_written_and_what_would_win_is_cleared() {
    let trunked = r#"{"trunk_sid":"TK1","voice_url":"https://new.example.com/voice","voice_method":"POST"}"#;
    assert_eq!(said(trunked, &to(URL)), "TrunkSid (…) → (empty)");
    let fax = r#"{"voice_receive_mode":"fax","voice_application_sid":"AP00000000000000000000000000000001"}"#;
    assert_eq!(
        said(fax, &to(URL)),
        "VoiceApplicationSid AP00000000000000000000000000000001 → (empty), VoiceReceiveMode fax → voice, VoiceUrl \
         (empty) → https://new.example.com/voice"
    );
    let is = r#"{"trunk_sid":null,"voice_application_sid":"","voice_url":"https://new.example.com/voice"}"#;
    assert_eq!(said(is, &to(URL)), "as wanted", "null and an empty text are alike");
    let get = WantedHandler { method: Some(WebhookMethod::Get), ..to(URL) };
    assert_eq!(said(is, &get), "VoiceMethod (empty) → GET");
    let post = WantedHandler { method: Some(WebhookMethod::Post), ..to(URL) };
    assert_eq!(said(is, &post), "as wanted", "POST is what Twilio takes where nothing is said");
    let nothing = WantedHandler::default();
    assert_eq!(said(trunked, &nothing), "as wanted", "what is not named is not touched");
}

#[test]
fn what_no_write_to_the_number_can_make_so_is_said() {
    let beside = |fallback: &str| WantedHandler { fallback_url: Some(fallback.into()), ..WantedHandler::default() };
    assert!(said("{}", &beside("https://f")).contains("VoiceFallbackUrl needs VoiceUrl beside it"));
    assert_eq!(said(r#"{"voice_url":"https://a"}"#, &beside("https://f")), "VoiceFallbackUrl (empty) → https://f");
    let mut on_fallback = record();
    on_fallback.voice_url = Some(BIN.into());
    let now = voice(&format!("{{\"voice_url\":\"{BIN}\"}}"));
    let found = compare(&on_fallback, &now, &to(URL), Some(BIN), None);
    assert_eq!(found, Comparison::Cannot(CannotApply::OnFallback));
    let mut elsewhere = record();
    elsewhere.elsewhere[0] = Some("ie1".to_owned());
    let found = compare(&elsewhere, &voice("{}"), &to(URL), None, None);
    assert_eq!(found, Comparison::Cannot(CannotApply::AnotherRegion("ie1".to_owned())));
    let mut hosted = record();
    hosted.lacks[0] = true;
    let found = compare(&hosted, &voice("{}"), &to(URL), None, None);
    assert_eq!(found, Comparison::Cannot(CannotApply::Lacking(Channel::Voice)));
}

#[test]
fn a_messaging_service_that_answers_by_itself_wins() {
    let (one, other) = (ServiceSid::from_u128(1), ServiceSid::from_u128(2));
    let service = |(sid, defers_to_number): (ServiceSid, bool)| Service {
        sid,
        inbound_url: None,
        fallback_url: None,
        defers_to_number,
    };
    let of = |is: Option<(ServiceSid, bool)>, wanted: &WantedHandler, known: Option<Service>| {
        let mut record = record();
        record.service = is.map(service);
        let own = in_service(r#"{"sms_url":"https://a"}"#, is.map(|(sid, _)| sid));
        let now = RoutingValues::read(&own, Channel::Messaging).unwrap();
        compare(&record, &now, wanted, None, known.as_ref())
    };
    let found = |is, wanted: &WantedHandler| of(is, wanted, None);
    let wins = Comparison::Cannot(CannotApply::ServiceWins(one));
    assert_eq!(found(Some((one, false)), &to(URL)), wins);
    assert!(matches!(found(Some((one, true)), &to(URL)), Comparison::Differs(_)));
    let member = WantedHandler { service: Some(one), ..WantedHandler::default() };
    assert_eq!(found(Some((one, false)), &member), Comparison::AsWanted);
    assert_eq!(found(None, &member), Comparison::Cannot(CannotApply::NoService(one)));
    // Who is in none is put into it, if that serves those who write.
    let joins = |wanted: &WantedHandler, defers, inbound_url: Option<&str>| {
        let known = Service { inbound_url: inbound_url.map(Into::into), ..service((one, defers)) };
        of(None, wanted, Some(known))
    };
    let joined = Comparison::Differs(vec![(SERVICE.to_owned(), one.to_string().into())]);
    assert_eq!(joins(&member, true, None), joined);
    assert_eq!(joins(&member, false, Some("https://service")), joined);
    assert_eq!(joins(&member, false, None), Comparison::Cannot(CannotApply::ServiceDrops(one)));
    let both = WantedHandler { service: Some(one), ..to(URL) };
    assert_eq!(joins(&both, false, Some("https://service")), wins);
    let Comparison::Differs(update) = joins(&both, true, None) else { panic!("it can be made so") };
    assert_eq!(update.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["SmsUrl", SERVICE]);
    let elsewhere = CannotApply::OtherService { is: other, wanted: one };
    assert_eq!(found(Some((other, true)), &member), Comparison::Cannot(elsewhere));
}
