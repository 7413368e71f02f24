use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;
use crate::model::id::testing::ours;
use crate::model::roster::{Number, PortAt};

const VOICE: [bool; 2] = [true, false];
const TEXTS: [bool; 2] = [false, true];

/// +1 500 555 0100 has both channels, +44 20 7946 0000 voice and +1 500 555 0199 messages.
fn roster() -> Roster {
    let mut roster = Roster::default();
    let group = roster.add_group("support".parse().unwrap(), [None, None]);
    for (id, channels) in [("+15005550100", [true, true]), ("+442079460000", VOICE), ("+15005550199", TEXTS)] {
        let (label, timezone) = (String::new(), TimeZone::UTC);
        let number = Number { id: ours(id), label, group, channels, timezone, port: PortAt::Done };
        roster.add_number(number).unwrap();
    }
    roster
}

fn read_as(content_type: &str, body: &[u8], channel: Channel) -> Effect {
    read(TwimlDocument { content_type, body, is_too_large: false }, channel, &roster())
}

/// What comes of it in a word: `serves`, the address of a redirect, or why not.
fn said(body: &str, channel: Channel) -> String {
    match read_as("text/xml", body.as_bytes(), channel) {
        Effect::Serves => "serves".to_owned(),
        Effect::Dials => "dials".to_owned(),
        Effect::Redirects { url, by_get } => format!("{} {url}", if by_get { "GET" } else { "POST" }),
        Effect::Broken(why) => why.to_string(),
        Effect::Untold(why) => format!("untold: {why}"),
    }
}

#[test]
fn what_serves_a_caller() {
    for good in [
        "<Response><Say>We call you back.</Say><Record/></Response>",
        "<?xml version=\"1.0\"?><Response><Dial answerOnBridge=\"true\">+44 20 7946 0001</Dial></Response>",
        "<Response><Dial><Sip>sip:desk@example.com</Sip></Dial></Response>",
        "<Response><Dial><Sip>sip:+15005550100@pbx.example.com;transport=tls</Sip></Dial></Response>",
        "<Response><Dial><Client>desk</Client></Dial></Response>",
        "<Response><Dial><Client><Identity>desk</Identity></Client></Dial></Response>",
        "<Response><Dial><Conference>room</Conference></Dial></Response>",
        "<Response><Dial>1-202-555-0143</Dial></Response>",
        "<Response><Enqueue>support</Enqueue></Response>",
        "<Response><Play>https://example.com/a.mp3</Play><Hangup/></Response>",
        "<Response><Play digits=\"42\"/></Response>",
        "<Response><Gather><Say>Press 1.</Say></Gather></Response>",
        "<Response><Gather/><Say>Nobody is in.</Say></Response>",
        "<Response><Pause/><Say><![CDATA[Hello]]></Say></Response>",
        "<Response><!-- <Reject/> --><?php ?><Say>&#201;t&#233; &amp; bar</Say></Response>",
        "<!DOCTYPE r [<!ENTITY us \"We call back\">]><Response><Say>&us;</Say></Response>",
        "<Response xmlns=\"https://example.com\"><Say>Hello</Say></Response>",
        "<Response><Say voice=\"a\">Hello</Say><Reject/></Response>",
        "<Response><Bye/><Say>Hello</Say></Response>",
        "\u{feff}\n<Response><Say>Hello</Say></Response>",
    ] {
        let said = said(good, Channel::Voice);
        assert!(matches!(&*said, "serves" | "dials"), "{good}: {said}");
    }
}

#[test]
fn what_dials_before_anything_else_makes_a_leg() {
    for (verbs, effect) in [
        ("<Dial>+12025550143</Dial>", "dials"),
        ("<Dial><Sip>sip:desk@example.com</Sip></Dial><Say>Nobody is in.</Say>", "dials"),
        ("<Dial><Client>desk</Client></Dial>", "dials"),
        ("<Say>We put you through.</Say><Dial>+12025550143</Dial>", "serves"),
        ("<Dial><Conference>room</Conference></Dial>", "serves"),
        ("<Say>Hello</Say>", "serves"),
    ] {
        assert_eq!(said(&format!("<Response>{verbs}</Response>"), Channel::Voice), effect, "{verbs}");
    }
}

