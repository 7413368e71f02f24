//! Programs of the user's that run beside us: test calls from elsewhere, and notifiers.
//!
//! A program is started without a shell, with an environment of its own, in which no secret of ours is, and with a
//! standard input that is not ours. It is the first of a process group. It has ended when it says so by its exit code,
//! and what it printed counts as far as it is there by then: whatever it has started and left behind holds nothing up,
//! though it may hold the pipes. Then all that is left of the group is killed; so it is when nobody waits for the
//! program any longer, because its time is over or because we stop, and when we are forced to end at once.
//!
//! Of its output at most [`bounds::PROGRAM_BYTES`] are kept, and the rest is read and dropped.
//!
//! What leaves the group by a session of its own (`setsid`, a daemon) is found by its environment, which it has from
//! the program: [`MARK`], of a value that no other run has. So it is where there is a `/proc`, as on Linux. Two things
//! remain. What starts something with an environment of its own (`env -i`, `sudo`) and lets it leave the group has
//! hidden it from us. And if we are killed ourselves, nobody is left to end what runs. A service manager that ends a
//! service's whole control group ends both.

use std::collections::BTreeMap;
use std::io;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use crate::clock::Clock;
use crate::core::model::bounds;

/// What of our environment a program may need; no secret is among it.
pub const PASSED_ON: [&str; 6] = ["HOME", "LANG", "LC_ALL", "PATH", "TZ", "USER"];

/// The variable by which all that a program has started is known.
pub const MARK: &str = "RINGBACK_PROGRAM";

/// What of a program's output is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// The beginning of its standard output: it writes a result.
    Result,
    /// The end of its standard error: it complains.
    Complaint,
}

/// A program to run.
#[derive(Debug)]
pub struct Program<'a> {
    pub program: &'a str,
    pub arguments: &'a [String],
    /// Beside what is [`PASSED_ON`].
    pub environment: &'a [(&'a str, String)],
    /// What it may read; nothing if there is none.
    pub input: Option<&'a [u8]>,
    pub kept: Kept,
}

/// How a program ended.
#[derive(Debug)]
pub struct EndedProgram {
    pub status: ExitStatus,
    /// What was [`Kept`] of its output.
    pub said: Vec<u8>,
}

/// The process groups that run, by their first process, and their marks.
static RUNNING: Mutex<BTreeMap<u32, String>> = Mutex::new(BTreeMap::new());

/// Programs that were started: each has a mark of its own.
static STARTED: AtomicU64 = AtomicU64::new(0);

fn new_mark() -> String {
    format!("{}.{}", std::process::id(), STARTED.fetch_add(1, Ordering::Relaxed))
}

/// Kills every program that runs: for an end that waits for nobody.
pub fn end_all() {
    for (first, mark) in std::mem::take(&mut *RUNNING.lock().unwrap_or_else(PoisonError::into_inner)) {
        kill(first, &mark);
    }
}

/// Kills all that is left of the group of `first`, and what has left it and bears its mark.
fn kill(first: u32, mark: &str) {
    #[cfg(unix)]
    if let Some(group) = first.try_into().ok().and_then(rustix::process::Pid::from_raw) {
        // An error means that nobody is left.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        // Where we are the first process of a container, what it had started is left to us.
        if std::process::id() == 1 {
            while let Ok(Some(_)) = rustix::process::waitpgid(group, rustix::process::WaitOptions::NOHANG) {}
        }
    }
    #[cfg(target_os = "linux")]
    kill_marked(mark);
    #[cfg(not(unix))]
    let _ = first;
    #[cfg(not(target_os = "linux"))]
    let _ = mark;
}

/// What is killed may have started more meanwhile; it does not go on for ever.
#[cfg(target_os = "linux")]
const ROUNDS: usize = 8;

/// Kills every process that bears this mark.
#[cfg(target_os = "linux")]
fn kill_marked(mark: &str) {
    use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, pidfd_open, pidfd_send_signal, waitpid};
    let mark = format!("{MARK}={mark}");
    let bears_it = |pid: Pid| {
        // Of others' processes it cannot be read, and of what has ended there is none.
        let environment = std::fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero())).unwrap_or_default();
        environment.split(|b| *b == 0).any(|variable| variable == mark.as_bytes())
    };
    for _ in 0..ROUNDS {
        let Ok(processes) = std::fs::read_dir("/proc") else { return };
        let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok().and_then(Pid::from_raw));
        let mut is_any = false;
        for pid in pids.filter(|pid| pid.as_raw_nonzero().get() != std::process::id().cast_signed()) {
            if !bears_it(pid) {
                continue;
            }
            // Whatever has this number now is what is killed, and only if it is what we look for.
            let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { continue };
            if bears_it(pid) {
                is_any |= pidfd_send_signal(&process, Signal::KILL).is_ok();
            }
            if std::process::id() == 1 {
                let _ = waitpid(Some(pid), WaitOptions::NOHANG);
            }
        }
        if !is_any {
            return;
        }
    }
}

