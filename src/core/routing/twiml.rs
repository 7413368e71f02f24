//! Would this TwiML serve a caller, or who texts? A document read as Twilio reads it: which verbs, in which order, and
//! whom it dials.
//!
//! Verbs are case-sensitive; Twilio passes over what it does not know and warns (12200). The document ends with its
//! last verb, a `<Hangup>`, or a `<Redirect>`, after which another document goes on. An XML declaration stands at the
//! very beginning or makes the whole of it no XML (12100). Sources: Twilio, "TwiML for
//! Programmable Voice", "TwiML for Programmable Messaging", and its error dictionary (11750, 12100, 12300), 2026-11.
//!
//! Absent: what callers key in, and what an `action` answers; a `<Dial>` that has one is not known to be good, for
//! whoever is not put through goes on there, nor is what goes on at a handler that it should stand in for
//! ([`leads_on`]). A fallback is a sentence, a voicemail or a `<Dial>`; what is looked for are the ways in which such a
//! thing is broken.

mod xml;

use roxmltree::Node;

use crate::model::dialled::{self, Dialled};
use crate::model::facts::{API_DOMAIN, TEST_CALLER, TEST_NUMBERS};
use crate::model::id::{Channel, E164};
use crate::model::roster::Roster;
use xml::Unreadable;

/// An answer as it came.
#[derive(Debug, Clone, Copy)]
pub struct TwimlDocument<'a> {
    /// The header `Content-Type`; empty if there is none.
    pub content_type: &'a str,
    pub body: &'a [u8],
    /// It is larger than Twilio takes.
    pub is_too_large: bool,
}

/// What a document does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Somebody or something speaks to the caller, or answers the text.
    Serves,
    /// The caller is put through before anything else: whether anybody answers, the log shows by a leg of its own.
    Dials,
    /// Another document goes on: at this address, which may be relative, asked with this method.
    Redirects {
        url: String,
        by_get: bool,
    },
    Broken(BadTwiml),
    Untold(Untold),
}

/// Why a document would not serve callers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTwiml {
    #[error("it is not XML: {0}")]
    NotXml(String),
    #[error("its root is <{0}>; TwiML's is <Response>")]
    Root(String),
    #[error("it is sent as {0}, which is not TwiML to Twilio: send it as text/xml")]
    ContentType(String),
    #[error("it is larger than the 64 kB that Twilio takes")]
    TooLarge,
    #[error("it does nothing, which hangs up on callers")]
    Empty,
    #[error("it says nothing: what it would say is empty, as a template is whose parameters are not there")]
    SaysNothing,
    #[error("<{0}> is none of Twilio's verbs, which are case-sensitive, and it has no others")]
    NoVerb(String),
    #[error("it begins with <{0}>, which turns callers away")]
    TurnsAway(String),
    #[error("it dials nothing: the number is empty, as a template is whose parameters are not there")]
    DialsNothing,
    #[error("it dials {0}, a number of ours: the call would come back to it; dial another one")]
    Loop(E164),
    #[error("it writes to {0}, a number of ours: the message would come back to it; write to another one")]
    MessageLoop(E164),
    #[error("it dials the number that calls, whose line is busy with this call; dial one where somebody answers")]
    DialsCaller,
    #[error("it dials {0}, one of Twilio's numbers for tests, where nobody is; dial another one")]
    TestNumber(E164),
    #[error("its <Redirect> leads back to itself, for ever")]
    RedirectLoop,
    #[error("it leads in a circle: what it redirects to leads back, for ever")]
    Circle,
    #[error("it plays a file that is not there (HTTP {0}) and nothing else: callers hear nothing")]
    PlaysNothing(u16),
    #[error("it leads back to the handler of {0}, which is what fails when it is needed; lead elsewhere")]
    LeadsBack(String),
}

impl BadTwiml {
    /// True where the answer is no TwiML at all, whatever it was meant for.
    pub const fn is_no_twiml(&self) -> bool {
        match self {
            BadTwiml::NotXml(_) | BadTwiml::Root(_) | BadTwiml::ContentType(_) | BadTwiml::TooLarge => true,
            BadTwiml::Empty
            | BadTwiml::SaysNothing
            | BadTwiml::NoVerb(_)
            | BadTwiml::TurnsAway(_)
            | BadTwiml::DialsNothing
            | BadTwiml::Loop(_)
            | BadTwiml::MessageLoop(_)
            | BadTwiml::DialsCaller
            | BadTwiml::TestNumber(_)
            | BadTwiml::RedirectLoop
            | BadTwiml::Circle
            | BadTwiml::PlaysNothing(_)
            | BadTwiml::LeadsBack(_) => false,
        }
    }
}

