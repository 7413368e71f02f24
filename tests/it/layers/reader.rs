//! Reads the crate's imports and paths as the compiler does, and says which file uses which.
//!
//! Every `use` tree counts (groups, `self`, aliases, globs, those within a function), and every path in
//! code, macros and attributes. A path is resolved from the module that it stands in, through imports and
//! `pub use` to the file that defines the item. What it cannot see: methods found by type alone, and text that
//! `include!` brings, which is refused.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::ToTokens as _;
use syn::{Attribute, ImplItem, Item, UseTree, Visibility};

/// One mention of something: in which file, of what, and whether only tests have it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mention {
    pub file: usize,
    /// The file that defines it, where it is one of ours.
    pub of: Option<usize>,
    /// As defined: `core::model::id::E164`, or `tokio::sync::mpsc` where it is somebody else's.
    pub path: String,
    pub is_test: bool,
}

#[derive(Debug)]
pub struct SourceFile {
    /// Below `src`.
    pub name: String,
    /// Its module, `["core", "model", "id"]`.
    pub module: Vec<String>,
    pub is_test: bool,
    /// Keywords, names, methods (`.delete`) and macros (`println!`) that occur.
    pub words: BTreeSet<String>,
    /// Types and traits that others than itself may name, but for those of tests.
    pub types: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct Scope {
    path: Vec<String>,
    file: usize,
    parent: Option<usize>,
    children: BTreeMap<String, usize>,
    items: BTreeSet<String>,
    imports: Vec<(String, Vec<String>)>,
    globs: Vec<Vec<String>>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    scope: usize,
    path: Vec<String>,
    is_test: bool,
    is_import: bool,
}

#[derive(Debug, Default)]
pub struct Sources {
    pub files: Vec<SourceFile>,
    pub mentions: BTreeSet<Mention>,
    library: String,
    scopes: Vec<Scope>,
}

enum Definition {
    Ours { file: usize, path: Vec<String> },
    Theirs(Vec<String>),
}

impl Sources {
    /// Reads a crate from its files' names below `src` and their texts. A crate root other than `lib.rs`
    /// knows the library as `library`.
    pub fn read(texts: &BTreeMap<String, String>, library: &str) -> Sources {
        let mut sources = Sources { library: library.to_owned(), ..Sources::default() };
        let mut seen = BTreeSet::new();
        for root in ["lib.rs", "main.rs"] {
            if texts.contains_key(root) {
                sources.file(texts, root, Vec::new(), None, false, &mut seen);
            }
        }
        let read: BTreeSet<&String> = sources.files.iter().map(|f| &f.name).collect();
        let unread: Vec<&String> = texts.keys().filter(|name| !read.contains(name)).collect();
        assert!(unread.is_empty(), "no module has these files: {unread:?}");
        for one in seen {
            let file = sources.scopes[one.scope].file;
            for definition in sources.resolve(one.scope, &one.path, one.is_import, &mut Vec::new()) {
                let (of, path) = match definition {
                    Definition::Ours { file, path } => (Some(file), path),
                    Definition::Theirs(path) => (None, path),
                };
                let is_test = one.is_test || sources.files[file].is_test;
                sources.mentions.insert(Mention { file, of, path: path.join("::"), is_test });
            }
        }
        sources
    }

