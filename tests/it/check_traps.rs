//! One trap for each code of `ringback check`: the account, or the configuration, that has it and nothing else.

use std::time::Duration;

use ringback::core::check::code::FindingCode;
use ringback::sim::{ApiFault, ApiFaultKind, ApiFaultScope, Edit, HandlerCondition, HandlerState, Happening};

use crate::world::{BIN, PROBER, World};

/// An account in which nothing is wrong. `{base}` is the simulator's address.
pub const CLEAN: &str = r#"
name = "check"
seed = 7
lasts = "4h"
history = "0s"

[api]
latency = ["100ms", "100ms"]

[account]
[[account.key]]
sid = "SK00000000000000000000000000000001"
secret = "key-secret-of-the-simulator"
kind = "standard"

[[bin]]
sid = "EH00000000000000000000000000000001"
does = "answer"

[[bin]]
sid = "EH00000000000000000000000000000002"
does = "twiml"
twiml = "<Response><Reject/></Response>"

[[service]]
sid = "MG00000000000000000000000000000001"
friendly_name = "Replies"
use_inbound_webhook_on_number = true

[[standing.campaign]]
service = "MG00000000000000000000000000000001"

[[group]]
name = "support"
numbers = ["+15005550100", "+15005550101", "+15005550102"]
traffic = { calls_per_hour = 90, messages_per_hour = 10 }
routing = { voice_url = "{base}/handlers/voice", sms_url = "{base}/handlers/sms", service = "MG00000000000000000000000000000001" }
"#;

/// The group's routing in [`CLEAN`].
const ROUTING: &str = "routing = { voice_url = \"{base}/handlers/voice\", sms_url = \"{base}/handlers/sms\", service = \
                       \"MG00000000000000000000000000000001\" }";

/// What is changed in the account before it is checked.
type Edits = &'static [(&'static str, &'static str)];

/// How one thing is made wrong.
pub struct Trap {
    pub code: FindingCode,
    /// In the account.
    pub account: Edits,
    /// In the configuration.
    pub config: Edits,
    /// In the environment; empty removes.
    pub env: Edits,
    pub arrange: fn(&World),
    /// Findings that come with it.
    pub with: &'static [FindingCode],
    /// Test notices are sent.
    pub notify: bool,
}

const fn trap(code: FindingCode) -> Trap {
    Trap { code, account: &[], config: &[], env: &[], arrange: |_| {}, with: &[], notify: false }
}

const fn account(code: FindingCode, account: Edits) -> Trap {
    Trap { account, ..trap(code) }
}

const fn config(code: FindingCode, config: Edits) -> Trap {
    Trap { config, ..trap(code) }
}

const fn arranged(code: FindingCode, arrange: fn(&World)) -> Trap {
    Trap { arrange, ..trap(code) }
}

const fn with(trap: Trap, with: &'static [FindingCode]) -> Trap {
    Trap { with, ..trap }
}

const KEY: Edits = &[
    ("TWILIO_AUTH_TOKEN", ""),
    ("TWILIO_API_KEY", "SK00000000000000000000000000000001"),
    ("TWILIO_API_SECRET", "key-secret-of-the-simulator"),
];

/// A field of the first number is set by a person.
fn edit(w: &World, field: &str, value: &str) {
    let number = "+15005550100".parse().unwrap();
    let set = [(field.to_owned(), value.to_owned())].into();
    w.sim.happen(Happening::Edit(Edit { number, set })).unwrap();
}

fn handler(w: &World, condition: HandlerCondition) {
    w.sim.set_handler(&format!("{}/handlers/voice", w.base_url), HandlerState::all(condition)).unwrap();
}