/// Why it cannot be told whether a document would serve callers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Untold {
    #[error(
        "it dials what is no telephone number in full and alone, which Twilio may refuse (13223): write one number in \
         E.164, such as +15005550100"
    )]
    NoNumber,
    #[error("it dials {0}, a number of ours that is not watched for this: whether it leads back cannot be told")]
    Unwatched(E164),
    #[error("it hands the caller to <{0}>, where it cannot be followed")]
    HandsOver(String),
    #[error("it dials a SIP domain of Twilio's, which may lead back: dial where the calls end")]
    OwnSip,
    #[error("it is plain text, which Twilio sends as it is; TwiML says what is meant")]
    PlainText,
    #[error("it is written in {0}, which cannot be read here: write it in UTF-8")]
    Encoding(String),
    #[error("its entities may stand for more than can be read here: write what they stand for in their place")]
    Grows,
    #[error("it redirects more than once, and only one <Redirect> is followed")]
    Redirects,
    #[error(
        "when the <Dial> ends, its action goes on elsewhere, which is not asked: whether it leads back cannot be told"
    )]
    Action,
    #[error(
        "its <{verb}> goes on at the handler of {of}, which is what fails when the fallback is needed: whether callers are \
         served then cannot be told"
    )]
    LeadsOn { verb: String, of: String },
    #[error(
        "all that it plays is on the host of the handler of {0}, which is what fails when the fallback is needed: whether \
         callers hear it then cannot be told; play it from elsewhere, or say it"
    )]
    PlaysFrom(String),
    #[error("what it plays, and it does nothing else, was not to be had: {0}")]
    PlaysUntold(String),
}

/// Which number of ours one of these is, and whether it is watched on this channel.
fn find(ours: &Roster, numbers: &[E164], channel: Channel) -> Option<(E164, bool)> {
    let found = numbers.iter().filter_map(|n| Some((*n, ours.watches(*n, channel)?)));
    found.max_by_key(|(_, is_watched)| *is_watched)
}

/// Reads an answer to a request about a call or a message; `ours` are the numbers that must not be dialled.
pub fn read(document: TwimlDocument<'_>, channel: Channel, ours: &Roster) -> Effect {
    if document.is_too_large {
        return Effect::Broken(BadTwiml::TooLarge);
    }
    let (kind, charset) = content_type(document.content_type);
    let text = match decode(document.body, charset.as_deref()) {
        Ok(text) => text,
        Err(encoding) => return Effect::Untold(Untold::Encoding(encoding)),
    };
    match (kind.as_str(), channel) {
        ("" | "text/xml" | "application/xml" | "text/html", _) => {}
        (kind, _) if kind.ends_with("+xml") => {}
        ("text/plain", Channel::Messaging) if !text.trim().is_empty() => return Effect::Untold(Untold::PlainText),
        // Played to the caller, who is hung up on afterwards.
        (kind, Channel::Voice) if kind.starts_with("audio/") => return Effect::Serves,
        _ => return Effect::Broken(BadTwiml::ContentType(kind)),
    }
    match xml::document(&text) {
        Err(Unreadable::Grows) => Effect::Untold(Untold::Grows),
        Err(Unreadable::NotXml(error)) => Effect::Broken(BadTwiml::NotXml(error)),
        Ok(document) if document.root_element().tag_name().name() != "Response" => {
            Effect::Broken(BadTwiml::Root(document.root_element().tag_name().name().to_owned()))
        }
        Ok(document) => match channel {
            Channel::Voice => call(document.root_element(), ours),
            Channel::Messaging => message(document.root_element(), ours),
        },
    }
}

/// Where a document goes on while it serves, or afterwards: verbs and the addresses that they name, which may be
/// relative. Nothing of what cannot be read.
pub fn leads_on(document: TwimlDocument<'_>) -> Vec<(String, String)> {
    let (_, charset) = content_type(document.content_type);
    let Ok(text) = decode(document.body, charset.as_deref()) else { return Vec::new() };
    let Ok(document) = xml::document(&text) else { return Vec::new() };
    let verbs = document.root_element().descendants().filter(Node::is_element);
    let named = verbs.flat_map(|verb| {
        let urls = ["action", "waitUrl", "url"].into_iter().filter_map(move |name| verb.attribute(name));
        urls.map(move |url| (verb.tag_name().name().to_owned(), url.trim().to_owned()))
    });
    named.filter(|(_, url)| !url.is_empty()).collect()
}

