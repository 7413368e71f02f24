//! Programs of the user's are ours until they are gone: whatever they leave behind is no reason to tell anybody twice,
//! and nothing of it outlives the agent.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::agent::DAY;
use crate::support::{break_app, with_token};
use crate::world::{World, play};

/// True if the processes that `file` names are no more, or as soon as they are.
fn are_gone(file: &Path) -> bool {
    let is_there =
        |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
    let pids = std::fs::read_to_string(file).unwrap();
    assert!(!pids.trim().is_empty());
    let until = Instant::now() + Duration::from_secs(5);
    while pids.split_whitespace().any(is_there) {
        if Instant::now() > until {
            return false;
        }
        std::thread::yield_now();
    }
    true
}

fn lines(file: &Path) -> usize {
    std::fs::read_to_string(file).unwrap_or_default().lines().count()
}

/// A child of its own holds all of its pipes, and it has done its work.
#[test]
fn a_notice_that_was_delivered_is_not_delivered_again_because_something_holds_a_pipe() {
    play(DAY, async |w| {
        with_token(w);
        let [runs, left] = ["runs", "left"].map(|name| w.folder.path().join(name));
        let script =
            format!("cat > /dev/null; echo run >> {}; sleep 600 & echo $! >> {}", runs.display(), left.display());
        let config = format!(
            "{}\n[[notify]]\nname = \"ours\"\nkind = \"command\"\nargv = [\"/bin/sh\", \"-c\", \"{script}\"]\n",
            w.config_text()
        );
        let agent = w.start_with(&w.parse(&config).unwrap_or_else(|e| panic!("{e}"))).await.unwrap();
        w.pass(600).await;
        break_app(w);
        w.pass(900).await;
        let delivered = agent.sum("ringback_notifications_total", &["notifier=\"ours\"", "result=\"success\""]).await;
        let failed = agent.sum("ringback_notifications_total", &["notifier=\"ours\"", "result=\"failure\""]).await;
        assert!(delivered > 0.0 && failed == 0.0, "{delivered} and {failed}");
        assert_eq!(lines(&runs) as f64, delivered);
        agent.stop().await;
        assert!(are_gone(&left), "what it started outlived it");
    });
}

/// What a script writes down of the processes that it starts: in its group, out of it, and itself.
fn lingering(left: &Path) -> String {
    format!("sleep 780 & echo $! >> {0}; setsid sleep 781 & echo $! >> {0}; echo $$ >> {0}; wait", left.display())
}

/// Runs the program until its own has started all three, then sends `signal`; how it ended, and that nothing is left.
fn ends_with_its_children(w: &World, left: &Path, words: &[&str], signal: &str) -> Option<i32> {
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_ringback"))
        .args(words)
        .arg("--config")
        .arg(w.folder.path().join("ringback.toml"))
        .env("TWILIO_AUTH_TOKEN", &w.sim.scenario().account.auth_token)
        .env("RINGBACK_TOKEN", "open sesame")
        .stdin(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    while lines(left) < 3 {
        assert!(child.try_wait().unwrap().is_none() && Instant::now() < until, "{words:?} runs");
        std::thread::yield_now();
    }
    let kill = std::process::Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let exit = child.wait().unwrap().code();
    assert!(are_gone(left), "{words:?} {signal}: what it started outlived it");
    exit
}

/// A test notice whose program hangs, and a signal: nothing of it is left. SIGHUP is what a closed terminal sends.
#[test]
fn what_a_command_has_started_ends_with_it() {
    for signal in ["-TERM", "-INT", "-HUP"] {
        play(DAY, async |w| {
            with_token(w);
            let left = w.folder.path().join("left");
            let notifier = format!(
                "{}\n[[notify]]\nname = \"ours\"\nkind = \"command\"\ntimeout = \"15s\"\nargv = [\"/bin/sh\", \"-c\", \"{}\"]\n",
                w.config_text(),
                lingering(&left)
            );
            std::fs::write(w.folder.path().join("ringback.toml"), notifier).unwrap();
            let exit = ends_with_its_children(w, &left, &["notify", "--test", "ours"], signal);
            assert_eq!(exit, Some(3), "{signal}");
        });
    }
}
