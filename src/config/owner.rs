//! `group.handler.owner`, `owner_urls` and `owner_sids`: who is to set another handler after the port, and how theirs
//! is told.

use super::section::{Located, Section};
use super::webhook::webhook_problem;
use crate::core::model::foreign::Line;
use crate::core::model::handler::Owner;
use crate::core::model::value::FieldValue;

/// What theirs begin with: a trunk, a TwiML application, a Messaging Service.
const KINDS: [&str; 3] = ["TK", "AP", "MG"];

/// Reads them; the name needs one of the others. `fallback`: where the group's rollbacks lead, which is nobody's own
/// handler.
pub fn read(s: &mut Section<'_>, fallback: &[Option<String>; 2]) -> Option<Owner> {
    let (name, urls) = (s.text("owner"), s.list::<String>("owner_urls"));
    for url in urls.iter().flatten() {
        if let Some(problem) = webhook_problem(&url.value) {
            s.faults().at(url.span.clone(), format!("{}: {problem}", s.key("owner_urls")));
        }
    }
    let is_named = urls.is_some();
    let urls = urls.unwrap_or_default();
    let sids = sids(s);
    let is_named = is_named || !sids.is_empty();
    match name {
        Some(name) if !urls.is_empty() || !sids.is_empty() => {
            let span = urls.first().map_or(name.span, |url| url.span.clone());
            let urls: Vec<FieldValue> = urls.into_iter().map(|url| url.value.into()).collect();
            let owner = Owner { name: Line::new(&name.value), urls, sids };
            if fallback.iter().flatten().any(|url| owner.has(url)) {
                let key = s.key("owner_urls");
                s.faults()
                    .at(span, format!("{key}: the group's fallback begins so too: name what only theirs begin with"));
            }
            Some(owner)
        }
        Some(name) => {
            let example = "owner_urls = [\"https://calls.example.net/\"]";
            let problem = format!(
                "{} without {}: name what their URLs begin with: {example}; or their trunks and applications: {}",
                s.key("owner"),
                s.key("owner_urls"),
                s.key("owner_sids")
            );
            s.faults().at(name.span, problem);
            None
        }
        None if is_named => {
            s.require("owner", "name the application whose URLs these are");
            None
        }
        None => None,
    }
}

/// SIDs as Twilio writes them.
fn sids(s: &mut Section<'_>) -> Vec<String> {
    let written: Vec<Located<String>> = s.list("owner_sids").unwrap_or_default();
    let is_sid = |text: &str| {
        let rest = KINDS.iter().find_map(|kind| text.strip_prefix(kind));
        rest.is_some_and(|rest| rest.len() == 32 && rest.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
    };
    for sid in written.iter().filter(|sid| !is_sid(&sid.value)) {
        let key = s.key("owner_sids");
        let problem =
            format!("{key}: TK, AP or MG and 32 hexadecimal digits: a trunk, a TwiML application or a service");
        s.faults().at(sid.span.clone(), problem);
    }
    written.into_iter().map(|sid| sid.value).filter(|text| is_sid(text)).collect()
}
