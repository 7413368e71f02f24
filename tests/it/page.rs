//! The page: who gets in, what a form may do, what a stranger's text becomes, and what is shown of an incident.

use std::time::Duration;

use ringback::clock::Clock;
use ringback::core::model::decision::Mode;
use serde_json::{Value, json};

use crate::agent::DAY;
use crate::support::{after_a_failure, support, url, with_token};
use crate::world::{BIN, Running, World, play};

const READER: &str = "c41f0a9be27d5386c41f0a9be27d5387";
const ANNA: &str = "9d03b7e6512fa8c49d03b7e6512fa8c5";

/// A browser without a script: it keeps its cookie and follows nothing by itself.
struct Browser {
    http: reqwest::Client,
    base: String,
    clock: Clock,
    cookie: Option<String>,
}

struct Answer {
    status: u16,
    headers: reqwest::header::HeaderMap,
    text: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }
}

impl Browser {
    fn new(agent: &Running) -> Browser {
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Browser { http, base: agent.url.clone(), clock: agent.clock.clone(), cookie: None }
    }

    async fn ask(&self, request: reqwest::RequestBuilder) -> Answer {
        let request = match &self.cookie {
            Some(cookie) => request.header("cookie", cookie),
            None => request,
        };
        let answered = async {
            let answer = request.send().await.unwrap();
            let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
            Answer { status, headers, text: answer.text().await.unwrap() }
        };
        // Resting: the agent may look at numbers before it answers, which takes time.
        self.clock.wait(None, answered).await.unwrap()
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(self.http.get(format!("{}{path}", self.base))).await
    }

    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.post_with(path, fields, &[]).await
    }

    async fn post_with(&self, path: &str, fields: &[(&str, &str)], headers: &[(&str, &str)]) -> Answer {
        let body: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = self.http.post(format!("{}{path}", self.base));
        let mut request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.ask(request).await
    }

    async fn sign_in(&mut self, token: &str) -> Answer {
        let answer = self.post("/sign-in", &[("token", token), ("next", "journal")]).await;
        self.cookie = answer.headers.get("set-cookie").map(|c| {
            let cookie = c.to_str().unwrap();
            cookie.split(';').next().unwrap().to_owned()
        });
        answer
    }

    /// What this session's forms bring.
    async fn key(&self) -> String {
        let page = self.get("/").await.text;
        let (_, rest) = page.split_once("name=\"form_key\" value=\"").expect("there is a form");
        rest.split('"').next().unwrap().to_owned()
    }
}

/// Two people beside the agent's own token.
fn with_people(w: &mut World) {
    with_token(w);
    w.env.insert("ANNA", ANNA);
    w.env.insert("WALL", READER);
    w.agent_section += "[[agent.operator]]\nname = \"anna\"\ntoken_env = \"ANNA\"\n\
                        [[agent.reader]]\nname = \"wall\"\ntoken_env = \"WALL\"\n";
}

#[test]
fn a_token_is_entered_once_and_a_session_ends_when_somebody_signs_out() {
    play(DAY, async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        let mut browser = Browser::new(&agent);
        assert_eq!(browser.get("/").await.status, 200, "on this machine anybody may look");
        let wrong = browser.sign_in("guess").await;
        assert_eq!((wrong.status, browser.cookie.as_ref()), (401, None), "{}", wrong.text);
        let right = browser.sign_in("open sesame").await;
        assert_eq!((right.status, right.header("location")), (303, "./journal"));
        let cookie = right.header("set-cookie");
        let flags = cookie.split_once("; ").unwrap().1;
        assert_eq!(flags, "Path=/; Max-Age=43200; HttpOnly; SameSite=Strict", "{cookie}");
        assert!(!right.text.contains("open sesame") && !cookie.contains("open sesame"));
        let page = browser.get("/").await.text;
        assert!(page.contains("Sign out") && !page.contains("Sign in to act"), "{page}");
        assert_eq!(browser.post("/sign-out", &[("form_key", "guess")]).await.status, 403);
        assert!(browser.get("/").await.text.contains("Sign out"), "still");
        let key = browser.key().await;
        let out = browser.post("/sign-out", &[("form_key", &key)]).await;
        assert!(out.status == 303 && out.header("set-cookie").contains("Max-Age=0"));
        // The browser need not have kept to it.
        assert!(browser.get("/").await.text.contains("Sign in to act"));
        agent.stop().await;
    });
}

