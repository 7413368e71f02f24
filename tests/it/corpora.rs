//! Readers of what others wrote, by the inputs of `tests/fuzz/corpora`: as they are, and changed by chance.
//!
//! An input is kept because it once broke its reader, or because it leads far into it. The search for more of them is
//! `tests/fuzz/run`.

#[path = "../fuzz/readers.rs"]
mod readers;

use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::sample::{Index, select};

use readers::READERS;

/// Of one input, of one corpus, and of all: they are read with every change.
const LONGEST: usize = 2048;
const MOST: usize = 40;
const ALL: usize = 150 << 10;

fn corpora() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpora")
}

/// The inputs of a reader, in the order of their names.
fn corpus(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let Ok(files) = std::fs::read_dir(corpora().join(name)) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

#[test]
fn every_input_that_is_kept_is_read() {
    let (mut all, mut broken) = (0, Vec::new());
    for (name, read) in READERS {
        let inputs = corpus(name);
        assert!((1..=MOST).contains(&inputs.len()), "{name} has {} inputs", inputs.len());
        for (path, data) in inputs {
            assert!(data.len() <= LONGEST, "{} has {} bytes", path.display(), data.len());
            all += data.len();
            if catch_unwind(|| read(&data)).is_err() {
                broken.push(path.display().to_string());
            }
        }
    }
    assert_eq!(broken, Vec::<String>::new());
    assert!(all <= ALL, "{all} bytes");
    for folder in std::fs::read_dir(corpora()).unwrap() {
        let name = folder.unwrap().file_name();
        assert!(READERS.iter().any(|(reader, _)| name == *reader), "no reader is called {}", name.display());
    }
}

/// A piece of what readers look for, or of what they must survive.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let words: &[&[u8]] = &[
        b"\"",
        b"\\",
        b"{",
        b"}",
        b"[",
        b"]",
        b":",
        b",",
        b"\n",
        b"\r\n",
        b"\0",
        b"=",
        b"%",
        b"&",
        b"<",
        b">",
        b"/",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"\\u0000",
        b"\\ud800",
        b"null",
        b"-1",
        b"1e308",
        b"18446744073709551615",
        b"9999-12-31T23:59:59.999Z",
        b"-009999-01-01T00:00:00Z",
        b"+14155551212",
        b"+15005550100",
        b"(415) 555-1212",
        b"https://u:p@h.example/v?t=x",
        b"CA00000000000000000000000000001001",
        "\u{202e}\u{e9}".as_bytes(),
    ];
    prop_oneof![
        4 => select(words.to_vec()).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 1..8),
    ]
}

/// An input of this reader, with a few parts of it cut out and pieces put in.
fn changed(inputs: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let edit = (any::<Index>(), 0usize..6, piece());
    (select(inputs), prop::collection::vec(edit, 0..5)).prop_map(|(mut input, edits)| {
        for (at, cut, piece) in edits {
            let at = at.index(input.len() + 1);
            let end = (at + cut).min(input.len());
            input.splice(at..end, piece);
        }
        input
    })
}

/// A quarter of `PROPTEST_CASES` for each.
#[test]
fn inputs_that_are_changed_by_chance_are_read() {
    for (name, read) in READERS {
        let inputs: Vec<Vec<u8>> = corpus(name).into_iter().map(|(_, data)| data).collect();
        let config = ProptestConfig::default();
        let config = ProptestConfig { cases: config.cases.div_ceil(4), failure_persistence: None, ..config };
        let tried = proptest::test_runner::TestRunner::new(config).run(&changed(inputs), |input| {
            read(&input);
            Ok(())
        });
        assert!(tried.is_ok(), "{name}: {}", tried.unwrap_err());
    }
}
