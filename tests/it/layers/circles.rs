//! Circles in a graph of files.

use std::collections::BTreeSet;

/// The circles that no common parent explains, each with all its files.
///
/// A parent and its children may use each other, so of files that all reach each other the one within
/// whose module all the others are is left out, and the rest must have no circle of their own.
pub fn circles(modules: &[Vec<String>], edges: impl Iterator<Item = (usize, usize)>) -> Vec<BTreeSet<usize>> {
    let edges: BTreeSet<(usize, usize)> = edges.filter(|(a, b)| a != b).collect();
    let mut found = Vec::new();
    let mut open = vec![(0..modules.len()).collect::<BTreeSet<usize>>()];
    while let Some(files) = open.pop() {
        for circle in components(&files, &edges) {
            let is_above = |parent: usize, other: usize| modules[other].starts_with(&modules[parent]);
            match circle.iter().find(|p| circle.iter().all(|other| is_above(**p, *other))) {
                Some(parent) => open.push(circle.iter().copied().filter(|f| f != parent).collect()),
                None => found.push(circle),
            }
        }
    }
    found
}

/// Sets of more than one of `files` that all reach each other.
fn components(files: &BTreeSet<usize>, edges: &BTreeSet<(usize, usize)>) -> Vec<BTreeSet<usize>> {
    let back: BTreeSet<(usize, usize)> = edges.iter().map(|(a, b)| (*b, *a)).collect();
    let reach = |from: usize, edges: &BTreeSet<(usize, usize)>| {
        let mut seen = BTreeSet::from([from]);
        let mut open = vec![from];
        while let Some(at) = open.pop() {
            for (_, next) in edges.range((at, 0)..(at + 1, 0)) {
                if files.contains(next) && seen.insert(*next) {
                    open.push(*next);
                }
            }
        }
        seen
    };
    let mut left = files.clone();
    let mut found = Vec::new();
    while let Some(first) = left.first().copied() {
        let both: BTreeSet<usize> = reach(first, edges).intersection(&reach(first, &back)).copied().collect();
        left.retain(|f| !both.contains(f));
        if both.len() > 1 {
            found.push(both);
        }
    }
    found
}

#[test]
fn a_parent_and_its_children_are_one_room_and_others_are_not() {
    let modules: Vec<Vec<String>> =
        ["a", "a::x", "a::y", "b", "a::x::z"].map(|path| path.split("::").map(str::to_owned).collect()).to_vec();
    let circles = |edges: &[(usize, usize)]| circles(&modules, edges.iter().copied());
    // Parent and child; and by way of the parent, siblings that do not use each other back.
    assert_eq!(circles(&[(0, 1), (1, 0), (4, 0), (1, 4), (4, 1)]), []);
    assert_eq!(circles(&[(1, 0), (0, 2), (2, 1)]), []);
    // Siblings.
    assert_eq!(circles(&[(1, 2), (2, 1), (0, 1), (1, 0)]), [BTreeSet::from([1, 2])]);
    // Out by the child and back by the parent, and the other way round.
    assert_eq!(circles(&[(0, 1), (1, 3), (3, 0)]), [BTreeSet::from([0, 1, 3])]);
    assert_eq!(circles(&[(1, 0), (0, 3), (3, 1)]), [BTreeSet::from([0, 1, 3])]);
}