#[test]
fn guesses_are_slowed_and_the_right_token_opens_all_the_same() {
    play(DAY, async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        let mut browser = Browser::new(&agent);
        for i in 0..20 {
            let began = w.now();
            let status = browser.sign_in("guess").await.status;
            let is_slow = w.now().since(began) >= Duration::from_secs(1);
            assert_eq!((status, is_slow), if i < 10 { (401, false) } else { (429, true) }, "{i}");
        }
        assert_eq!(browser.sign_in("open sesame").await.status, 303);
        agent.stop().await;
    });
}

#[test]
fn a_form_acts_for_its_own_session_alone_and_in_its_holders_name() {
    play(DAY, async |w| {
        with_people(w);
        let agent = w.start().await.unwrap();
        let mut browser = Browser::new(&agent);
        let hold = |key: &str| {
            [("group", "support"), ("minutes", "30"), ("reason", "mine"), ("author", "mallory"), ("form_key", key)]
                .map(|(name, value)| (name, value.to_owned()))
        };
        let send = async |browser: &Browser, key: &str, headers: &[(&str, &str)]| {
            let fields = hold(key);
            let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            browser.post_with("/act/hold", &fields, headers).await
        };
        let nobody = send(&browser, "", &[]).await;
        assert_eq!(nobody.status, 303);
        assert!(nobody.header("location").starts_with("../sign-in?next=act"), "{}", nobody.header("location"));
        let mut other = Browser::new(&agent);
        other.sign_in(ANNA).await;
        let others = other.key().await;
        browser.sign_in(ANNA).await;
        let own = browser.key().await;
        for key in ["", "guess", &others] {
            assert_eq!(send(&browser, key, &[]).await.status, 403, "{key}");
        }
        for foreign in [("origin", "https://evil.example"), ("origin", "null"), ("sec-fetch-site", "cross-site")] {
            assert_eq!(send(&browser, &own, &[foreign]).await.status, 403, "{foreign:?}");
        }
        w.pass(2).await;
        assert!(agent.status().holds.is_empty(), "nothing was done");
        let origin = browser.base.clone();
        assert_eq!(send(&browser, &own, &[("origin", &origin)]).await.status, 303);
        w.pass(2).await;
        let holds = agent.status().holds.clone();
        assert_eq!(holds.iter().map(|h| h.by.to_string()).collect::<Vec<_>>(), ["anna: mine"]);
        assert!(browser.get("/journal?author=anna").await.text.contains("holds group support"));
        // Without a reason nothing is done, and what was filled in stays.
        let none = browser.post("/act/release", &[("group", "support"), ("form_key", &own)]).await;
        assert!(none.status == 422 && none.text.contains("reason is empty"), "{} {}", none.status, none.text);
        agent.stop().await;
    });
}

#[test]
fn a_readers_token_reads_and_changes_nothing() {
    play(DAY, async |w| {
        with_people(w);
        let agent = w.start().await.unwrap();
        let mut browser = Browser::new(&agent);
        assert_eq!(browser.sign_in(READER).await.status, 303);
        assert!(browser.get("/").await.text.contains("wall (reads)"));
        assert_eq!(browser.get("/act/hold?all=true").await.status, 403);
        let key = browser.key().await;
        let fields = [("all", "true"), ("reason", "x"), ("form_key", key.as_str())];
        assert_eq!(browser.post("/act/hold", &fields).await.status, 403);
        assert_eq!(agent.post_as(READER, "hold", json!({"all": true, "reason": "x"})).await.0, 403);
        assert_eq!(agent.post_as(ANNA, "hold", json!({"all": true, "reason": "x", "author": "bob"})).await.0, 200);
        w.pass(2).await;
        assert_eq!(agent.status().holds[0].by.name.as_str(), "anna");
        agent.stop().await;
    });
}

