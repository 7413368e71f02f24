//! Random histories of one [`Control`] in a small world, and the laws.
//!
//! The world has a few numbers in two groups, each with one field a channel; a control task that drives the
//! control as `agent::control` does; and an executor that works on each order in a task of its own, one
//! step at a time. Between any two steps anything may happen: operators' commands, other writers, drift looks,
//! test calls that end late, commits that fail or take time, numbers that leave, restarts.
//!
//! | file | is |
//! |---|---|
//! | `world` | what there is, and the control task's part |
//! | `history` | what can happen |
//! | `executor` | the orders' tasks |
//! | `watch` | test calls, drift looks, restarts |
//! | `laws` | what is true at all times |
//! | `entries` | without chance: what an entry or a caller changes, and what the guards see |
//!
//! `PROPTEST_CASES` says how many histories are played; a failing one is minimised and printed.

mod entries;
mod executor;
mod history;
mod laws;
mod watch;
mod world;

use proptest::prelude::*;

use history::{Step, steps};
use world::{Setup, World};

/// Half of `PROPTEST_CASES`: there are two kinds of histories, which are played side by side.
fn half() -> ProptestConfig {
    let all = ProptestConfig::default();
    ProptestConfig { cases: all.cases.div_ceil(2), failure_persistence: None, ..all }
}

fn play(setup: &Setup, steps: &[Step]) {
    let mut world = World::new(setup);
    for step in steps {
        world.play(step);
    }
    world.settle();
}

proptest! {
    #![proptest_config(half())]

    #[test]
    fn the_laws_hold_with_one_group(setup in world::one_group(), steps in steps(40)) {
        play(&setup, &steps);
    }

    #[test]
    fn the_laws_hold_with_two_groups_and_channels(setup in world::two_groups(), steps in steps(60)) {
        play(&setup, &steps);
    }
}