    fn file(
        &mut self,
        texts: &BTreeMap<String, String>,
        name: &str,
        module: Vec<String>,
        parent: Option<usize>,
        is_test: bool,
        seen: &mut BTreeSet<Seen>,
    ) -> usize {
        let file = self.files.len();
        let parsed = syn::parse_file(&texts[name]).unwrap_or_else(|e| panic!("{name}: {e}"));
        let (words, types) = (BTreeSet::new(), BTreeSet::new());
        self.files.push(SourceFile { name: name.to_owned(), module: module.clone(), is_test, words, types });
        let scope = self.scopes.len();
        self.scopes.push(Scope { path: module, file, parent, ..Scope::default() });
        self.items(texts, scope, &parsed.items, is_test, seen);
        scope
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "syn's enums may grow; what is not named here has no parts")]
    fn items(
        &mut self,
        texts: &BTreeMap<String, String>,
        scope: usize,
        items: &[Item],
        is_test: bool,
        seen: &mut BTreeSet<Seen>,
    ) {
        for item in items {
            let mut reading = Reading { sources: self, scope, seen, is_test: is_test || is_of_tests(attributes(item)) };
            match item {
                Item::Mod(inner) => {
                    let is_test = reading.is_test;
                    assert!(!inner.attrs.iter().any(|a| a.path().is_ident("path")), "#[path] is not followed");
                    let (name, file) = (inner.ident.to_string(), self.scopes[scope].file);
                    let mut path = self.scopes[scope].path.clone();
                    path.push(name.clone());
                    let child = match &inner.content {
                        Some((_, items)) => {
                            let child = self.scopes.len();
                            self.scopes.push(Scope { path, file, parent: Some(scope), ..Scope::default() });
                            self.items(texts, child, items, is_test, seen);
                            child
                        }
                        None => {
                            let base = path.join("/");
                            let names = [format!("{base}.rs"), format!("{base}/mod.rs")];
                            let name = names.iter().find(|n| texts.contains_key(*n)).expect("a module has its file");
                            self.file(texts, name, path, Some(scope), is_test, seen)
                        }
                    };
                    self.scopes[scope].children.insert(name, child);
                }
                Item::Use(import) => match part(&import.tree, &reading.sources.library) {
                    Some(name) => {
                        let is_test = reading.is_test;
                        let root = format!("{name}/lib.rs");
                        let child = self.file(texts, &root, vec![name.clone()], None, is_test, seen);
                        self.scopes[scope].children.insert(name, child);
                    }
                    None => reading.import(&import.tree, import.leading_colon.is_some()),
                },
                Item::Impl(block) => {
                    let mut head = block.clone();
                    head.items.clear();
                    reading.tokens(head.to_token_stream(), false);
                    for one in &block.items {
                        let attrs: &[Attribute] = match one {
                            ImplItem::Fn(f) => &f.attrs,
                            ImplItem::Const(c) => &c.attrs,
                            _ => &[],
                        };
                        let is_test = reading.is_test;
                        reading.is_test |= is_of_tests(attrs);
                        reading.tokens(one.to_token_stream(), false);
                        reading.is_test = is_test;
                    }
                }
                other => {
                    if let (false, Some(name)) = (reading.is_test, public_type(other)) {
                        let file = reading.sources.scopes[scope].file;
                        reading.sources.files[file].types.insert(name);
                    }
                    if let Some(name) = name(other) {
                        reading.sources.scopes[scope].items.insert(name);
                    }
                    reading.tokens(other.to_token_stream(), false);
                }
            }
        }
    }

    /// Where the things are defined that `path` may mean in `scope`.
    fn resolve(
        &self,
        scope: usize,
        path: &[String],
        is_import: bool,
        trail: &mut Vec<(usize, String)>,
    ) -> Vec<Definition> {
        let first = path[0].as_str();
        let root = |of: usize| {
            let mut of = of;
            while let Some(parent) = self.scopes[of].parent {
                of = parent;
            }
            of
        };
        let anchored = match first {
            "crate" => Some((root(scope), 1)),
            "self" => Some((scope, 1)),
            "super" => {
                let (mut at, mut i) = (scope, 0);
                while path.get(i).is_some_and(|s| s == "super") {
                    at = self.scopes[at].parent.expect("super has a parent");
                    i += 1;
                }
                Some((at, i))
            }
            // The other crate root's name for the library, which is read first.
            name if name == self.library && root(scope) != 0 => Some((0, 1)),
            _ => None,
        };
        if let Some((at, i)) = anchored {
            return self.walk(at, &path[i..], true, trail);
        }
        let mut found = self.walk(scope, path, false, trail);
        if path.len() == 1 && !is_import {
            // A module's name by itself is a variable's.
            found
                .retain(|d| !matches!(d, Definition::Ours { path, .. } if self.scopes.iter().any(|s| s.path == *path)));
        }
        // A single name that nobody here defines is local, or the prelude's.
        if found.is_empty() && (is_import || path.len() > 1) {
            return vec![Definition::Theirs(path.to_vec())];
        }
        found
    }