#[test]
fn every_page_forbids_what_it_does_not_need() {
    play(DAY, async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        w.pass(60).await;
        let mut browser = Browser::new(&agent);
        browser.sign_in("open sesame").await;
        let number = "/numbers/%2B15005550100";
        for path in [
            "/",
            "/?all",
            "/groups/support",
            number,
            "/journal",
            "/act/mode",
            "/sign-in",
            "/assets/page.css",
            "/assets/page.js",
        ] {
            let answer = browser.get(path).await;
            // Whoever has signed in is led on.
            assert_eq!(answer.status, if path == "/sign-in" { 303 } else { 200 }, "{path}");
            let policy = answer.header("content-security-policy");
            for part in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"] {
                assert!(policy.contains(part), "{path}: {policy}");
            }
            assert!(!policy.contains("unsafe"), "{policy}");
            assert_eq!(answer.header("x-content-type-options"), "nosniff");
            // With none a browser would say of our forms that they come from nowhere.
            assert_eq!(answer.header("referrer-policy"), "same-origin");
            for inline in ["<style", "style=\"", "onclick", "javascript:", "http-equiv=\"Content-Security"] {
                assert!(!answer.text.contains(inline) || path.starts_with("/assets"), "{path} has {inline}");
            }
        }
        for path in ["/groups/none", "/numbers/%2B19995550100", "/decisions/D77", "/assets/../auth.rs", "/act/explode"]
        {
            assert_eq!(browser.get(path).await.status, 404, "{path}");
        }
        agent.stop().await;
    });
}

/// A browser sends no cookie with a link that was followed on another site's page: the page asks for itself again.
#[test]
fn a_link_from_a_notice_finds_the_session() {
    play(DAY, async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        let browser = Browser::new(&agent);
        let request = browser.http.get(format!("{}/journal?every=1", browser.base));
        let request = request.header("sec-fetch-site", "cross-site").header("sec-fetch-mode", "navigate");
        let answer = browser.ask(request).await;
        assert_eq!(answer.status, 200);
        assert!(answer.text.contains("content=\"0;url=./journal?every=1\""), "{}", answer.text);
        agent.stop().await;
    });
}

#[test]
fn what_strangers_write_is_text_and_nothing_else() {
    play(DAY, async |w| {
        with_token(w);
        let evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>";
        let list = w.folder.path().join("numbers.csv");
        let label = evil.replace('"', "\"\"");
        std::fs::write(&list, format!("number,label\n+15005550100,\"{label}\"\n+15005550101,\n+15005550102,\n"))
            .unwrap();
        let text = w.config_text();
        let from = text.find("numbers = [").unwrap();
        let to = from + text[from..].find('\n').unwrap();
        let text = format!("{}numbers_file = \"numbers.csv\"{}", &text[..from], &text[to..]);
        let config = w.parse(&text).unwrap();
        let agent = w.start_with(&config).await.unwrap();
        w.pass(60).await;
        let hold = json!({"numbers": ["+15005550100"], "reason": evil, "author": evil});
        assert_eq!(agent.post("hold", hold).await.0, 200);
        w.pass(2).await;
        let browser = Browser::new(&agent);
        for path in ["/", "/?all", "/groups/support", "/numbers/%2B15005550100", "/journal", "/events"] {
            let text = match path {
                "/events" => first_event(&browser, "").await.to_string(),
                path => browser.get(path).await.text,
            };
            for raw in ["<script>alert", "<img src=x", "onerror=alert(1)>\""] {
                assert!(!text.contains(raw), "{path}: {raw}");
            }
            assert!(path == "/groups/support" || text.contains("alert(1)"), "{path} shows it as text");
        }
        let reflected = browser.get("/journal?author=%22%3E%3Cscript%3Ealert(1)%3C/script%3E").await.text;
        assert!(!reflected.contains("<script>alert"));
        agent.stop().await;
    });
}

#[test]
fn beyond_this_machine_nobody_reads_without_a_token() {
    play(DAY, async |w| {
        with_people(w);
        w.agent_section = format!("proxy_does_tls = true\n{}", w.agent_section);
        let agent = w.start().await.unwrap();
        w.pass(60).await;
        let mut browser = Browser::new(&agent);
        let closed = ["/metrics", "/-/ready", "/api/v1/status", "/api/v1/ports", "/api/v1/decisions/D1", "/nothing"];
        for path in closed {
            assert_eq!(browser.get(path).await.status, 401, "{path}");
        }
        assert_eq!(browser.get("/-/healthy").await.status, 200);
        for path in ["/", "/numbers/%2B15005550100", "/events", "/act/mode"] {
            let answer = browser.get(path).await;
            assert_eq!(answer.status, 303, "{path}");
            assert!(answer.header("location").contains("sign-in"), "{path}: {}", answer.header("location"));
        }
        for token in [READER, ANNA, "open sesame"] {
            let request = browser.http.get(format!("{}/metrics", agent.url)).bearer_auth(token);
            assert_eq!(browser.ask(request).await.status, 200);
        }
        let signed = browser.sign_in(READER).await;
        let cookie = signed.header("set-cookie");
        assert!(cookie.starts_with("__Host-ringback-") && cookie.ends_with("; Secure"), "{cookie}");
        for path in ["/", "/api/v1/status", "/numbers/%2B15005550100"] {
            assert_eq!(browser.get(path).await.status, 200, "{path}");
        }
        agent.stop().await;
    });
}