#[test]
fn what_does_not() {
    let ours = "a number of ours";
    for (bad, why) in [
        ("Internal server error", "not XML"),
        ("{{#if", "not XML"),
        ("<html><body/></html>", "root is <html>"),
        ("<response><Say>Hello</Say></response>", "root is <response>"),
        ("<Response/>", "does nothing"),
        ("<Response>We call you back.</Response>", "does nothing"),
        ("<Response><!-- <Say>Hello</Say> --></Response>", "does nothing"),
        ("<Response><Reject/></Response>", "begins with <Reject>"),
        ("<Response><Hangup/><Say>Hello</Say></Response>", "begins with <Hangup>"),
        ("<Response><Pause/><Hangup/></Response>", "<Hangup>, which turns callers away"),
        ("<Response><Pause length=\"60\"/></Response>", "says nothing"),
        ("<Response><Say> </Say></Response>", "says nothing"),
        ("<Response><Say/><Play></Play></Response>", "says nothing"),
        ("<Response><say>Hello</say></Response>", "<say> is none of Twilio's verbs"),
        ("<Response><dial>+12025550143</dial></Response>", "<dial> is none"),
        ("<Response><Dial/></Response>", "dials nothing"),
        ("<Response><Dial> </Dial><Say>Hello</Say></Response>", "dials nothing"),
        ("<Response><Dial><Number></Number></Dial></Response>", "dials nothing"),
        ("<Response><Dial><Sip>sip:@example.com</Sip></Dial></Response>", "dials nothing"),
        ("<Response><Dial><Client/></Dial></Response>", "dials nothing"),
        ("<Response><Dial>+1 500 555 0100</Dial></Response>", ours),
        ("<Response><Dial>+1 500<!-- x --> 555 0100</Dial></Response>", ours),
        ("<Response><Dial><![CDATA[500-555-0100]]></Dial></Response>", ours),
        ("<Response><Dial>&#53;00-555-0100</Dial></Response>", ours),
        ("<Response><Dial>tel:+15005550100</Dial></Response>", ours),
        ("<Response><Dial>020 7946 0000</Dial></Response>", ours),
        ("<Response><Say/><Dial><Number>+15005550100</Number></Dial></Response>", ours),
        ("<Response><Dial><Number>+12025550143</Number><Number>5005550100</Number></Dial></Response>", ours),
        ("<Response><Dial><Sip>sip:+15005550100@x.pstn.twilio.com</Sip></Dial></Response>", ours),
        ("<Response><Dial><Sip>sip:15005550100@x.pstn.dublin.twilio.com:5061;a=b</Sip></Dial></Response>", ours),
        ("<Response><Dial>front desk 500-555-0100</Dial></Response>", ours),
        ("<Response><Dial>+12025550143, +15005550100</Dial></Response>", ours),
        ("<Response><Dial><Number>+12025550143 500-555-0100</Number></Dial></Response>", ours),
        ("<Response><Dial>+15005550199, +442079460000</Dial></Response>", "+442079460000, a number of ours"),
        ("<Response><Dial>+1500KKJ0100</Dial></Response>", ours),
        ("<Response><Dial><Sip>sip:desk-15005550100@x.pstn.twilio.com</Sip></Dial></Response>", ours),
        ("<Response><Redirect/></Response>", "back to itself"),
    ] {
        let found = said(bad, Channel::Voice);
        assert!(found.contains(why) && !found.starts_with("untold"), "{bad}: {found}");
    }
}

#[test]
fn what_cannot_be_told_is_said_to_be_so() {
    for (text, why) in [
        ("<Response><Dial>the desk</Dial></Response>", "no telephone number"),
        ("<Response><Dial>911</Dial></Response>", "no telephone number"),
        ("<Response><Dial>555-0143</Dial></Response>", "no telephone number"),
        ("<Response><Dial>front desk 202-555-0143</Dial></Response>", "no telephone number"),
        ("<Response><Dial>+12025550143, +12025550144</Dial></Response>", "no telephone number"),
        ("<Response><Dial><Number>+12025550143,+12025550144</Number></Dial></Response>", "no telephone number"),
        ("<Response><Dial>202-555-0143 x12</Dial></Response>", "no telephone number"),
        ("<Response><Dial>1-800-FLOWERS</Dial></Response>", "no telephone number"),
        ("<Response><Dial>+1202555014</Dial></Response>", "no telephone number"),
        ("<Response><Dial>011 44 20 7946 0001</Dial></Response>", "no telephone number"),
        ("<Response><Say>Hello</Say><Dial>020 7946 0001</Dial></Response>", "no telephone number"),
        ("<Response><Dial>+15005550199</Dial></Response>", "not watched"),
        ("<Response><Dial><Queue>support</Queue></Dial></Response>", "<Queue>"),
        ("<Response><Dial><Sip>sip:desk@ours.sip.twilio.com</Sip></Dial></Response>", "SIP domain of Twilio's"),
        ("<Response><Say>Hello</Say><Connect><Stream url=\"wss://example.com\"/></Connect></Response>", "<Connect>"),
    ] {
        let found = said(text, Channel::Voice);
        assert!(found.starts_with("untold") && found.contains(why), "{text}: {found}");
    }
}