/// A program and all that it has started, killed when nobody waits for it any more.
struct Family(Option<u32>);

impl Family {
    /// Starts it. Whoever ends all programs meanwhile waits, and ends this one too.
    fn start(command: &mut Command, mark: String) -> io::Result<(Child, Family)> {
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        let child = command.spawn()?;
        let first = child.id();
        running.extend(first.map(|first| (first, mark)));
        Ok((child, Family(first)))
    }

    fn end(&mut self) {
        let Some(first) = self.0.take() else { return };
        // Who is not among them was killed, and its id may be another's by now.
        let mark = RUNNING.lock().unwrap_or_else(PoisonError::into_inner).remove(&first);
        if let Some(mark) = mark {
            kill(first, &mark);
        }
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        self.end();
    }
}

/// Runs a program to its end. Whoever waits no longer has it killed, with whatever it has started.
pub async fn run(clock: &Clock, program: &Program<'_>) -> io::Result<EndedProgram> {
    let piped_if = |is: bool| if is { Stdio::piped() } else { Stdio::null() };
    let mark = new_mark();
    let mut command = Command::new(program.program);
    command
        .args(program.arguments)
        .env_clear()
        .envs(PASSED_ON.iter().filter_map(|name| Some((*name, std::env::var_os(name)?))))
        .envs(program.environment.iter().map(|(name, value)| (name, value)))
        .env(MARK, &mark)
        .stdin(piped_if(program.input.is_some()))
        .stdout(piped_if(program.kept == Kept::Result))
        .stderr(piped_if(program.kept == Kept::Complaint))
        .kill_on_drop(true);
    #[cfg(unix)]
    command.process_group(0);
    let (mut child, mut family) = Family::start(&mut command, mark)?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let mut said = Vec::new();
    let status = {
        let mut tell = pin!(async {
            if let (Some(mut stdin), Some(input)) = (stdin, program.input) {
                // A program that reads nothing may still do its work: its exit code says so.
                let _ = stdin.write_all(input).await;
            }
        });
        let mut hear = pin!(async {
            match (stdout, stderr) {
                (Some(stdout), _) => hear(stdout, Kept::Result, &mut said).await,
                (None, Some(stderr)) => hear(stderr, Kept::Complaint, &mut said).await,
                (None, None) => Ok(()),
            }
        });
        let (mut is_told, mut heard) = (false, None);
        let status = loop {
            tokio::select! {
                status = child.wait() => break status,
                () = &mut tell, if !is_told => is_told = true,
                end = &mut hear, if heard.is_none() => heard = Some(end),
            }
        };
        family.end();
        let heard = match heard {
            Some(end) => end,
            // What it wrote before its end is still in the pipe, which something else may hold open.
            None => clock.timeout(bounds::LAST_WORDS, hear).await.unwrap_or(Ok(())),
        };
        heard.and(status)?
    };
    Ok(EndedProgram { status, said })
}

