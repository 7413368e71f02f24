//! What `ringback check` can find, one code each: how bad it is, why it matters on the day, and the cure.
//!
//! A code is printed, searched for, and silenced in scripts: it never changes its meaning, and one that is no longer
//! used is not given to anything else. The hundreds say what it is about. All that people read of a code stands in one
//! table, which `ringback check --explain` prints and the reference page is made from.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingSeverity {
    /// Callers would not be served, or a rollback would not work: cure it before the port day.
    Error,
    /// It works, and somebody will be surprised by it.
    Warning,
}

impl FindingSeverity {
    pub const fn label(self) -> &'static str {
        match self {
            FindingSeverity::Error => "error",
            FindingSeverity::Warning => "warning",
        }
    }
}

/// What people read of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodePage {
    /// As it is printed: `RB101`.
    pub code: &'static str,
    pub severity: FindingSeverity,
    pub title: &'static str,
    /// What comes of it on the port day.
    pub why: &'static str,
    pub cure: &'static str,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident $code:literal $severity:ident: $title:literal, why $why:literal, cure $cure:literal;)*) => {
        /// What can be found.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum FindingCode {
            $($(#[$doc])* $name,)*
        }

        impl FindingCode {
            /// All of them, in the order of their codes.
            pub const ALL: &'static [FindingCode] = &[$(FindingCode::$name,)*];

            /// What people read of it.
            pub const fn page(self) -> CodePage {
                match self {
                    $(FindingCode::$name => CodePage {
                        code: $code,
                        severity: FindingSeverity::$severity,
                        title: $title,
                        why: $why,
                        cure: $cure,
                    },)*
                }
            }
        }
    };
}

