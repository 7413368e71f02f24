//! Whom a document dials: for the question whether that country may be called.

use std::collections::BTreeSet;

use crate::model::dialled::{CallingCodes, identity};
use crate::model::id::E164;

/// The telephone numbers that a document dials, each once. A SIP address is none, and what is no XML dials nobody.
pub fn numbers(document: &[u8], codes: &CallingCodes) -> BTreeSet<E164> {
    let text = String::from_utf8_lossy(document);
    let options = roxmltree::ParsingOptions { allow_dtd: true, ..roxmltree::ParsingOptions::default() };
    let Ok(document) = roxmltree::Document::parse_with_options(text.trim_start(), options) else {
        return BTreeSet::new();
    };
    let dials = document.descendants().filter(|n| n.has_tag_name("Dial"));
    let dialled = dials.flat_map(|dial| {
        let numbers = dial.children().filter(|n| n.has_tag_name("Number")).filter_map(|n| n.text());
        dial.children().filter(roxmltree::Node::is_text).filter_map(|n| n.text()).chain(numbers).collect::<Vec<_>>()
    });
    dialled.filter_map(|text| identity(text, codes)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dial_names_its_number_in_either_form() {
        let mut codes = CallingCodes::default();
        codes.add("+15005550100".parse().unwrap());
        let read = |text: &str| {
            let document = format!("<Response>{text}</Response>");
            numbers(document.as_bytes(), &codes).into_iter().map(|n| n.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(read("<Dial>+44 20 7946 0999</Dial>"), ["+442079460999"]);
        assert_eq!(read("<Say>Hi</Say><Dial><Number>(415) 555-1212</Number></Dial>"), ["+14155551212"]);
        assert_eq!(read("<Dial><Sip>sip:desk@example.com</Sip></Dial>"), [""; 0]);
        assert_eq!(numbers(b"+442079460999", &codes).len(), 0);
    }
}
