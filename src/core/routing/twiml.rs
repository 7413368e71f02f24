//! Would this TwiML serve a caller? The part of Twilio's language that tells a fallback which works
//! from one that does not.
//!
//! Absent: what each verb does. A fallback is a sentence, a voicemail or a `<Dial>`; what is looked
//! for are the ways in which such a thing is broken.

use crate::core::model::id::E164;

/// Why a fallback would not serve callers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTwiml {
    #[error("it is not XML: {0}")]
    NotXml(String),
    #[error("its root is <{0}>; TwiML's is <Response>")]
    Root(String),
    #[error("it does nothing, which hangs up on callers")]
    Empty,
    #[error("it begins with <{0}>, which turns callers away")]
    TurnsAway(String),
    #[error("it dials {0}, a number of ours: the call would come back to it")]
    Loop(E164),
}

/// Looks at a document; `is_ours` knows the numbers that must not be dialled.
pub fn examine(text: &str, is_ours: impl Fn(E164) -> bool) -> Result<(), BadTwiml> {
    let document = roxmltree::Document::parse(text).map_err(|e| BadTwiml::NotXml(e.to_string()))?;
    let root = document.root_element();
    if root.tag_name().name() != "Response" {
        return Err(BadTwiml::Root(root.tag_name().name().to_owned()));
    }
    let first = root.children().find(roxmltree::Node::is_element).ok_or(BadTwiml::Empty)?;
    let name = first.tag_name().name();
    if matches!(name, "Reject" | "Hangup") {
        return Err(BadTwiml::TurnsAway(name.to_owned()));
    }
    let dials = root.descendants().filter(|n| matches!(n.tag_name().name(), "Dial" | "Number"));
    for text in dials.filter_map(|n| n.text()) {
        let digits: String = text.chars().filter(|c| c.is_ascii_digit() || *c == '+').collect();
        if let Ok(number) = digits.parse::<E164>()
            && is_ours(number)
        {
            return Err(BadTwiml::Loop(number));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fallback_that_works_is_told_from_one_that_does_not() {
        let ours: E164 = "+15005550100".parse().unwrap();
        let examine = |text: &str| examine(text, |n| n == ours).map_err(|e| e.to_string());
        for good in [
            "<Response><Say>We call you back.</Say><Record/></Response>",
            "<?xml version=\"1.0\"?><Response><Dial answerOnBridge=\"true\">+44 20 7946 0000</Dial></Response>",
            "<Response><Dial><Sip>sip:desk@example.com</Sip></Dial></Response>",
        ] {
            assert_eq!(examine(good), Ok(()), "{good}");
        }
        for (bad, why) in [
            ("Internal server error", "not XML"),
            ("<html><body/></html>", "root is <html>"),
            ("<Response/>", "does nothing"),
            ("<Response><Reject/></Response>", "begins with <Reject>"),
            ("<Response><Dial>+1 500 555 0100</Dial></Response>", "dials +15005550100, a number of ours"),
            ("<Response><Say/><Dial><Number>+15005550100</Number></Dial></Response>", "a number of ours"),
        ] {
            assert!(examine(bad).unwrap_err().contains(why), "{bad}");
        }
    }
}