/// Every trap.
pub fn all() -> Vec<Trap> {
    use FindingCode as C;
    vec![
        Trap { env: &[("TWILIO_AUTH_TOKEN", "00000000000000000000000000000000")], ..trap(C::Credentials) },
        with(
            Trap {
                env: KEY,
                account: &[(
                    "kind = \"standard\"",
                    "kind = \"restricted\"\npermissions = [\"numbers\", \"number\", \"calls\", \"messages\", \"services\", \
                     \"service-numbers\", \"regions\", \"events\", \"campaigns\", \"brand\"]",
                )],
                ..trap(C::Permission)
            },
            &[C::CannotSign],
        ),
        Trap { env: KEY, ..trap(C::CannotSign) },
        arranged(C::ClockSkew, |w| {
            w.sim.fault(ApiFault::new(ApiFaultKind::Skew, ApiFaultScope::Any)).unwrap();
        }),
        account(
            C::AccountNotActive,
            &[("[[standing.campaign]]", "[standing]\nstatus = \"suspended\"\n[[standing.campaign]]")],
        ),
        account(C::TrialAccount, &[("[[standing.campaign]]", "[standing]\nkind = \"Trial\"\n[[standing.campaign]]")]),
        account(C::LowBalance, &[("[[standing.campaign]]", "[standing]\nbalance = \"0.50\"\n[[standing.campaign]]")]),
        config(C::NumberMissing, &[("\"+15005550102\"]", "\"+15005550102\", \"+15005550109\"]")]),
        config(
            C::NumberNotYet,
            &[
                ("\"+15005550102\"]", "\"+15005550102\", \"+15005550109\"]"),
                ("channels = [", "port_at = \"2026-12-01T09:00:00-05:00\"\nchannels = ["),
            ],
        ),
        account(C::LacksChannel, &[("traffic =", "voice_only = true\ntraffic =")]),
        account(C::HostedVoice, &[("traffic =", "hosted = true\ntraffic =")]),
        account(C::NobodyAnswers, &[("voice_url = \"{base}/handlers/voice\"", "voice_url = \"\"")]),
        account(C::Demo, &[("{base}/handlers/voice", "https://demo.twilio.com/welcome/voice/")]),
        account(
            C::HandlerGone,
            &[
                ("voice_url = \"{base}/handlers/voice\"", "application = \"AP00000000000000000000000000000001\""),
                (
                    "[[service]]",
                    "[[application]]\nsid = \"AP00000000000000000000000000000001\"\nfriendly_name = \"Old\"\ngone = \
                     true\n[[service]]",
                ),
            ],
        ),
        account(
            C::TrunkWins,
            &[
                ("routing = {", "routing = { trunk = \"TK00000000000000000000000000000001\","),
                (
                    "[[service]]",
                    "[[trunk]]\nsid = \"TK00000000000000000000000000000001\"\nfriendly_name = \"Desk\"\norigination_url = \
                     \"sip:desk.example.com\"\n[[service]]",
                ),
            ],
        ),
        account(
            C::ApplicationWins,
            &[
                ("routing = {", "routing = { application = \"AP00000000000000000000000000000001\","),
                (
                    "[[service]]",
                    "[[application]]\nsid = \"AP00000000000000000000000000000001\"\nfriendly_name = \"App\"\nvoice_url = \
                     \"{base}/handlers/app\"\n[[service]]",
                ),
            ],
        ),
        with(
            account(
                C::ServiceWins,
                &[("use_inbound_webhook_on_number = true", "inbound_request_url = \"{base}/handlers/service\"")],
            ),
            &[C::CannotSwap],
        ),
        with(
            account(
                C::ServiceDropsMessages,
                &[("use_inbound_webhook_on_number = true", ""), ("sms_url = \"{base}/handlers/sms\", ", "")],
            ),
            &[C::CannotSwap],
        ),
        account(C::VoiceRegion, &[("routing = {", "routing = { voice_region = \"ie1\",")]),
        account(C::MessagingRegion, &[("routing = {", "routing = { messaging_region = \"ie1\",")]),
        account(
            C::CannotSwap,
            &[
                ("use_inbound_webhook_on_number = true", "inbound_request_url = \"{base}/handlers/service\""),
                ("sms_url = \"{base}/handlers/sms\", ", ""),
            ],
        ),
        with(account(C::FallbackWithoutPrimary, &[("{ voice_url =", "{ voice_fallback_url =")]), &[C::NobodyAnswers]),
        with(arranged(C::Fax, |w| edit(w, "VoiceReceiveMode", "fax")), &[C::OtherWriter]),
        account(C::OnFallback, &[("{base}/handlers/voice", BIN)]),
        account(
            C::TrunkLeadsNowhere,
            &[
                ("voice_url = \"{base}/handlers/voice\"", "trunk = \"TK00000000000000000000000000000001\""),
                (
                    "[[service]]",
                    "[[trunk]]\nsid = \"TK00000000000000000000000000000001\"\nfriendly_name = \"Desk\"\n[[service]]",
                ),
            ],
        ),
        arranged(C::HandlerSilent, |w| handler(w, HandlerCondition::Status(503))),
        arranged(C::HandlerWrong, |w| handler(w, HandlerCondition::Status(404))),
        arranged(C::HandlerSlow, |w| handler(w, HandlerCondition::Slow(Duration::from_secs(8)))),
        account(
            C::HandlerTurnsAway,
            &[("{base}/handlers/voice", "https://handler.twilio.com/twiml/EH00000000000000000000000000000002")],
        ),
        config(
            C::NeitherOwners,
            &[(
                "[group.fallback]",
                "[group.handler]\nvoice_url = \"https://app.example.com/voice\"\nowner = \"CallTracker\"\nowner_urls = \
                 [\"https://calls.example.net/\"]\n[group.fallback]",
            )],
        ),
        config(
            C::NoFallback,
            &[("sms_url = \"https://handler.twilio.com/twiml/EH00000000000000000000000000000001\"\n", "")],
        ),
        account(C::FallbackBroken, &[("does = \"answer\"", "does = \"broken\"")]),
        account(C::FallbackLoops, &[("does = \"answer\"", "does = \"forward\"\nto = \"+15005550101\"")]),
        account(
            C::FallbackUntold,
            &[(
                "does = \"answer\"",
                "does = \"twiml\"\ntwiml = \"<Response><Connect><Stream \
                 url='wss://x'/></Connect><Message>Hi</Message></Response>\"",
            )],
        ),
        account(
            C::DialBarred,
            &[
                ("does = \"answer\"", "does = \"forward\"\nto = \"+442079460000\""),
                ("[[standing.campaign]]", "[standing]\nbarred = [\"GB\"]\n[[standing.campaign]]"),
            ],
        ),
        account(
            C::RuleSigns,
            &[("[[group]]", "[[standing.rule]]\nname = \"keys\"\nprefix = \"{base}/\"\nsigns = true\n[[group]]")],
        ),
        account(
            C::RuleTimes,
            &[("[[group]]", "[[standing.rule]]\nname = \"patience\"\nprefix = \"{base}/\"\ntimes = true\n[[group]]")],
        ),
        config(C::NoProbe, &[("[group.probe]\nfrom = \"+15005550199\"\n", "")]),
        config(C::ProberMissing, &[(PROBER, "+15005550198")]),
        account(C::ProberLacks, &[("foreign = true", "foreign = true\nhosted = true")]),
        config(C::StateNotWritable, &[("sqlite:", "sqlite:/nowhere")]),
        config(C::StateVolatile, &[("sqlite:{state}", "sqlite:/dev/shm/ringback-check.db")]),
        Trap { env: &[("RINGBACK_TOKEN", "open sesame")], ..trap(C::ConfigurationWarns) },
        Trap { env: &[("RINGBACK_TOKEN", "")], ..trap(C::NoToken) },
        config(C::NoNotifier, &[(NOTIFY, "")]),
        config(C::OnlyThroughTwilio, &[("through_twilio = false", "through_twilio = true")]),
        Trap { notify: true, ..config(C::NotifierFails, &[("\"true\"", "\"false\"")]) },
        account(
            C::SlowSwap,
            &[
                ("[\"100ms\", \"100ms\"]", "[\"5s\", \"5s\"]"),
                ("numbers = [\"+15005550100\"", "first = \"+15005551000\"\ncount = 400\nnumbers = [\"+15005550100\""),
            ],
        ),
        arranged(C::OtherWriter, |w| edit(w, "FriendlyName", "Front desk")),
        account(C::NoCampaign, &[("[[standing.campaign]]\nservice = \"MG00000000000000000000000000000001\"\n", "")]),
        account(C::CampaignNotVerified, &[("[[standing.campaign]]", "[[standing.campaign]]\nstatus = \"FAILED\"")]),
        account(
            C::BrandNotApproved,
            &[("[[standing.campaign]]", "[[standing.campaign]]\nbrand_status = \"SUSPENDED\"")],
        ),
        account(C::TollFreeNotVerified, &[("\"+15005550101\"", "\"+18005550101\"")]),
        account(
            C::BundleNotApproved,
            &[
                ("traffic =", "bundle = \"BU00000000000000000000000000000001\"\ntraffic ="),
                (
                    "[[standing.campaign]]",
                    "[standing.bundles]\nBU00000000000000000000000000000001 = \
                     \"twilio-rejected\"\n[[standing.campaign]]",
                ),
            ],
        ),
    ]
}

/// Codes that no account can have here, and why; `src/core/check/tests.rs` tries them on facts.
pub const WITHOUT: &[(FindingCode, &str)] = &[
    (FindingCode::RegionWithoutEdge, "the simulator is one address, which is configured instead of a region"),
    (FindingCode::StateOnNetwork, "this machine has no such file system"),
    (FindingCode::StateHasLittleRoom, "this machine's disks have room"),
    (FindingCode::NoHistory, "the clean configuration has no profile"),
    (FindingCode::HistoryStale, "the clean configuration has no profile"),
    (FindingCode::ListenTaken, "it is of a process at an address, which a test of the command line has"),
];

/// The notifier of the clean configuration.
pub const NOTIFY: &str =
    "\n[[notify]]\nname = \"pager\"\nkind = \"command\"\nargv = [\"true\"]\nthrough_twilio = false\n";

/// True if the group's routing is where the traps expect it.
pub fn routing_is_known() -> bool {
    CLEAN.contains(ROUTING)
}