/// Reads all of a program's output, and keeps a part of it.
async fn hear(mut from: impl AsyncRead + Unpin, kept: Kept, said: &mut Vec<u8>) -> io::Result<()> {
    let mut chunk = [0; 8 << 10];
    loop {
        let heard = match from.read(&mut chunk).await? {
            0 => return Ok(()),
            n => &chunk[..n],
        };
        match kept {
            Kept::Result => {
                let room = bounds::PROGRAM_BYTES - said.len();
                said.extend_from_slice(&heard[..heard.len().min(room)]);
            }
            Kept::Complaint => {
                said.extend_from_slice(heard);
                let beyond = said.len().saturating_sub(bounds::PROGRAM_BYTES);
                said.drain(..beyond);
            }
        }
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn run_for(millis: u64, script: &str, input: Option<&[u8]>, kept: Kept) -> Option<EndedProgram> {
        let arguments = ["-c".to_owned(), script.to_owned()];
        let program = Program { program: "/bin/sh", arguments: &arguments, environment: &[], input, kept };
        let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let clock = Clock::system();
        let run = clock.timeout(Duration::from_millis(millis), run(&clock, &program));
        rt.block_on(run).ok().map(|ended| ended.unwrap())
    }

    /// True once these processes are gone.
    fn are_gone(pids: &str) -> bool {
        let is_there = |pid: &str| {
            // A zombie that init has not collected yet is no process.
            std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
        };
        let until = Instant::now() + Duration::from_secs(5);
        while pids.split_whitespace().any(is_there) {
            if Instant::now() > until {
                return false;
            }
            std::thread::yield_now();
        }
        true
    }

    #[test]
    fn what_it_prints_is_kept_up_to_a_bound_and_never_holds_it_up() {
        // More than the bound by far, on either stream, and then the end.
        let much = "head -c 9000000 /dev/zero | tr '\\0' x";
        let said = run_for(60_000, &format!("echo first; {much}; exit 3"), None, Kept::Result).unwrap();
        assert_eq!((said.status.code(), said.said.len()), (Some(3), bounds::PROGRAM_BYTES));
        assert!(said.said.starts_with(b"first\n"));
        let said = run_for(60_000, &format!("{much} >&2; echo last >&2"), None, Kept::Complaint).unwrap();
        assert!(said.status.success() && said.said.ends_with(b"last\n"));
        assert_eq!(said.said.len(), bounds::PROGRAM_BYTES);
        // Nobody listens to the other.
        let said = run_for(60_000, &format!("{much} >&2; echo done"), None, Kept::Result).unwrap();
        assert_eq!(said.said, b"done\n");
    }

    #[test]
    fn it_is_judged_by_its_exit_code_whatever_it_leaves_behind() {
        let began = Instant::now();
        for (kept, to) in [(Kept::Result, ""), (Kept::Complaint, ">&2")] {
            // A child of its own that holds all pipes, and reads nothing of the input.
            let script = format!("sleep 600 & echo $! {to}; exit 0");
            let ended = run_for(60_000, &script, Some(&[b'x'; 200_000]), kept).unwrap();
            assert!(ended.status.success());
            assert!(are_gone(&String::from_utf8(ended.said).unwrap()), "what it started outlived it");
        }
        // What left the group, once and twice, and what clears up behind itself: nobody waits for it, and it is ended.
        for script in [
            "setsid sleep 600 & echo $!; exit 0",
            "setsid sh -c 'setsid sleep 600 & echo $!; exec sleep 600' & sleep 0.3; exit 0",
            "(setsid sh -c 'trap \"\" TERM HUP INT; echo $$; while :; do sleep 600; done' &); sleep 0.3; exit 0",
        ] {
            let ended = run_for(60_000, script, None, Kept::Result).unwrap();
            assert!(ended.status.success() && !ended.said.is_empty());
            assert!(are_gone(&String::from_utf8(ended.said).unwrap()), "{script}: it outlived it");
        }
        // One with an environment of its own is hidden from us, and holds nothing up.
        let ended = run_for(60_000, "env -i setsid sleep 20 & echo $!; exit 0", None, Kept::Result).unwrap();
        assert!(ended.status.success());
        assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    }

    #[test]
    fn all_of_it_is_killed_when_nobody_waits() {
        let file = std::env::temp_dir().join(format!("ringback-family-{}", std::process::id()));
        let script = format!(
            "trap '' TERM HUP INT; (trap '' TERM HUP; sleep 600) & echo $$ $! > {0}.new; mv {0}.new {0}; wait; sleep 600",
            file.display()
        );
        assert!(run_for(1500, &script, None, Kept::Result).is_none(), "its time is over");
        assert!(are_gone(&std::fs::read_to_string(&file).unwrap()));
        std::fs::remove_file(&file).unwrap();
        // We are forced to end at once: no task is asked.
        let waits = std::thread::spawn(move || run_for(60_000, &script, None, Kept::Result));
        let pids = loop {
            if let Ok(pids) = std::fs::read_to_string(&file) {
                break pids;
            }
            std::thread::yield_now();
        };
        let first = pids.split_whitespace().next().unwrap().parse().unwrap();
        let mark = RUNNING.lock().unwrap().remove(&first).unwrap();
        kill(first, &mark);
        assert!(are_gone(&pids));
        assert!(!waits.join().unwrap().unwrap().status.success());
        std::fs::remove_file(&file).unwrap();
    }

    #[test]
    fn it_is_given_its_input_and_nothing_else_of_ours() {
        use std::os::fd::AsRawFd as _;
        let ours: Vec<std::fs::File> = (0..40).map(|_| std::fs::File::open("/proc/self/exe").unwrap()).collect();
        let script = "cat; env | cut -d= -f1 | tr '\\n' ' '; echo; ls /proc/self/fd";
        let said = run_for(60_000, script, Some(b"read "), Kept::Result).unwrap().said;
        let said = String::from_utf8(said).unwrap();
        let (read, open) = said.split_once('\n').unwrap();
        assert!(read.starts_with("read ") && !read.contains("CARGO"), "{said}");
        // Whoever runs the tests may have left some open, and `ls` has one of its own.
        let open: std::collections::BTreeSet<i32> = open.lines().map(|fd| fd.parse().unwrap()).collect();
        let leaked = ours.iter().map(|file| file.as_raw_fd()).filter(|fd| *fd > 10 && open.contains(fd)).count();
        assert_eq!(leaked, 0, "{said}");
        let said = run_for(60_000, "cat; echo nothing", None, Kept::Result).unwrap().said;
        assert_eq!(said, b"nothing\n", "our own input is not its");
    }
}