#[test]
fn a_redirect_ends_the_document() {
    let redirect = "<Redirect method=\"get\"> https://example.com/a?b=1&amp;c=2 </Redirect>";
    let text = format!("<Response><Say>One moment.</Say>{redirect}<Dial>+15005550100</Dial></Response>");
    assert_eq!(said(&text, Channel::Voice), "GET https://example.com/a?b=1&c=2");
    assert_eq!(said("<Response><Redirect>/next</Redirect></Response>", Channel::Messaging), "POST /next");
    assert_eq!(said("<Response><Hangup/><Redirect>/next</Redirect></Response>", Channel::Messaging), "POST /next");
}

#[test]
fn a_text_is_answered_or_not() {
    for (text, why) in [
        ("<Response><Message>Call us.</Message></Response>", "serves"),
        ("<Response><Message><Body>Call us.</Body></Message></Response>", "serves"),
        ("<Response><Message><Media>https://example.com/a.png</Media></Message></Response>", "serves"),
        ("<Response><Sms>Call us.</Sms></Response>", "serves"),
        ("<Response><Message to=\"+12025550143\">Call us.</Message></Response>", "serves"),
        ("<Response><Message to=\"+442079460000\">Call us.</Message></Response>", "not watched"),
        ("<Response><Message to=\"500-555-0199\">Call us.</Message></Response>", "a number of ours"),
        ("<Response><Message to=\"\">Call us.</Message></Response>", "dials nothing"),
        ("<Response><Message to=\"+12025550143, +12025550144\">Call us.</Message></Response>", "no telephone number"),
        ("<Response><Message to=\"+12025550143,+15005550199\">Call us.</Message></Response>", "a number of ours"),
        ("<Response><Message/></Response>", "says nothing"),
        ("<Response/>", "does nothing"),
        ("<Response><Say>Hello</Say></Response>", "<Say> is none"),
    ] {
        let found = said(text, Channel::Messaging);
        assert!(found.contains(why), "{text}: {found}");
    }
}

#[test]
fn an_answer_is_what_it_is_sent_as() {
    let good = b"<Response><Say>Hello</Say></Response>";
    for kind in ["text/xml", "application/xml; charset=utf-8", "TEXT/HTML", "", "application/xhtml+xml"] {
        assert_eq!(read_as(kind, good, Channel::Voice), Effect::Serves, "{kind}");
    }
    for kind in ["application/json", "text/plain", "image/png"] {
        let found = read_as(kind, good, Channel::Voice);
        assert!(matches!(found, Effect::Broken(BadTwiml::ContentType(_))), "{kind}: {found:?}");
    }
    assert_eq!(read_as("audio/mpeg", b"ID3", Channel::Voice), Effect::Serves);
    assert_eq!(read_as("text/plain", b"Call us.", Channel::Messaging), Effect::Untold(Untold::PlainText));
    let large = TwimlDocument { content_type: "text/xml", body: good, is_too_large: true };
    assert_eq!(read(large, Channel::Voice, &roster()), Effect::Broken(BadTwiml::TooLarge));
}

