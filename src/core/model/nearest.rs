//! Which of the known names somebody may have meant.

/// The known name that is most like `name`, if it is like it enough to be what was meant.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let by_likeness = known.into_iter().map(|k| (strsim::damerau_levenshtein(k, name), k));
    // A short name is soon another one.
    by_likeness.filter(|(off, k)| *off <= 2.min(k.len() / 2)).min_by_key(|(off, _)| *off).map(|(_, k)| k)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_told_and_another_name_is_not() {
        let known = ["metrics", "checks", "sim", "state"];
        assert_eq!(nearest("metric", known), Some("metrics"));
        assert_eq!(nearest("cheks", known), Some("checks"));
        assert_eq!(nearest("sate", known), Some("state"));
        assert_eq!(nearest("smi", known), Some("sim"));
        assert_eq!(nearest("notices", known), None);
        assert_eq!(nearest("", known), None);
    }
}
