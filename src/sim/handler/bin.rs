//! What a TwiML Bin makes of a request: its template rendered as Twilio renders it, and what the result does.
//!
//! Absent: helpers other than `e164`, and TwiML beyond what a fallback is made of.

use super::{Does, SimFetched};
use crate::core::model::id::E164;
use crate::sim::scenario::{Bin, BinKind};

/// How long a bin takes to answer.
const AFTER: f64 = 0.1;

/// What a bin answers to a request with these parameters; `None` if its template is broken. One that is not a text of
/// its own answers a message with a message.
pub fn answer(bin: &Bin, parameter: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let is_text = parameter("MessageSid").is_some();
    Some(match (bin.does, bin.to) {
        (BinKind::Broken, _) => return None,
        (BinKind::Twiml, _) => return render(bin.twiml.as_deref().unwrap_or_default(), parameter),
        (BinKind::Forward, Some(to)) if is_text => {
            format!("<Response><Message to=\"{to}\">forwarded</Message></Response>")
        }
        (BinKind::Forward, Some(to)) => format!("<Response><Dial>{to}</Dial></Response>"),
        (BinKind::Answer | BinKind::Forward | BinKind::Dead, _) if is_text => {
            "<Response><Message>We will call you back.</Message></Response>".to_owned()
        }
        (BinKind::Dead, _) => "<Response><Dial>+442079460999</Dial></Response>".to_owned(),
        (BinKind::Answer | BinKind::Forward, _) => {
            let play = bin.marker.as_ref().map_or(String::new(), |keys| format!("<Play digits=\"{keys}\"/>"));
            format!("<Response>{play}<Say>We will call you back.</Say><Record/></Response>")
        }
    })
}

/// What comes of a call or message that the bin `nth` serves; `bins` knows the others, for a `<Redirect>`.
pub fn play(bins: &[Bin], nth: u16, to: E164, from: u64) -> SimFetched {
    let served = |does| SimFetched::Served { after: AFTER, does };
    let broken = |code| SimFetched::Failed { after: AFTER, code, http: Some(200) };
    let parameter = |name: &str| match name {
        "To" | "Called" => Some(to.to_string()),
        "From" | "Caller" => Some(format!("+{from}")),
        _ => None,
    };
    let mut at = nth;
    // Twilio goes further; a bin that leads on and on serves nobody.
    for _ in 0..10 {
        let Some(bin) = bins.get(usize::from(at)) else { return broken(11200) };
        match (bin.does, bin.to) {
            (BinKind::Dead, _) => return served(Does::Dead { forward: 1.0, warning: None }),
            (BinKind::Broken, _) => return broken(11310),
            (BinKind::Forward, Some(to)) => return served(Does::Forwards { to }),
            (BinKind::Answer | BinKind::Forward, _) => return served(Does::Answers { bin: at }),
            (BinKind::Twiml, _) => {}
        }
        let Some(twiml) = answer(bin, &parameter) else { return broken(11310) };
        let Ok(document) = roxmltree::Document::parse(&twiml) else { return broken(12100) };
        let verbs = document.root_element().children().filter(roxmltree::Node::is_element);
        let mut verbs = verbs.skip_while(|n| n.has_tag_name("Pause"));
        let Some(verb) = verbs.next() else { return served(Does::Silent) };
        let text: String = verb.descendants().filter(roxmltree::Node::is_text).filter_map(|n| n.text()).collect();
        match verb.tag_name().name() {
            "Dial" => {
                let does =
                    number(&text).map_or(Does::Dead { forward: 1.0, warning: Some(13223) }, |to| Does::Forwards { to });
                return served(does);
            }
            "Redirect" => {
                let sid = text.trim().strip_prefix(Bin::BASE).unwrap_or_default();
                let Some(next) = bins.iter().position(|b| b.sid == sid) else { return broken(11200) };
                at = u16::try_from(next).unwrap_or(u16::MAX);
            }
            "Reject" | "Hangup" => return served(Does::Silent),
            _ => return served(Does::Answers { bin: at }),
        }
    }
    broken(11215)
}

/// The number that `<Dial>` calls: national writing is taken for North America's. What is more than a number is none.
fn number(text: &str) -> Option<E164> {
    if !text.trim().chars().all(|c| c.is_ascii_digit() || "+-.() ".contains(c)) || text.matches('+').count() > 1 {
        return None;
    }
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let digits = match digits.as_str() {
        all if text.trim().starts_with('+') => all,
        all if all.starts_with("011") => &all[3..],
        all if all.starts_with("00") => &all[2..],
        all if all.len() == 10 => return format!("+1{all}").parse().ok(),
        all => all,
    };
    format!("+{digits}").parse().ok()
}