codes! {
    Credentials "RB101" Error: "Twilio does not accept the credentials",
        why "Without them nothing is seen and nothing is swapped: the agent does not start.",
        cure "Check TWILIO_ACCOUNT_SID with TWILIO_AUTH_TOKEN, or with TWILIO_API_KEY and TWILIO_API_SECRET; a key \
              belongs to one account and one region.";
    Permission "RB102" Error: "the API key lacks a permission",
        why "What the key may not read, the agent cannot see: it is blind to it on the day, or cannot prove a rollback.",
        cure "Give the key the permission in Twilio's Console (Account, API keys), or use a standard key.";
    CannotSign "RB103" Warning: "an API key cannot sign as Twilio does",
        why "Handlers and TwiML Bins answer signed requests alone, and only the primary Auth Token signs: with a key, \
             whether a fallback works is learnt when it is needed.",
        cure "Give the agent TWILIO_AUTH_TOKEN, the primary one: a secondary token that is not promoted does not sign.";
    ClockSkew "RB104" Error: "this machine's clock disagrees with Twilio's",
        why "Calls would seem to lie in the future or long ago: the agent does not start.",
        cure "Set the clock by NTP (`timedatectl set-ntp true`), and look at its time zone.";
    AccountNotActive "RB105" Error: "the account is not active",
        why "A suspended or closed account serves no call and takes no change, and no rollback cures that.",
        cure "Pay what is owed or ask Twilio's support, until the Console says active.";
    TrialAccount "RB106" Error: "it is a trial account",
        why "Callers hear Twilio's trial message, calls end after ten minutes, and a fallback can dial verified numbers \
             alone; numbers cannot be ported to it.",
        cure "Upgrade the account in Twilio's Console.";
    LowBalance "RB107" Error: "the balance does not last for a day",
        why "An account without credit is suspended, in the middle of the day and with all its numbers at once.",
        cure "Add credit, and turn on auto-recharge. If the account is invoiced, whose balance says nothing, there is \
              nothing to do.";
    RegionWithoutEdge "RB108" Warning: "a region is named without an edge",
        why "Ringback asks the one edge that leads to the region. Twilio's own libraries do not: with the same settings \
             they reach hosts that are switched off, and get 401.",
        cure "Name twilio.edge as well, here and for whatever else uses this account.";
    NumberMissing "RB201" Error: "a number that should be there is not in the account",
        why "By the configuration it has been ported. A number of another account is neither seen nor swapped.",
        cure "Check the account SID and how the number is written. If it is still to port, set port_at for its group.";
    NumberNotYet "RB202" Warning: "a number is not in the account yet",
        why "Twilio lists a number a day or two before its port. Until then nothing of it can be checked.",
        cure "Check again once it is there; if its port is due within a day, ask Twilio where it is.";
    LacksChannel "RB203" Error: "a number lacks a channel that is watched",
        why "Twilio does not have this channel of the number: nobody's calls or messages will come, and silence means \
             nothing.",
        cure "Take the channel out of the number's channels, or ask Twilio for the capability.";
    HostedVoice "RB204" Error: "a hosted number is watched for calls",
        why "Of a hosted number only the messages are at Twilio. Its calls stay where they always were, and cannot be \
             swapped.",
        cure "Take voice out of the number's channels.";
    NobodyAnswers "RB301" Error: "nobody answers",
        why "Calls fail at once without any diagnostics, and messages are kept and acted on by nobody.",
        cure "Set the handler's URL, application or trunk on the number.";
    Demo "RB302" Error: "Twilio's demo answers",
        why "A new number points at a demo of Twilio's until somebody sets a handler: every caller hears it.",
        cure "Set the handler's URL, application or trunk on the number.";
    HandlerGone "RB303" Error: "what the number points at is not there",
        why "The application, trunk or Messaging Service was deleted, or is another account's: callers find nobody.",
        cure "Point the number at one that exists.";
    TrunkWins "RB304" Warning: "a trunk wins over the number's own URL or application",
        why "Twilio sends the calls to the trunk. Whoever changes the URL changes nothing, and takes it for done.",
        cure "Clear the trunk if the URL is meant, or clear the URL if the trunk is.";
    ApplicationWins "RB305" Warning: "a TwiML application wins over the number's own URL",
        why "Twilio asks the application's URL. Whoever changes the number's changes nothing, and takes it for done.",
        cure "Clear the application if the number's URL is meant, or clear the URL if the application is.";
    ServiceWins "RB306" Warning: "a Messaging Service wins over the number's own handler",
        why "Twilio asks the service's inbound URL. Whoever changes the number's changes nothing, and takes it for done.",
        cure "Set use_inbound_webhook_on_number on the service if the number's handler is meant; otherwise clear it.";
    ServiceDropsMessages "RB307" Error: "a Messaging Service drops what comes in",
        why "Its inbound URL is empty and it does not defer to the number: messages vanish, and no log shows them.",
        cure "Give the service an inbound_request_url, or set use_inbound_webhook_on_number on it.";
    VoiceRegion "RB308" Error: "another region processes the calls",
        why "Its calls and alerts are in that region's logs alone: the agent is blind to them, and what it writes here \
             has no say there.",
        cure "Move the number's calls to this region (Routes API, voiceRegion), or run the agent with that region's \
              twilio.region, twilio.edge and key.";
    MessagingRegion "RB309" Error: "another region processes the messages",
        why "Its messages are in that region's logs alone: the agent is blind to them, and what it writes here has no \
             say there.",
        cure "Move the number's messages to this region (Routes API, messagingRegion), or run the agent with that \
              region's twilio.region, twilio.edge and key.";
    CannotSwap "RB310" Error: "the messages cannot be swapped",
        why "The Messaging Service's own webhook wins over whatever a rollback writes to the number: it would change \
             nothing, so it is refused.",
        cure "Set use_inbound_webhook_on_number on the service, which affects all its numbers, and the number's own SmsUrl; \
              or take messaging out of the group's fallback.";
    FallbackWithoutPrimary "RB311" Warning: "the number has a fallback URL and no URL",
        why "Twilio asks a fallback URL only after the first one failed (21405, 21406): alone it serves nobody, and a \
             write that keeps it is refused.",
        cure "Set the URL, or clear the fallback URL.";
    Fax "RB312" Error: "the number takes calls as a fax machine",
        why "voice_receive_mode is fax: whoever calls hears a fax machine, whatever the URL.",
        cure "Set VoiceReceiveMode to voice on the number.";
    OnFallback "RB313" Warning: "the number points at its fallback already",
        why "Callers are served by the fallback now, and a rollback would have nothing to swap to.",
        cure "Restore it (`ringback restore`), or point it at its handler.";
    TrunkLeadsNowhere "RB314" Error: "the trunk has no origination URL in use",
        why "Twilio has nowhere to send the trunk's calls (32010): every caller fails.",
        cure "Give the trunk an enabled origination URL.";
    NeitherOwners "RB315" Warning: "the handler is neither the file's nor that of whom it is handed over to",
        why "group.handler.owner says whose change is expected: any other is drift, and so are theirs if their URLs \
             begin otherwise than owner_urls say.",
        cure "Correct owner_urls or [group.handler], or declare the handler right with `ringback adopt`.";
    HandlerSilent "RB401" Error: "a handler does not answer",
        why "Twilio waits for it up to 15 seconds, and then the caller hears that an application error has occurred.",
        cure "Look whether it is up and reachable from the internet, with a certificate that Twilio accepts.";
    HandlerWrong "RB402" Error: "a handler does not answer with TwiML",
        why "The caller hears that an application error has occurred, or is hung up on.",
        cure "Let it answer HTTP 200 with TwiML as text/xml. If it refuses the signature, look which Auth Token it has.";
    HandlerSlow "RB403" Warning: "a handler answers slowly",
        why "It took more than a third of the time that Twilio waits, with one caller. On the day there are many.",
        cure "Make it answer within a second or two, before the first callers come.";
    HandlerTurnsAway "RB404" Warning: "a handler would not serve this test's caller",
        why "It answers with TwiML that serves nobody: perhaps because no real person called, perhaps everybody's case.",
        cure "Call the number yourself and listen.";
    NoFallback "RB411" Warning: "a group has no fallback",
        why "If its handler breaks, on-call is told, and nothing can be swapped.",
        cure "Make a TwiML Bin that answers or dials the old provider, and name it in [group.fallback].";
    FallbackBroken "RB412" Error: "the fallback is broken",
        why "Numbers are never swapped to a fallback that is known to be broken: there is no rollback.",
        cure "Mend the bin, and check again.";
    FallbackLoops "RB413" Error: "the fallback leads back",
        why "It dials or leads to a number or handler that fails when the fallback is needed: the call comes round again.",
        cure "Let it dial a number or SIP address at the old provider that is not ported, or speak to the caller.";
    FallbackUntold "RB414" Warning: "whether the fallback serves callers cannot be told",
        why "It answers, and what comes of that cannot be followed. A rollback goes to it, and its proof is the test.",
        cure "Make the fallback simpler, or rehearse the rollback: `ringback rehearse`.";
    DialBarred "RB415" Error: "the fallback dials a country that the account may not call",
        why "Twilio's geo permissions bar the call (13227): every caller of a swapped number is cut off.",
        cure "Allow the country in Twilio's Console (Voice, Settings, Geo permissions).";
    RuleSigns "RB421" Warning: "a Webhooks rule signs our requests in another way",
        why "Twilio signs with a shared key there, and not with the Auth Token: requests that Ringback signs are refused \
             by the handler, and look like an outage.",
        cure "Let the handler accept the Auth Token's signature as well, or do not use handler_request for its group.";
    RuleTimes "RB422" Warning: "a Webhooks rule changes time-outs or retries",
        why "Its values win over the 15 seconds and over what the URL's fragment (#rt=, #rc=) says: callers wait as long \
             as the rule says before a fallback URL is asked.",
        cure "Look at the rule in Twilio's Console, and decide whether callers should wait that long.";
    NoProbe "RB501" Warning: "a group has no test calls",
        why "A rollback is proven by a test call. Without one it stays written, never proven: that the fallback \
             answers callers is read, not heard; and nothing is seen while nobody calls.",
        cure "Name a spare number of the account in [group.probe] from.";
    ProberMissing "RB502" Error: "the number that test calls come from is not in the account",
        why "Twilio refuses calls from a number that is not the account's: no test call, no proof.",
        cure "Name a number of this account that no caller knows.";
    ProberLacks "RB503" Error: "the number that test calls come from lacks the channel",
        why "It cannot place the calls, or send the texts, that prove a rollback.",
        cure "Name a number with voice, and with messaging if messages are watched.";
    StateNotWritable "RB601" Error: "the state cannot be written",
        why "Nothing is written to a number before its snapshot is on the disk: the agent does not start.",
        cure "Make the folder, and let the agent's user write in it.";
    StateVolatile "RB602" Warning: "the state lies in memory",
        why "It is gone with the machine, and with it what was swapped and how to undo it.",
        cure "Put agent.state on a disk.";
    StateOnNetwork "RB603" Warning: "the state lies on a network's file system",
        why "Locks and syncs of these need not hold: two agents may lead at once, and a commit may be lost.",
        cure "Put agent.state on a local disk.";
    ConfigurationWarns "RB604" Warning: "the configuration works and should not stay so",
        why "It is told at every start of the agent.",
        cure "See what is said.";
    StateHasLittleRoom "RB605" Warning: "there is little room for the state",
        why "With a full disk nothing can be journaled, and what is not journaled is neither decided nor written.",
        cure "Free some space, or let agent.state lie on a larger disk.";
    ListenTaken "RB611" Warning: "another program listens at the agent's address",
        why "The agent cannot start beside it, and Prometheus would read the other's metrics.",
        cure "Stop it, or name another address in agent.listen.";
    NoToken "RB612" Warning: "there is no token for commands",
        why "`ringback rollback` and its kin cannot reach the running agent: on the day an operator has to stop it first.",
        cure "Set RINGBACK_TOKEN, or name a file in agent.token_file.";
    NoNotifier "RB621" Error: "nobody is told of anything",
        why "No notifier is configured: whatever the agent sees on the day, no one hears of it.",
        cure "Add a [[notify]].";
    OnlyThroughTwilio "RB622" Error: "no notifier is known to reach people past Twilio",
        why "When Twilio is down, on-call must hear of it by another way.",
        cure "Add a notifier that does not pass through Twilio; if a command or webhook does not, say so with \
              through_twilio = false.";
    NotifierFails "RB623" Error: "a notifier did not take the test notice",
        why "What it should bring on the day does not arrive.",
        cure "Look at its answer, its address and its key; `ringback notify --test` tries again.";
    NoHistory "RB631" Warning: "a number has no history",
        why "Its silence is judged by the day alone: if it never rings after its port, nobody is told.",
        cure "Give `ringback learn` call records that have it; a new number has none, so call it yourself after its port.";
    HistoryStale "RB632" Warning: "the history is long ago",
        why "Numbers come and go, and campaigns end: calls may be expected that come no more, and people woken for them.",
        cure "Export the latest call records from the losing provider, and make the profile again with `ringback learn`.";
    SlowSwap "RB701" Warning: "swapping a group takes long",
        why "Callers of the last numbers wait so long for their fallback after the decision.",
        cure "Split the group, or raise twilio.max_in_flight; a shared TwiML application would be one write.";
    OtherWriter "RB801" Warning: "others have changed these numbers lately",
        why "Terraform, an application or a person writes the same numbers. What undoes a swap ends the rollback, and \
             the next one needs a person.",
        cure "Find out who, and agree with them that nobody else writes on the day.";
    NoCampaign "RB901" Error: "a US number has no 10DLC campaign",
        why "US carriers refuse what an unregistered number sends (30034): no reply arrives, and no rollback cures it.",
        cure "Add the number to a Messaging Service with a verified campaign, days before: carriers take time.";
    CampaignNotVerified "RB902" Error: "the 10DLC campaign is not verified",
        why "Until it is, US carriers refuse what the number sends (30034, 30035).",
        cure "See its errors in Twilio's Console (Messaging, Regulatory compliance), and wait for its approval.";
    BrandNotApproved "RB903" Error: "the 10DLC brand is not approved",
        why "A campaign of a brand that failed or is suspended does not send.",
        cure "See the brand's errors in Twilio's Console (Messaging, Regulatory compliance).";
    TollFreeNotVerified "RB904" Error: "a toll-free number is not verified",
        why "Carriers of the US and Canada refuse what it sends (30032).",
        cure "Ask for its toll-free verification in Twilio's Console; it takes days.";
    BundleNotApproved "RB905" Error: "a number's regulatory bundle is not approved",
        why "Twilio may take the number out of service.",
        cure "Complete the bundle in Twilio's Console (Phone Numbers, Regulatory compliance).";
}

