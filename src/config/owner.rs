//! `group.handler.owner` and `owner_urls`: who is to set another handler after the port, and how theirs is told.

use super::section::Section;
use super::webhook::webhook_problem;
use crate::core::model::foreign::Line;
use crate::core::model::handler::Owner;
use crate::core::model::value::FieldValue;

/// Reads both, which need each other. `fallback`: where the group's rollbacks lead, which is nobody's own handler.
pub fn read(s: &mut Section<'_>, fallback: &[Option<String>; 2]) -> Option<Owner> {
    let (name, urls) = (s.text("owner"), s.list::<String>("owner_urls"));
    for url in urls.iter().flatten() {
        if let Some(problem) = webhook_problem(&url.value) {
            s.faults().at(url.span.clone(), format!("{}: {problem}", s.key("owner_urls")));
        }
    }
    match (name, urls) {
        (Some(name), Some(urls)) if !urls.is_empty() => {
            let span = urls[0].span.clone();
            let urls: Vec<FieldValue> = urls.into_iter().map(|url| url.value.into()).collect();
            let owner = Owner { name: Line::new(&name.value), urls };
            if fallback.iter().flatten().any(|url| owner.has(url)) {
                let key = s.key("owner_urls");
                s.faults()
                    .at(span, format!("{key}: the group's fallback begins so too: name what only theirs begin with"));
            }
            Some(owner)
        }
        (Some(name), _) => {
            let example = "owner_urls = [\"https://calls.example.net/\"]";
            let problem = format!(
                "{} without {}: name what their URLs begin with: {example}",
                s.key("owner"),
                s.key("owner_urls")
            );
            s.faults().at(name.span, problem);
            None
        }
        (None, Some(_)) => {
            s.require("owner", "name the application whose URLs these are");
            None
        }
        (None, None) => None,
    }
}
