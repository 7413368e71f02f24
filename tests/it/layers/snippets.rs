//! The reader, held against small crates: it must not be got round by the way in which a thing is named.

use std::collections::BTreeSet;

use super::reader::Sources;

/// What `a/child.rs` uses, by the path under which it is defined; in tests only, marked by `test`.
fn used_by(child: &str) -> BTreeSet<String> {
    let texts = [
        ("lib.rs", "pub mod a; pub mod b; pub mod core;"),
        ("core.rs", "pub struct Nail;"),
        ("a/mod.rs", "pub mod child; use crate::b::Board; pub use crate::b::inner::Handle; pub struct Own;"),
        ("a/child.rs", child),
        ("b/mod.rs", "pub mod inner; pub use inner::deep::*; pub struct Board; pub fn saw() {} made!(Glue);"),
        ("b/inner.rs", "pub mod deep; pub struct Handle; pub enum Kind { A, B }"),
        ("b/inner/deep.rs", "pub struct Deep; pub const SIZE: usize = 1;"),
    ];
    let sources = Sources::read(&texts.iter().map(|(n, t)| ((*n).to_owned(), (*t).to_owned())).collect(), "ours");
    let child = sources.files.iter().position(|f| f.name == "a/child.rs").unwrap();
    let of_child = sources.mentions.iter().filter(|m| m.file == child && m.of != Some(child));
    of_child
        .filter(|m| m.of.is_some() || m.path.starts_with("std") || m.path.starts_with("tokio"))
        .map(|m| format!("{}{}", if m.is_test { "test " } else { "" }, m.path))
        .collect()
}

#[track_caller]
fn uses(child: &str, expected: &[&str]) {
    assert_eq!(used_by(child), expected.iter().map(|e| (*e).to_owned()).collect(), "{child}");
}

#[test]
fn every_shape_of_a_use_tree_counts() {
    uses("use crate::b::Board;", &["b::Board"]);
    uses(
        "use crate::{b::{self, inner::{Handle as H, deep}}, core};",
        &["b", "b::inner::Handle", "b::inner::deep", "core"],
    );
    uses("use super::super::b::saw;", &["b::saw"]);
    uses("use super::Own;", &["a::Own"]);
    uses("use std::{fs, io::{self, Read as _}};", &["std::fs", "std::io", "std::io::Read"]);
    uses("use ::tokio::sync as waiting;", &["tokio::sync"]);
    uses("fn f() { use crate::b; if true { use crate::core::Nail; } }", &["b", "core::Nail"]);
    uses("fn f<'a>() -> impl Sized + use<'a> { let b = 1; b }", &[]);
}

#[test]
fn a_reexport_leads_to_the_definition() {
    // Made public by the parent, imported by it for itself, or through a glob.
    uses("use super::Handle;", &["b::inner::Handle"]);
    uses("use super::Board;", &["b::Board"]);
    uses("use super::*; fn f(_: Board) {}", &["a", "b::Board"]);
    uses("use crate::b::Deep;", &["b::inner::deep::Deep"]);
    uses("use crate::b::*; const N: usize = SIZE;", &["b", "b::inner::deep::SIZE"]);
}

#[test]
fn paths_count_without_an_import() {
    uses("fn f() { crate::b::saw() }", &["b::saw"]);
    uses("fn f() { super::super::b::saw() }", &["b::saw"]);
    uses("use crate::b; fn f() { b::saw(); b::inner::Kind::A; }", &["b", "b::saw", "b::inner::Kind"]);
    uses("use crate::b as c; fn f() { c::inner::deep::Deep; }", &["b", "b::inner::deep::Deep"]);
    uses("use std as s; fn f() { s::fs::read(\"x\"); }", &["std", "std::fs::read"]);
    uses(
        "fn f(x: <crate::core::Nail as T>::U) -> Vec<super::Own> { ::std::env::args() }",
        &["core::Nail", "a::Own", "std::env::args"],
    );
    // What a macro of the other file makes has that file all the same.
    uses("use crate::b::Glue;", &["b::Glue"]);
}

#[test]
fn paths_count_in_macros_and_attributes() {
    uses(
        "fn f() { println!(\"{}\", crate::b::saw()); assert!(matches!(x, super::Own { .. })); }",
        &["b::saw", "a::Own"],
    );
    uses("macro_rules! m { () => { $crate::b::saw() } }", &["b::saw"]);
    uses("#[serde(with = \"crate::b::inner\")] struct S;", &["b::inner"]);
    uses(
        "/// Of crate::b::saw.\npub(in crate::a) struct S; pub(super) fn f() { for i in 0..crate::b::SIZE {} }",
        &["b::inner::deep::SIZE"],
    );
}

#[test]
fn tests_are_told_apart() {
    uses("#[cfg(test)] mod tests { use super::super::super::b::Board; use super::*; }", &["test b::Board"]);
    uses("#[cfg(test)] use crate::b; #[test] fn f() { crate::core::Nail; }", &["test b", "test core::Nail"]);
    uses("impl X { #[cfg(test)] fn f() { crate::b::saw() } fn g() { super::Own } }", &["test b::saw", "a::Own"]);
    uses("#[cfg(not(test))] use crate::b;", &["b"]);
}