/// The recordings that a caller hears where nothing else serves them: addresses, which may be relative.
pub fn plays_alone(document: TwimlDocument<'_>) -> Vec<String> {
    let (_, charset) = content_type(document.content_type);
    let Ok(text) = decode(document.body, charset.as_deref()) else { return Vec::new() };
    let Ok(document) = xml::document(&text) else { return Vec::new() };
    let mut files = Vec::new();
    for verb in document.root_element().children().filter(Node::is_element) {
        let played = match verb.tag_name().name() {
            "Play" => vec![verb],
            "Gather" => verb.children().filter(|n| matches!(n.tag_name().name(), "Say" | "Play")).collect(),
            "Say" | "Prompt" | "Record" | "Pay" | "Enqueue" | "Dial" => return Vec::new(),
            "Hangup" | "Reject" | "Leave" => break,
            _ => continue,
        };
        for noun in played {
            // Words, and tones, need no file.
            if noun.tag_name().name() == "Say" && has_text(noun) || noun.attribute("digits").is_some() {
                return Vec::new();
            }
            files.extend(Some(all_text(noun).trim().to_owned()).filter(|url| !url.is_empty()));
        }
    }
    files
}

/// What is known of a document while its verbs are read.
#[derive(Default)]
struct Walk {
    serves: bool,
    untold: Option<Untold>,
    /// A verb that would speak, and has nothing to say.
    is_mute: bool,
    /// An element that is no verb.
    stray: Option<String>,
    any: bool,
    dials_first: bool,
}

impl Walk {
    /// What the document does that ends here.
    fn end(self) -> Effect {
        match (self.untold, self.serves) {
            (Some(untold), _) => Effect::Untold(untold),
            (None, true) if self.dials_first => Effect::Dials,
            (None, true) => Effect::Serves,
            (None, false) if self.is_mute => Effect::Broken(BadTwiml::SaysNothing),
            (None, false) => Effect::Broken(self.stray.map_or(BadTwiml::Empty, BadTwiml::NoVerb)),
        }
    }
}

fn call(root: Node<'_, '_>, ours: &Roster) -> Effect {
    let mut walk = Walk::default();
    for verb in root.children().filter(Node::is_element) {
        let is_first = !std::mem::replace(&mut walk.any, true);
        match verb.tag_name().name() {
            "Say" | "Prompt" => walk.say(has_text(verb)),
            "Play" => walk.say(has_text(verb) || verb.attribute("digits").is_some_and(|keys| !keys.trim().is_empty())),
            "Record" | "Pay" | "Enqueue" => walk.serves = true,
            "Pause" => walk.is_mute = true,
            "Gather" => walk.say(verb.children().any(|n| {
                let digits = n.attribute("digits").is_some_and(|keys| !keys.trim().is_empty());
                matches!(n.tag_name().name(), "Say" | "Play") && (has_text(n) || digits)
            })),
            "Dial" => match dial(verb, ours) {
                effect @ (Effect::Serves | Effect::Dials) => {
                    walk.dials_first |= is_first && effect == Effect::Dials;
                    walk.serves = true;
                }
                Effect::Untold(why) => walk.untold = Some(why),
                other @ (Effect::Broken(_) | Effect::Redirects { .. }) => return other,
            },
            verb @ ("Connect" | "Refer" | "VirtualAgent") => {
                walk.untold = Some(Untold::HandsOver(verb.to_owned()));
            }
            "Redirect" => return redirect(verb),
            "Reject" if is_first => return Effect::Broken(BadTwiml::TurnsAway("Reject".to_owned())),
            "Hangup" | "Reject" if !walk.serves && walk.untold.is_none() => {
                return Effect::Broken(BadTwiml::TurnsAway(verb.tag_name().name().to_owned()));
            }
            "Hangup" | "Reject" | "Leave" => break,
            // They go on beside the call, and nobody hears of them.
            "Start" | "Stop" | "Sms" | "Message" => {}
            stray => walk.stray = walk.stray.or_else(|| Some(stray.to_owned())),
        }
    }
    walk.end()
}