#[test]
fn an_address_beyond_this_machine_needs_tokens_and_tls() {
    play(DAY, async |w| {
        let text = w.config_text().replace("127.0.0.1:0", "0.0.0.0:0");
        let said = w.parse(&text).expect_err("it is refused").to_string();
        assert!(said.contains("tokens need TLS") && said.contains("nobody is let in without a token"), "{said}");
        let proxied = text.replace("[agent]\n", "[agent]\nproxy_does_tls = true\n");
        let said = w.parse(&proxied).expect_err("it is refused").to_string();
        assert!(!said.contains("tokens need TLS") && said.contains("without a token"), "{said}");
        with_token(w);
        assert!(w.parse(&text).err().is_some_and(|e| e.to_string().contains("tokens need TLS")));
        assert!(w.parse(&proxied).is_ok());
        w.env.insert("RINGBACK_TOKEN", "");
        with_people(w);
        w.env.insert("RINGBACK_TOKEN", "");
        let people = w.config_text().replace("127.0.0.1:0", "0.0.0.0:0");
        assert!(w.parse(&people.replace("[agent]\n", "[agent]\nproxy_does_tls = true\n")).is_ok());
        for (token, why) in [("password", "is among the first"), (READER, "is another's too"), ("", "is not set")] {
            w.env.insert("ANNA", token);
            let said = w.parse(&w.config_text()).err().unwrap_or_else(|| panic!("{token}")).to_string();
            assert!(said.contains(why), "{said}");
        }
    });
}

#[test]
fn an_incident_is_understood_from_its_pages() {
    play(DAY, async |w| {
        let agent = after_a_failure(w).await;
        let browser = Browser::new(&agent);
        let overview = browser.get("/").await.text;
        for told in ["in trouble", "support", "on the fallback", "served,", "D1"] {
            assert!(overview.contains(told), "{told}: {overview}");
        }
        let number = support()[0];
        let page = browser.get(&format!("/numbers/{}", number.to_string().replace('+', "%2B"))).await.text;
        for told in [
            BIN,
            "Latest snapshot",
            "https://app.example.com/voice",
            "served",
            "support, voice: rollback;",
            "/decisions/D",
        ] {
            assert!(page.contains(told), "{told}: {page}");
        }
        let decision = browser.get("/decisions/D1?check").await.text;
        for told in ["Evidence", "callers failed", "threshold", "better than luck does", "Steps", "Made once more"] {
            assert!(decision.contains(told), "{told}: {decision}");
        }
        agent.stop().await;
    });
}

#[test]
fn numbers_are_rolled_back_and_restored_from_the_page() {
    play(DAY, async |w| {
        with_people(w);
        let agent = w.start().await.unwrap();
        w.pass(600).await;
        let mut browser = Browser::new(&agent);
        browser.sign_in(ANNA).await;
        let key = browser.key().await;
        let named = browser.get("/act/rollback?group=support").await;
        assert!(
            named.status == 200 && named.text.contains(BIN) && named.text.contains("+15005550100"),
            "{}",
            named.text
        );
        assert!(support().iter().all(|n| url(w, *n) != BIN), "a look changes nothing");
        let fields = [("group", "support"), ("channel", "voice"), ("reason", "drill"), ("form_key", key.as_str())];
        let done = browser.post("/act/rollback", &fields).await;
        assert_eq!(done.status, 303, "{}", done.text);
        w.pass(30).await;
        assert!(support().iter().all(|n| url(w, *n) == BIN));
        let path = done.header("location").strip_prefix("..").unwrap().to_owned();
        let order = browser.get(&path).await.text;
        assert!(order.contains("Ordered: D") && order.contains("anna: rollback"), "{order}");
        assert!(!browser.get(&path).await.text.contains("Ordered: D"), "it is said once");
        let fields = [&fields[..], &[("at_once", "1")]].concat();
        assert_eq!(browser.post("/act/restore", &fields).await.status, 303);
        w.pass(30).await;
        assert!(support().iter().all(|n| url(w, *n) != BIN));
        let fields = [("mode", "observe"), ("reason", "enough"), ("form_key", key.as_str())];
        assert_eq!(browser.post("/act/mode", &fields).await.status, 303);
        w.pass(2).await;
        assert_eq!(agent.status().mode, Mode::Observe);
        agent.stop().await;
    });
}

