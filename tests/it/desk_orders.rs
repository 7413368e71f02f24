//! Orders at the desk: each is followed to its true end, in the name of whose token it is, and nobody stands there
//! without a word.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use crate::agent::DAY;
use crate::probes::{probing, start};
use crate::support::{program, program_with, with_token};
use crate::words::ringback;
use crate::world::{Folder, play, with_prober};

const ANNA: &str = "9d03b7e6512fa8c49d03b7e6512fa8c5";
const BEN: &str = "71c2a8f04be95d3671c2a8f04be95d36";

#[test]
fn a_rollback_is_waited_for_until_a_test_call_has_proven_it() {
    play(&with_prober(DAY), async |w| {
        with_token(w);
        let agent = start(w, "every = \"10m\"").await;
        w.pass(120).await;
        let text = probing(w, "every = \"10m\"");
        let listen = agent.url.trim_start_matches("http://");
        let text = text.replace("listen = \"127.0.0.1:0\"", &format!("listen = \"{listen}\""));
        let words = ["rollback", "+15005550200", "--channel", "voice", "--yes", "--reason", "drill"];
        let (code, said, complained) = program(w, &text, &words).await;
        assert!(code == 0 && said.contains("+15005550200 voice: proven: "), "{code}: {said}{complained}");
        assert!(complained.contains("the test call that proves it is still to come for 1"), "{complained}");
        agent.stop().await;
    });
}

#[test]
fn an_approval_is_followed_to_what_comes_of_it() {
    play(DAY, async |w| {
        with_token(w);
        w.agent_section = w.agent_section.replace("mode = \"auto\"", "mode = \"confirm\"");
        let agent = w.start().await.unwrap();
        w.pass(60).await;
        crate::support::break_app(w);
        w.pass(300).await;
        let id = agent.status().waiting.first().expect("a decision waits").decision.to_string();
        let (code, said) = ringback(w, &agent, &["approve", &id, "--reason", "seen it"]).await;
        assert!(code == 0 && said.contains("voice: written: "), "{code}: {said}");
        let (code, said) = ringback(w, &agent, &["approve", &id, "--reason", "again"]).await;
        assert!(code == 1 && !said.is_empty(), "{code}: {said}");
        agent.stop().await;
    });
}

/// `RINGBACK_TOKEN` may be a person's own, and so may the variable that the file names; another's file need not be
/// readable at one's desk.
#[test]
fn what_is_done_with_a_persons_own_token_is_in_their_name() {
    play(DAY, async |w| {
        with_token(w);
        w.env.insert("ANNA", ANNA);
        w.env.insert("BEN", BEN);
        w.agent_section += "[[agent.operator]]\nname = \"anna\"\ntoken_env = \"ANNA\"\n\
                            [[agent.operator]]\nname = \"ben\"\ntoken_env = \"BEN\"\n\
                            [[agent.reader]]\nname = \"wall\"\ntoken_env = \"WALL\"\n";
        w.env.insert("WALL", "c41f0a9be27d5386c41f0a9be27d5387");
        let agent = w.start().await.unwrap();
        w.pass(60).await;
        let listen = format!("listen = \"{}\"", agent.url.trim_start_matches("http://"));
        let text = w.config_text().replace("listen = \"127.0.0.1:0\"", &listen);
        let elsewhere = text.replace("token_env = \"WALL\"", "token_file = \"/nowhere/wall.token\"");
        let hold = ["hold", "--group", "support", "--author", "mallory", "--reason", "mine"];
        for (env, author) in
            [(("RINGBACK_TOKEN", ANNA), "anna"), (("BEN", BEN), "ben"), (("RINGBACK_TOKEN", "open sesame"), "mallory")]
        {
            let (code, said, complained) = program_with(w, &elsewhere, &hold, &[env]).await;
            assert_eq!(code, 0, "{author}: {said}{complained}");
            let (_, said, complained) = program_with(w, &elsewhere, &["journal", "--author", author], &[env]).await;
            assert!(said.contains(author), "{author}: {said}{complained}");
        }
        let (code, said, complained) = program_with(w, &elsewhere, &["status"], &[("BEN", BEN)]).await;
        assert!([0, 1].contains(&code) && !complained.contains("does not prove"), "{said}{complained}");
        let reader = [("RINGBACK_TOKEN", "c41f0a9be27d5386c41f0a9be27d5387")];
        let (code, _, complained) = program_with(w, &elsewhere, &hold, &reader).await;
        assert!(code == 1 && complained.contains("for reading"), "{code}: {complained}");
        let guess = [("RINGBACK_TOKEN", "0d03b7e6512fa8c49d03b7e6512fa8c5")];
        let (code, _, complained) = program_with(w, &elsewhere, &hold, &guess).await;
        assert!(code == 3 && complained.contains("does not prove to be this agent"), "{code}: {complained}");
        agent.stop().await;
    });
}

#[test]
fn whoever_acts_alone_hears_that_twilio_does_not_answer() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = Folder::new();
    let config = folder.path().join("ringback.toml");
    let text = format!(
        "[twilio]\naccount_sid = \"AC5e1f0000000000000000000000000001\"\nbase_url = \"http://{}\"\n\n[agent]\n\
         listen = \"127.0.0.1:9\"\n\n[[group]]\nname = \"support\"\nnumbers = [\"+15005550100\"]\n",
        silent.local_addr().unwrap()
    );
    fs::write(&config, text).unwrap();
    for words in [&["hold", "--all", "--reason", "drill"][..], &["plan"]] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_ringback"))
            .args(words)
            .arg("--config")
            .arg(&config)
            .env("TWILIO_AUTH_TOKEN", "51b077ed51b077ed51b077ed51b077ed")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let told = lines.map_while(Result::ok).find(|l| l.contains("waiting for Twilio: no answer yet"));
        child.kill().unwrap();
        child.wait().unwrap();
        // When it is said is the program's constant: a busy machine takes longer to begin.
        assert!(told.is_some(), "{words:?}");
    }
    drop(silent);
}
