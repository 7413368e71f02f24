//! The page about dependencies, and what the manifest has of them.

use std::collections::BTreeSet;

const PAGE: &str = include_str!("../../src/docs/pages/dependencies.md");
const MANIFEST: &str = include_str!("../../Cargo.toml");
const CORE: &str = include_str!("../../src/core/Cargo.toml");

/// Each has a line, and no line is of one that is gone.
#[test]
fn every_direct_dependency_is_accounted_for() {
    let manifest: toml::Table = MANIFEST.parse().unwrap();
    let core: toml::Table = CORE.parse().unwrap();
    let shared = &manifest["workspace"]["dependencies"];
    let tables = [
        shared,
        &manifest["dependencies"],
        &manifest["dev-dependencies"],
        &core["dependencies"],
        &core["dev-dependencies"],
    ];
    let keys = tables.iter().flat_map(|table| table.as_table().unwrap().keys()).map(String::as_str);
    let named: BTreeSet<&str> = keys.filter(|name| *name != "ringback-core").collect();
    let of_line = |line: &'static str| line.strip_prefix("| `")?.split_once('`').map(|(name, _)| name);
    let told: Vec<&str> = PAGE.lines().filter_map(of_line).collect();
    assert_eq!(told.iter().copied().collect::<BTreeSet<_>>(), named);
    assert_eq!(told.len(), named.len(), "one is there twice");
    for line in PAGE.lines().filter(|line| of_line(line).is_some()) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 8, "{line}");
        assert!(cells.iter().all(|cell| !cell.is_empty()), "{line}");
    }
}
