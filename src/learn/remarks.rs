//! What is to be said of rows: the first of each kind one by one, then how many more there are.

use std::fmt::Write as _;

/// How many rows of a kind are told one by one.
const TOLD: usize = 10;

/// Remarks on one file's rows.
#[derive(Clone, Debug, Default)]
pub struct Remarks {
    kinds: Vec<RemarkKind>,
}

#[derive(Clone, Debug)]
struct RemarkKind {
    kind: &'static str,
    /// With their lines.
    told: Vec<(usize, String)>,
    more: u64,
    last: usize,
}

impl Remarks {
    /// Of the row in this line; `value` is what of it may be shown.
    pub fn add(&mut self, line: usize, kind: &'static str, value: impl FnOnce() -> String) {
        let at = self.kinds.iter().position(|k| k.kind == kind).unwrap_or_else(|| {
            self.kinds.push(RemarkKind { kind, told: Vec::new(), more: 0, last: line });
            self.kinds.len() - 1
        });
        let of = &mut self.kinds[at];
        of.last = line;
        if of.told.len() < TOLD {
            of.told.push((line, value()));
        } else {
            of.more += 1;
        }
    }

    pub fn count(&self) -> u64 {
        self.kinds.iter().map(|k| k.told.len() as u64 + k.more).sum()
    }

    /// A line for each that is told, beginning with the file's name and the line.
    pub fn lines(&self, file: &str) -> Vec<String> {
        let mut lines = Vec::new();
        for of in &self.kinds {
            for (line, value) in &of.told {
                let mut text = format!("{file}:{line}: ");
                if !value.is_empty() {
                    let _ = write!(text, "{value}: ");
                }
                text.push_str(of.kind);
                lines.push(text);
            }
            if of.more > 0 {
                lines.push(format!("{file}: {} more like that, up to line {}: {}", of.more, of.last, of.kind));
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_ten_of_a_kind_are_told() {
        let mut remarks = Remarks::default();
        (2..20).for_each(|line| remarks.add(line, "no time", || format!("{line:?}")));
        remarks.add(30, "no number", String::new);
        let lines = remarks.lines("calls.csv");
        assert_eq!((remarks.count(), lines.len()), (19, 12));
        assert_eq!(lines[0], "calls.csv:2: 2: no time");
        assert_eq!(lines[10], "calls.csv: 8 more like that, up to line 19: no time");
        assert_eq!(lines[11], "calls.csv:30: no number");
    }
}