/// The first event of a browser that has seen `after`.
async fn first_event(browser: &Browser, after: &str) -> Value {
    let request = browser.http.get(format!("{}/events", browser.base)).header("last-event-id", after);
    let mut answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let mut text = String::new();
    while !text.contains("\n\n") {
        text += std::str::from_utf8(&answer.chunk().await.unwrap().unwrap()).unwrap();
    }
    let line = |name: &str| text.lines().find_map(|l| l.strip_prefix(name)).unwrap().to_owned();
    let mut event: Value = serde_json::from_str(&line("data: ")).unwrap();
    event["id"] = json!(line("id: "));
    event
}

#[test]
fn events_carry_what_has_changed_since_a_browser_looked() {
    play(DAY, async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        w.pass(600).await;
        let browser = Browser::new(&agent);
        let all = first_event(&browser, "").await;
        let parts = all["parts"].as_object().unwrap();
        assert!(parts.contains_key("verdict") && parts.contains_key("group-0"), "{all}");
        let id = all["id"].as_str().unwrap().to_owned();
        let again = first_event(&browser, &id).await;
        assert!(again["parts"].as_object().unwrap().len() < parts.len(), "{again}");
        assert_eq!(first_event(&browser, "otherone-7").await["parts"].as_object().unwrap().len(), parts.len());
        assert_eq!(agent.post("hold", json!({"group": "support", "reason": "mine"})).await.0, 200);
        w.pass(2).await;
        let news = first_event(&browser, &id).await;
        assert!(news["parts"]["holds"].as_str().unwrap().contains("mine"), "{news}");
        // Those who looked before have left.
        w.pass(5).await;
        // So many may look, and who is one more reads the page.
        let mut viewers = Vec::new();
        let full = loop {
            let answer = browser.http.get(format!("{}/events", browser.base)).send().await.unwrap();
            if answer.status() != 200 {
                break answer.status();
            }
            viewers.push(answer);
            assert!(viewers.len() < 100);
        };
        assert_eq!((full.as_u16(), viewers.len()), (503, 32));
        assert_eq!(browser.get("/").await.status, 200);
        agent.stop().await;
    });
}

/// How the evidence grew is drawn, a restore is shown field by field, and numbers are said to be ported and adopted
/// after what that comes to was named.
#[test]
fn what_will_change_is_named_and_what_was_seen_is_drawn() {
    play(DAY, async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        w.pass(300).await;
        crate::support::break_app(w);
        w.pass(300).await;
        let decided = agent.status().decisions.first().expect("it decided").id;
        let mut browser = Browser::new(&agent);
        browser.sign_in("open sesame").await;
        let page = browser.get(&format!("/decisions/{decided}")).await.text;
        assert!(page.contains("class=\"curve\"") && page.contains("it passed its threshold of"), "{page}");
        let page = browser.get("/act/restore?group=support").await.text;
        assert!(page.contains("<dt>VoiceUrl</dt>"), "{page}");
        assert!(page.contains(&format!("<del>{BIN}</del> becomes <ins>https://app.example.com")), "{page}");
        let page = browser.get("/act/ported?group=support").await.text;
        assert!(page.contains("it is watched already"), "{page}");
        let url = url(w, support()[0]);
        assert_eq!(url, BIN);
        let page = browser.get("/act/adopt?group=support&channel=voice").await.text;
        assert!(page.contains("it is on the fallback, which is never its own handler"), "{page}");
        assert!(page.contains("ringback apply"), "{page}");
        let page = browser.get("/act/adopt?group=sales&channel=voice").await;
        assert!(page.status == 200 && page.text.contains("is what it is compared with already"), "{}", page.text);
        let page = browser.get("/groups/support").await.text;
        assert!(page.contains("act/ported?group=support") && page.contains("act/adopt?group=support"), "{page}");
        agent.stop().await;
    });
}