/// Asked with our own From, a template that dials it shows itself by that number.
#[test]
fn to_dial_whoever_calls_is_to_dial_nobody() {
    let found = |channel, twiml: &str| read_as("text/xml", format!("<Response>{twiml}</Response>").as_bytes(), channel);
    for dialled in ["+15005550006", "15005550006", "(500) 555-0006", "desk 500-555-0006"] {
        for twiml in [
            format!("<Dial>{dialled}</Dial>"),
            format!("<Say>Hold on</Say><Dial><Number>+12025550143</Number><Number>{dialled}</Number></Dial>"),
            format!("<Dial><Sip>sip:{}@example.pstn.twilio.com</Sip></Dial>", dialled.replace(' ', "")),
        ] {
            let found = found(Channel::Voice, &twiml);
            assert_eq!(found, Effect::Broken(BadTwiml::DialsCaller), "{twiml}");
        }
    }
    assert!(matches!(
        found(Channel::Voice, "<Dial>+15005550001</Dial>"),
        Effect::Broken(BadTwiml::TestNumber(n)) if n.to_string() == "+15005550001"
    ));
    assert_eq!(found(Channel::Voice, "<Dial>+15005550143</Dial>"), Effect::Dials, "as numbers in examples");
    let text = "<Message to=\"+15005550006\">We write back soon.</Message>";
    assert_eq!(found(Channel::Messaging, text), Effect::Serves, "whoever wrote is written back to");
    for empty in ["<Dial><Number/></Dial>", "<Dial><Number> </Number></Dial>", "<Dial>+</Dial>", "<Dial>+()-</Dial>"] {
        assert_eq!(found(Channel::Voice, empty), Effect::Broken(BadTwiml::DialsNothing), "{empty}");
    }
}

#[test]
fn an_answer_is_read_in_its_encoding() {
    let twiml = |encoding: &str| {
        format!("<?xml version=\"1.0\" encoding='{encoding}'?><Response><Dial>+1\u{a0}500 555 0100</Dial></Response>")
    };
    let is_loop = |content_type: &str, body: &[u8]| {
        let found = read_as(content_type, body, Channel::Voice);
        assert!(matches!(found, Effect::Broken(BadTwiml::Loop(_))), "{content_type} {body:?}: {found:?}");
    };
    let latin = |text: &str| text.chars().map(|c| c as u8).collect::<Vec<u8>>();
    is_loop("text/xml", &latin(&twiml("ISO-8859-1")));
    is_loop("text/xml; charset=\"windows-1252\"", &latin(&twiml("utf-8")));
    is_loop("text/xml", format!("\u{feff}{}", twiml("UTF-8")).as_bytes());
    let wide: Vec<u16> = twiml("UTF-16").encode_utf16().collect();
    is_loop("text/xml", &wide.iter().flat_map(|u| u.to_le_bytes()).collect::<Vec<u8>>());
    let marked: Vec<u8> = [0xfeff].iter().chain(&wide).flat_map(|u| u.to_be_bytes()).collect();
    is_loop("text/xml", &marked);
    let found = read_as("text/xml", twiml("Shift_JIS").as_bytes(), Channel::Voice);
    assert_eq!(found, Effect::Untold(Untold::Encoding("Shift_JIS".to_owned())));
}

proptest! {
    #[test]
    fn no_answer_does_harm(content_type in ".{0,30}", body in proptest::collection::vec(any::<u8>(), 0..80)) {
        read_as(&content_type, &body, Channel::Voice);
        read_as(&content_type, &body, Channel::Messaging);
    }

    /// However our number is written, in whatever place a number is dialled from.
    #[test]
    fn a_dial_of_ours_is_a_loop(
        style in 0..5usize,
        separators in proptest::collection::vec("[ .()/-]{0,2}", 14),
        place in 0..4usize,
    ) {
        let digits = ["15005550100", "5005550100", "01115005550100", "0015005550100", "15005550100"][style];
        let plus = if style == 4 { "+" } else { "" };
        let spelt: String = digits.chars().zip(separators.iter().map(String::as_str).chain(std::iter::repeat("")))
            .map(|(c, s)| format!("{c}{s}")).collect();
        let text = match place {
            0 => format!("<Dial>{plus}{spelt}</Dial>"),
            1 => format!("<Dial>\n  <Number>{plus}{spelt}</Number>\n</Dial>"),
            2 => format!("<Say>One moment</Say><Dial><Number>+12025550143</Number><Number>{plus}{spelt}</Number></Dial>"),
            _ => format!("<Dial><![CDATA[{plus}{spelt}]]></Dial><Say>Sorry</Say>"),
        };
        let found = read_as("text/xml", format!("<Response>{text}</Response>").as_bytes(), Channel::Voice);
        prop_assert!(matches!(found, Effect::Broken(BadTwiml::Loop(_))), "{}: {:?}", text, found);
    }
}