impl Walk {
    fn say(&mut self, says: bool) {
        self.serves |= says;
        self.is_mute |= !says;
    }
}

/// What comes of a `<Dial>`: the worst that any of its ends may bring.
fn dial(verb: Node<'_, '_>, ours: &Roster) -> Effect {
    let own: String = verb.children().filter(Node::is_text).filter_map(|n| n.text()).collect();
    let mut untold = None;
    let mut ends = 0;
    // A conference is joined by the caller's own leg.
    let mut has_legs = false;
    let nouns = verb.children().filter(Node::is_element);
    let nouns: Vec<Node<'_, '_>> = nouns.collect();
    let own = (!own.trim().is_empty() || nouns.is_empty()).then_some(("Number", own));
    for (noun, text) in own.into_iter().chain(nouns.iter().map(|n| (n.tag_name().name(), all_text(*n)))) {
        ends += 1;
        has_legs |= noun != "Conference";
        let found = match noun {
            "Number" => number(&text, Channel::Voice, ours),
            "Sip" | "WhatsApp" | "Client" | "Conference" if text.trim().is_empty() => {
                return Effect::Broken(BadTwiml::DialsNothing);
            }
            "Sip" => sip(&text, ours),
            "WhatsApp" | "Client" | "Conference" => Ok(()),
            // A caller who is put through to a queue, or to an application, goes where this document does not say.
            noun @ ("Queue" | "Application" | "Sim") => Err(Effect::Untold(Untold::HandsOver(noun.to_owned()))),
            _ => {
                ends -= 1;
                continue;
            }
        };
        match found {
            Ok(()) => {}
            Err(Effect::Untold(why)) => untold = Some(why),
            Err(worse) => return worse,
        }
    }
    let goes_on = verb.attribute("action").is_some_and(|url| !url.trim().is_empty());
    match untold.or(goes_on.then_some(Untold::Action)) {
        Some(why) => Effect::Untold(why),
        None if ends == 0 => Effect::Broken(BadTwiml::DialsNothing),
        None if has_legs => Effect::Dials,
        None => Effect::Serves,
    }
}

/// Whom a number that belongs to nobody reaches, if it is one. It was asked as if [`TEST_CALLER`] called: what dials
/// that dials whoever calls. A text to who wrote is an answer, and nobody writes to Twilio's tests by mistake.
fn nobodys(numbers: &[E164], channel: Channel) -> Option<BadTwiml> {
    let is_test = |n: &&E164| {
        let text = n.to_string();
        text.len() == TEST_NUMBERS.len() + 1 && text.starts_with(TEST_NUMBERS)
    };
    let number = numbers.iter().find(is_test).filter(|_| channel == Channel::Voice)?;
    Some(if number.to_string() == TEST_CALLER { BadTwiml::DialsCaller } else { BadTwiml::TestNumber(*number) })
}

/// A number that is dialled or written to: an error if it leads back, or may, or to nobody.
fn number(text: &str, channel: Channel, ours: &Roster) -> Result<(), Effect> {
    let is_formed = dialled::is_formed(text);
    let numbers = match dialled::read(text, ours.calling_codes()) {
        Dialled::Nothing => return Err(Effect::Broken(BadTwiml::DialsNothing)),
        Dialled::Numbers(numbers) if is_formed => numbers,
        Dialled::NoNumber | Dialled::Numbers(_) => dialled::within(text, ours.calling_codes()).into_iter().collect(),
    };
    match find(ours, &numbers, channel) {
        Some((number, true)) => Err(Effect::Broken(match channel {
            Channel::Voice => BadTwiml::Loop(number),
            Channel::Messaging => BadTwiml::MessageLoop(number),
        })),
        Some((number, false)) => Err(Effect::Untold(Untold::Unwatched(number))),
        None => match nobodys(&numbers, channel) {
            Some(nobody) => Err(Effect::Broken(nobody)),
            None if is_formed => Ok(()),
            None => Err(Effect::Untold(Untold::NoNumber)),
        },
    }
}

