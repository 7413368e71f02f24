//! XML as others wrote it, as far as it does not grow without bound.
//!
//! An entity stands for a longer text. One of 30 kB that is named eight thousand times makes hundreds of megabytes of a
//! document of 64 kB, and billions of elements if it has some. The library bounds how deep entities lie within each
//! other and how many an entity may name, but not how often they are named.

use crate::model::facts::LARGEST_TWIML;

/// No more than this may come of a document's entities: what an element takes in memory is some 25 times its text.
const LARGEST_EXPANDED: usize = 16 * LARGEST_TWIML;

/// What the library lets one entity name, all that lies within it counted.
const WITHIN_ONE: usize = 255;

const DOCTYPE: &str = "<!DOCTYPE";
const ENTITY: &str = "<!ENTITY";

/// Why a text is not read.
pub(super) enum Unreadable {
    /// Its entities may make too much of it.
    Grows,
    NotXml(String),
}

pub(super) fn document(text: &str) -> Result<roxmltree::Document<'_>, Unreadable> {
    if expanded(text) > LARGEST_EXPANDED {
        return Err(Unreadable::Grows);
    }
    let options = roxmltree::ParsingOptions { allow_dtd: true, ..roxmltree::ParsingOptions::default() };
    roxmltree::Document::parse_with_options(text, options).map_err(|e| Unreadable::NotXml(e.to_string()))
}

/// How long a text is at the most once its entities are what they stand for.
fn expanded(text: &str) -> usize {
    let Some((_, rest)) = text.split_once(DOCTYPE) else { return text.len() };
    let (declared, rest) = rest.split_at(end(rest));
    if !text.contains(ENTITY) {
        return text.len();
    }
    // What else is declared, or a second beginning, may hide where the declarations end.
    let is_plain = !rest.contains(DOCTYPE) && declared.matches("<!").count() == declared.matches(ENTITY).count();
    let (named, each) = match is_plain {
        true if declared.contains('&') => (rest.matches('&').count(), declared.len() * WITHIN_ONE),
        true => (rest.matches('&').count(), declared.len()),
        false => (text.matches('&').count(), text.len() * WITHIN_ONE),
    };
    text.len().saturating_add(named.saturating_mul(each))
}

/// Where the declarations end at whose beginning `text` does.
fn end(text: &str) -> usize {
    let past = |rest: &str, from: usize, close: &str| Some(from + rest.get(from..)?.find(close)? + close.len());
    let mut at = 0;
    while let Some(next) = text[at..].find(['"', '\'', '<', ']']) {
        at += next;
        let rest = &text[at..];
        let skipped = match rest.as_bytes() {
            [b']', ..] => return at,
            [b'<', b'!', b'-', b'-', ..] => past(rest, 4, "-->"),
            [b'<', b'?', ..] => past(rest, 2, "?>"),
            [b'"', ..] => past(rest, 1, "\""),
            [b'\'', ..] => past(rest, 1, "'"),
            _ => Some(1),
        };
        let Some(skipped) = skipped else { return text.len() };
        at += skipped;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(text: &str) -> bool {
        document(text).is_ok()
    }

    #[test]
    fn entities_that_make_too_much_are_not_read() {
        let of =
            |declared: &str, named: &str| format!("<!DOCTYPE r [{declared}]><Response><Say>{named}</Say></Response>");
        let long = format!("<!ENTITY a \"{}\">", "x".repeat(30_000));
        assert!(reads(&of(&long, &"&a;".repeat(10))));
        assert!(!reads(&of(&long, &"&a;".repeat(8_000))), "240 MB");
        // Wherever the declarations seem to end before they do.
        for hidden in ["<!-- ' --><!ENTITY c \"x']y\">", "<?x ] ' ?>", "<!ENTITY d ']'>", "<!ELEMENT ' >"] {
            let nested = format!("{hidden}<!ENTITY b \"{}\">", "&a;".repeat(200));
            let small = format!("<!ENTITY a \"{}\">", "x".repeat(500));
            assert!(!reads(&of(&format!("{small}{nested}"), &"&b;".repeat(100))), "{hidden}: 10 MB");
        }
        let twice = format!("<!-- {DOCTYPE} ' -->{}", of(&format!("{long}<!-- ' -->"), &"&a;".repeat(8_000)));
        assert!(!reads(&twice));
        let attribute = format!("<!DOCTYPE r [{long}]><Response><Play loop=\"{}\"/></Response>", "&a;".repeat(8_000));
        assert!(!reads(&attribute));
        // What is usual.
        assert!(reads(&of("<!ENTITY us \"We\"><!ENTITY all \"&us; call\">", &"&all; &amp; ".repeat(40))));
        assert!(reads(&of("<!ELEMENT r ANY>", &"&amp;".repeat(10_000))));
        assert!(reads(&format!("<Response><Say>{}</Say></Response>", "&amp;".repeat(12_000))));
        assert!(!reads("<!DOCTYPE") && !reads("<!DOCTYPE r [\"") && !reads("<!DOCTYPE r [<"));
    }
}