    fn walk(&self, scope: usize, rest: &[String], must_be: bool, trail: &mut Vec<(usize, String)>) -> Vec<Definition> {
        let at = &self.scopes[scope];
        let ours = |names: &[String]| Definition::Ours { file: at.file, path: [&at.path, names].concat() };
        let Some(name) = rest.first() else {
            return vec![ours(&[])];
        };
        let mut found = Vec::new();
        if let Some(child) = at.children.get(name) {
            found.extend(self.walk(*child, &rest[1..], true, trail));
        }
        if at.items.contains(name) {
            found.push(ours(&rest[..1]));
        }
        let step = (scope, name.clone());
        if found.is_empty() && !trail.contains(&step) {
            trail.push(step);
            for (_, target) in at.imports.iter().filter(|(n, _)| n == name) {
                let path = [target, &rest[1..]].concat();
                found.extend(self.resolve(scope, &path, true, trail));
            }
            if found.is_empty() {
                for glob in &at.globs {
                    for module in self.modules(scope, glob, trail) {
                        found.extend(self.walk(module, rest, false, trail));
                    }
                }
            }
            trail.pop();
        }
        if found.is_empty() && must_be {
            // An item that a macro makes.
            found.push(ours(&rest[..1]));
        }
        found
    }

    /// The modules of ours that a glob's path may mean.
    fn modules(&self, scope: usize, path: &[String], trail: &mut Vec<(usize, String)>) -> Vec<usize> {
        self.resolve(scope, path, true, trail)
            .into_iter()
            .filter_map(|definition| match definition {
                Definition::Ours { path, .. } => self.scopes.iter().position(|s| s.path == path),
                Definition::Theirs(_) => None,
            })
            .collect()
    }
}

struct Reading<'a> {
    sources: &'a mut Sources,
    scope: usize,
    seen: &'a mut BTreeSet<Seen>,
    is_test: bool,
}

impl Reading<'_> {
    fn see(&mut self, path: Vec<String>, is_import: bool) {
        self.seen.insert(Seen { scope: self.scope, path, is_test: self.is_test, is_import });
    }

    fn word(&mut self, word: String) {
        let file = self.sources.scopes[self.scope].file;
        self.sources.files[file].words.insert(word);
    }

    fn import(&mut self, tree: &UseTree, is_theirs: bool) {
        let mut leaves = Vec::new();
        flatten(tree, &mut Vec::new(), &mut leaves);
        for (mut path, alias) in leaves {
            path.iter().for_each(|name| self.word(name.clone()));
            // `self` of a group is the group's own module.
            if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
                path.pop();
            }
            let scope = &mut self.sources.scopes[self.scope];
            match alias {
                Some(alias) if !is_theirs => scope.imports.push((alias, path.clone())),
                None if !is_theirs => scope.globs.push(path.clone()),
                Some(_) | None => {}
            }
            self.see(path, true);
        }
    }

    fn tokens(&mut self, tokens: TokenStream, is_attribute: bool) {
        let trees: Vec<TokenTree> = tokens.into_iter().collect();
        let is = |i: usize, c: char| matches!(trees.get(i), Some(TokenTree::Punct(p)) if p.as_char() == c);
        let mut i = 0;
        while i < trees.len() {
            match &trees[i] {
                // `pub(super)` uses nothing.
                TokenTree::Group(_) if matches!(i.checked_sub(1).map(|i| &trees[i]), Some(TokenTree::Ident(p)) if p == "pub") =>
                    {}
                TokenTree::Group(group) => {
                    let after_hash = i > 0 && (is(i - 1, '#') || i > 1 && is(i - 2, '#') && is(i - 1, '!'));
                    let is_attribute = is_attribute || after_hash && group.delimiter() == Delimiter::Bracket;
                    self.tokens(group.stream(), is_attribute);
                }
                TokenTree::Literal(literal) => {
                    self.word(literal.to_string());
                    // `#[serde(with = "crate::x")]`; documentation has spaces.
                    if let (true, Ok(text)) = (is_attribute, syn::parse_str::<syn::LitStr>(&literal.to_string()))
                        && let Ok(path) = syn::parse_str::<syn::Path>(&text.value())
                    {
                        self.see(path.segments.iter().map(|s| s.ident.to_string()).collect(), false);
                    }
                }
                TokenTree::Punct(_) => {}
                TokenTree::Ident(ident) if ident == "use" && !is(i + 1, '<') => {
                    let end = (i..trees.len()).find(|e| is(*e, ';')).unwrap_or(trees.len() - 1);
                    let import: TokenStream = trees[i..=end].iter().cloned().collect();
                    if let Ok(import) = syn::parse2::<syn::ItemUse>(import) {
                        self.import(&import.tree, import.leading_colon.is_some());
                        i = end;
                    }
                }
                TokenTree::Ident(ident) => {
                    let is_method = i > 0 && is(i - 1, '.') && !(i > 1 && is(i - 2, '.'));
                    let is_lifetime = i > 0 && is(i - 1, '\'');
                    if is_method {
                        self.word(format!(".{ident}"));
                    } else if !is_lifetime {
                        let mut path = vec![ident.to_string()];
                        while is(i + 1, ':')
                            && is(i + 2, ':')
                            && let Some(TokenTree::Ident(next)) = trees.get(i + 3)
                        {
                            path.push(next.to_string());
                            i += 3;
                        }
                        path.iter().for_each(|name| self.word(name.clone()));
                        if is(i + 1, '!') && !is(i + 2, '=') {
                            assert_ne!(path[path.len() - 1], "include", "what is included is not read");
                            self.word(format!("{}!", path[path.len() - 1]));
                        }
                        if !matches!(
                            path[..].iter().map(String::as_str).collect::<Vec<_>>()[..],
                            ["self" | "super" | "crate"]
                        ) {
                            self.see(path, false);
                        }
                    }
                }
            }
            i += 1;
        }
    }
}