/// A SIP address. The company's own equipment is where a fallback should lead, also by our number's name there; on
/// Twilio's hosts the number is dialled, or whatever the SIP domain is set to.
fn sip(text: &str, ours: &Roster) -> Result<(), Effect> {
    let text = text.trim();
    let rest = ["sips:", "sip:"].iter().find_map(|scheme| {
        text.get(..scheme.len()).filter(|s| s.eq_ignore_ascii_case(scheme)).map(|_| &text[scheme.len()..])
    });
    let (user, host) = match rest.unwrap_or(text).split_once('@') {
        Some((user, host)) => (user, host),
        None => ("", rest.unwrap_or(text)),
    };
    let host = host.split([';', '?', ':']).next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_twilio = host.strip_suffix(API_DOMAIN).is_some_and(|name| name.ends_with('.'));
    if host.is_empty() || user.trim().is_empty() {
        return Err(Effect::Broken(BadTwiml::DialsNothing));
    }
    if is_twilio && host.contains(".pstn.") {
        return number(user, Channel::Voice, ours);
    }
    if is_twilio { Err(Effect::Untold(Untold::OwnSip)) } else { Ok(()) }
}

fn message(root: Node<'_, '_>, ours: &Roster) -> Effect {
    let mut walk = Walk::default();
    for verb in root.children().filter(Node::is_element) {
        match verb.tag_name().name() {
            "Message" | "Sms" => {
                let to = verb.attribute("to").map(|to| number(to, Channel::Messaging, ours));
                match to {
                    Some(Err(Effect::Untold(why))) => walk.untold = Some(why),
                    Some(Err(worse)) => return worse,
                    Some(Ok(())) | None => {}
                }
                walk.say(has_text(verb));
            }
            "Redirect" => return redirect(verb),
            stray => walk.stray = walk.stray.or_else(|| Some(stray.to_owned())),
        }
    }
    walk.end()
}

fn redirect(verb: Node<'_, '_>) -> Effect {
    let url = all_text(verb).trim().to_owned();
    let by_get = verb.attribute("method").is_some_and(|m| m.trim().eq_ignore_ascii_case("GET"));
    // Without an address it is the document's own.
    if url.is_empty() { Effect::Broken(BadTwiml::RedirectLoop) } else { Effect::Redirects { url, by_get } }
}

/// The text of an element and of all in it.
fn all_text(node: Node<'_, '_>) -> String {
    node.descendants().filter(Node::is_text).filter_map(|n| n.text()).collect()
}

fn has_text(node: Node<'_, '_>) -> bool {
    node.descendants().filter(Node::is_text).filter_map(|n| n.text()).any(|text| !text.trim().is_empty())
}

/// The media type in lower case, and the character set if it is named.
fn content_type(header: &str) -> (String, Option<String>) {
    let mut parts = header.split(';');
    let kind = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
    let charset = parts.find_map(|p| {
        let (name, value) = p.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"').to_owned())
    });
    (kind, charset)
}

/// The text, by its byte order mark, the header's character set or the XML declaration, in this order; the name of
/// the encoding if it is none that can be read here.
fn decode(body: &[u8], charset: Option<&str>) -> Result<String, String> {
    let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
        char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect::<String>()
    };
    match body {
        [0xef, 0xbb, 0xbf, rest @ ..] => return Ok(String::from_utf8_lossy(rest).into_owned()),
        [0xff, 0xfe, rest @ ..] => return Ok(utf16(rest, u16::from_le_bytes)),
        [0xfe, 0xff, rest @ ..] => return Ok(utf16(rest, u16::from_be_bytes)),
        // `<` in two bytes.
        [b'<', 0, ..] => return Ok(utf16(body, u16::from_le_bytes)),
        [0, b'<', ..] => return Ok(utf16(body, u16::from_be_bytes)),
        _ => {}
    }
    let named = charset.map(str::to_owned).or_else(|| {
        let start = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
        let declaration = start.trim_start().strip_prefix("<?xml")?.split_once("?>")?.0.to_owned();
        let (_, value) = declaration.split_once("encoding")?;
        let value = value.trim_start().strip_prefix('=')?.trim_start();
        let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        Some(value[1..].split(quote).next()?.to_owned())
    });
    let name = named.unwrap_or_default();
    match name.to_ascii_lowercase().as_str() {
        "" | "utf-8" | "utf8" | "us-ascii" | "ascii" => Ok(String::from_utf8_lossy(body).into_owned()),
        "iso-8859-1" | "latin1" | "iso-8859-15" | "windows-1252" | "cp1252" => {
            Ok(body.iter().map(|b| char::from(*b)).collect())
        }
        _ => Err(name.chars().take(40).collect()),
    }
}

#[cfg(test)]
mod tests;