/// Handlebars, as far as bins are written in it. A parameter that the request does not have is nothing.
fn render(template: &str, parameter: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let mut out = String::new();
    // Where the text of an open `e164` block begins.
    let mut block: Option<usize> = None;
    let mut rest = template;
    while let Some((before, tag)) = rest.split_once("{{") {
        out += before;
        let (tag, is_raw) = tag.strip_prefix('{').map_or((tag, false), |tag| (tag, true));
        let (name, after) = tag.split_once(if is_raw { "}}}" } else { "}}" })?;
        rest = after;
        match (name.trim(), block) {
            ("#e164", None) => block = Some(out.len()),
            ("/e164", Some(start)) => {
                let digits: String = out.split_off(start).chars().filter(char::is_ascii_digit).collect();
                if !digits.is_empty() {
                    out += &format!("+{digits}");
                }
                block = None;
            }
            (name, _) if name.starts_with(['#', '/']) => return None,
            (name, _) => {
                let value = parameter(name).unwrap_or_default();
                if is_raw {
                    out += &value;
                } else {
                    out +=
                        &value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
                }
            }
        }
    }
    out += rest;
    block.is_none().then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_renders_what_it_is_given_and_nothing_for_the_rest() {
        let parameter = |name: &str| (name == "To").then(|| "+1500<5550100".to_owned());
        for (template, want) in [
            ("<Dial>{{To}}</Dial>", Some("<Dial>+1500&lt;5550100</Dial>")),
            ("<Dial>{{ To }}{{{To}}}</Dial>", Some("<Dial>+1500&lt;5550100+1500<5550100</Dial>")),
            ("<Dial>{{From}}</Dial>", Some("<Dial></Dial>")),
            ("{{#e164}} {{To}} {{/e164}}", Some("+15005550100")),
            ("{{#e164}}{{From}}{{/e164}}", Some("")),
            ("{{#e164}}{{To}}", None),
            ("{{#if", None),
            ("{{#if To}}", None),
            ("plain", Some("plain")),
        ] {
            assert_eq!(render(template, &parameter).as_deref(), want, "{template}");
        }
    }

    #[test]
    fn a_bin_does_what_its_text_says() {
        let bins = |texts: &[&str]| -> Vec<Bin> {
            let bin = |(nth, text): (usize, &&str)| Bin {
                sid: format!("EH{nth:032x}"),
                does: BinKind::Twiml,
                to: None,
                twiml: Some(format!("<Response>{text}</Response>")),
                marker: None,
            };
            texts.iter().enumerate().map(bin).collect()
        };
        let to: E164 = "+15005550100".parse().unwrap();
        let plays = |texts: &[&str]| play(&bins(texts), 0, to, 12_025_550_143);
        let does = |fetched| match fetched {
            SimFetched::Served { does, .. } => Some(does),
            SimFetched::Failed { .. } => None,
        };
        assert_eq!(does(plays(&["<Dial>{{To}}</Dial>"])), Some(Does::Forwards { to }));
        assert_eq!(does(plays(&["<Dial><Number>500-555-0100</Number></Dial>"])), Some(Does::Forwards { to }));
        assert!(matches!(does(plays(&["<Dial>{{desk}}</Dial>"])), Some(Does::Dead { .. })));
        assert_eq!(does(plays(&["<Say>Hello</Say>"])), Some(Does::Answers { bin: 0 }));
        assert_eq!(does(plays(&["<Pause/>"])), Some(Does::Silent));
        let second = format!("<Redirect>{}EH{:032x}</Redirect>", Bin::BASE, 1);
        assert_eq!(does(plays(&[&second, "<Say>Hello</Say>"])), Some(Does::Answers { bin: 1 }));
        assert_eq!(does(plays(&[&second, &second])), None, "on and on");
        assert_eq!(does(plays(&["{{#if To}}"])), None);
    }

    #[test]
    fn a_dial_reaches_the_number_it_means() {
        for text in ["+1 500 555 0100", "(500) 555-0100", "1-500-555-0100", "011 1 500 555 0100", "001 500 555 0100"] {
            assert_eq!(number(text).map(|n| n.to_string()).as_deref(), Some("+15005550100"), "{text}");
        }
        assert_eq!(number(""), None);
    }
}