/// `use library_part as part`: another package, whose sources are in a folder of that name. Its own root is its
/// `crate`.
fn part(tree: &UseTree, library: &str) -> Option<String> {
    let UseTree::Rename(name) = tree else { return None };
    (name.ident == format!("{library}_{}", name.rename)).then(|| name.rename.to_string())
}

/// Each leaf's path, and the name under which it is known here; a glob has none.
fn flatten(tree: &UseTree, before: &mut Vec<String>, out: &mut Vec<(Vec<String>, Option<String>)>) {
    let with = |before: &[String], name: &syn::Ident| [before, &[name.to_string()]].concat();
    match tree {
        UseTree::Path(path) => {
            before.push(path.ident.to_string());
            flatten(&path.tree, before, out);
            before.pop();
        }
        UseTree::Name(name) if name.ident == "self" => {
            out.push((with(before, &name.ident), before.last().cloned()));
        }
        UseTree::Name(name) => out.push((with(before, &name.ident), Some(name.ident.to_string()))),
        UseTree::Rename(name) => out.push((with(before, &name.ident), Some(name.rename.to_string()))),
        UseTree::Glob(_) => out.push((before.clone(), None)),
        UseTree::Group(group) => group.items.iter().for_each(|tree| flatten(tree, before, out)),
    }
}

/// `#[test]`, `#[cfg(test)]` or `#[cfg(all(test, …))]`.
fn is_of_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|a| {
        let text: String = a.meta.to_token_stream().to_string().split_whitespace().collect();
        text == "test" || text == "cfg(test)" || text.starts_with("cfg(all(test,")
    })
}

#[expect(clippy::wildcard_enum_match_arm, reason = "syn's enums may grow; other items have neither")]
fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(i) => &i.attrs,
        Item::Enum(i) => &i.attrs,
        Item::Fn(i) => &i.attrs,
        Item::Impl(i) => &i.attrs,
        Item::Macro(i) => &i.attrs,
        Item::Mod(i) => &i.attrs,
        Item::Static(i) => &i.attrs,
        Item::Struct(i) => &i.attrs,
        Item::Trait(i) => &i.attrs,
        Item::Type(i) => &i.attrs,
        Item::Use(i) => &i.attrs,
        _ => &[],
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "syn's enums may grow; other items have no name of their own")]
fn name(item: &Item) -> Option<String> {
    match item {
        Item::Const(i) => Some(i.ident.to_string()),
        Item::Enum(i) => Some(i.ident.to_string()),
        Item::Fn(i) => Some(i.sig.ident.to_string()),
        Item::Macro(i) => i.ident.as_ref().map(ToString::to_string),
        Item::Static(i) => Some(i.ident.to_string()),
        Item::Struct(i) => Some(i.ident.to_string()),
        Item::Trait(i) => Some(i.ident.to_string()),
        Item::Type(i) => Some(i.ident.to_string()),
        Item::Union(i) => Some(i.ident.to_string()),
        _ => None,
    }
}

/// The name of a type or trait that is public, to whomever.
#[expect(clippy::wildcard_enum_match_arm, reason = "syn's enums may grow; other items are no types")]
fn public_type(item: &Item) -> Option<String> {
    let visibility = match item {
        Item::Enum(i) => &i.vis,
        Item::Struct(i) => &i.vis,
        Item::Trait(i) => &i.vis,
        Item::Type(i) => &i.vis,
        Item::Union(i) => &i.vis,
        _ => return None,
    };
    let is_public = matches!(visibility, Visibility::Public(_) | Visibility::Restricted(_));
    name(item).filter(|_| is_public)
}