impl FindingCode {
    /// As it is printed: `RB101`.
    pub const fn code(self) -> &'static str {
        self.page().code
    }

    pub const fn severity(self) -> FindingSeverity {
        self.page().severity
    }
}

impl fmt::Display for FindingCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for FindingCode {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.code())
    }
}

/// A text that is no code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no code of a finding; `ringback check --explain all` lists them")]
pub struct UnknownCode(pub String);

impl FromStr for FindingCode {
    type Err = UnknownCode;
    fn from_str(text: &str) -> Result<FindingCode, UnknownCode> {
        let is_it = |c: &&FindingCode| c.code().eq_ignore_ascii_case(text.trim());
        FindingCode::ALL.iter().find(is_it).copied().ok_or_else(|| UnknownCode(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_in_order_and_read_back() {
        let codes: Vec<&str> = FindingCode::ALL.iter().map(|c| c.code()).collect();
        assert!(codes.windows(2).all(|pair| pair[0] < pair[1]), "{codes:?}");
        for code in FindingCode::ALL {
            assert_eq!(code.code().to_lowercase().parse(), Ok(*code));
            let CodePage { title, why, cure, .. } = code.page();
            assert!(!title.ends_with('.') && why.ends_with('.') && cure.ends_with('.'), "{code}");
        }
        assert!("RB100".parse::<FindingCode>().is_err());
    }
}
