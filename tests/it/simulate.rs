//! What `ringback simulate` says of the rules that we ship: ceilings for false rollbacks and for how
//! long faults go unseen, on days that a seed fixes.

use std::process::{Command, Output};

use serde_json::Value;

use crate::world::{BIN, Folder};

/// Runs it for one group of so many numbers; `rest` is added to the group.
fn simulate(numbers: usize, rest: &str, arguments: &[&str]) -> Output {
    let folder = Folder::new();
    let config = folder.path().join("ringback.toml");
    let listed: Vec<String> = (0..numbers).map(|i| format!("\"+1500555{i:04}\"")).collect();
    let group = format!(
        "[[group]]\nname = \"support\"\nnumbers = [{}]\n[group.fallback]\nvoice_url = \"{BIN}\"\n{rest}",
        listed.join(", ")
    );
    std::fs::write(&config, group).unwrap();
    Command::new(env!("CARGO_BIN_EXE_ringback"))
        .args(["simulate", "--config"])
        .arg(&config)
        .args(arguments)
        .output()
        .unwrap()
}

/// Theory allows no rule to see a total failure in fewer than three to five callers, and half a failure
/// in fewer than five to eight (Page's CUSUM at one false alarm in 10,000 number-days). Callers that
/// have called but are not in the log yet come on top, at many calls a minute.
#[test]
fn the_default_rules_are_quiet_and_quick() {
    let output = simulate(200, "", &["--days", "3000", "--seed", "3", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let group = &report["groups"][0];
    assert_eq!(group["quiet"]["number_days"], 3000);
    assert!(group["quiet"]["rolled_back"].as_u64().unwrap() <= 1, "{}", group["quiet"]);

    let faults = group["faults"].as_array().unwrap();
    // Callers met in the median, and minutes.
    let ceilings = [
        ("total", [(12, 4, 250), (60, 4, 80), (240, 5, 25), (1000, 6, 7), (5000, 9, 3)].as_slice()),
        ("half", &[(60, 7, 210), (240, 8, 70), (1000, 8, 20), (5000, 10, 6)]),
        ("quarter", &[(240, 12, 180), (1000, 12, 50), (5000, 14, 15)]),
        ("group", &[(12, 6, 45), (60, 7, 12), (240, 9, 5), (1000, 15, 2), (5000, 40, 1)]),
    ];
    for (fault, levels) in ceilings {
        for (level, callers, minutes) in levels {
            let seen = faults.iter().find(|f| f["fault"] == fault && f["callers_a_day"] == *level).unwrap();
            assert!(seen["callers"]["median"].as_u64().unwrap() <= *callers, "{seen}");
            assert!(seen["seconds"]["median"].as_f64().unwrap() <= f64::from(minutes * 60), "{seen}");
        }
    }
}

#[test]
fn a_threshold_of_one_caller_cries_wolf_and_is_told_so_every_time() {
    let rule = "[[group.threshold]]\ncallers = 1\nwithin = \"10m\"\n";
    let [first, again] = [(); 2].map(|()| simulate(10, rule, &["--days", "50", "--seed", "3"]));
    assert_eq!(first.status.code(), Some(1));
    let told = String::from_utf8(first.stderr).unwrap();
    assert!(told.starts_with("support: [[group.threshold]] would cry wolf: "), "{told}");
    assert_eq!(first.stdout, again.stdout, "the same seed gives the same bytes");
}
