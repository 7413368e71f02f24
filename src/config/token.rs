//! Whether a token can be guessed.
//!
//! What could be guessed in an afternoon is a fault: what is short or regular, words that people write where a token
//! should be, and whatever somebody may know who knows the configuration, the account or the numbers. A token may hold
//! such words beside what is a token by itself; without them it is looked at as if they were not there. Capitals,
//! punctuation and digits in the place of letters make no difference.
//!
//! What is merely short is a warning.

use secrecy::{ExposeSecret, SecretString};

use super::section::Faults;
use crate::core::model::id::E164;
use crate::twilio::credentials::{Credentials, Secret};

/// A shorter token is none.
const SHORTEST: usize = 6;

/// A shorter one is warned of.
const SHORT: usize = 16;

/// With fewer different characters it is no token, whatever its length.
const FEWEST: usize = 4;

/// What is left of a token without words that anybody would try must have as many letters and digits: a trillion tries
/// are too many for an afternoon, and a year with four digits is too little.
const BESIDE_WORDS: usize = 12;

/// A shorter value is a syllable, which any token may have.
const SHORTEST_VALUE: usize = 4;

/// What people write where a token should be.
const WORDS: [&str; 60] = [
    "password",
    "passwort",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "bearer",
    "admin",
    "administrator",
    "changeme",
    "changeit",
    "changethis",
    "replaceme",
    "replacethis",
    "fillmein",
    "putyour",
    "letmein",
    "welcome",
    "default",
    "example",
    "placeholder",
    "insecure",
    "security",
    "qwerty",
    "qwertz",
    "qwertyuiop",
    "asdfgh",
    "asdfghjkl",
    "zxcvbnm",
    "yxcvbnm",
    "1qaz2wsx",
    "qazwsx",
    "1q2w3e4r",
    "1q2w3e4r5t",
    "abc123",
    "abcdef",
    "iloveyou",
    "monkey",
    "dragon",
    "master",
    "ringback",
    "twilio",
    "prometheus",
    "grafana",
    "operator",
    "engineer",
    "oncall",
    "rollback",
    "fallback",
    "portday",
    "porting",
    "webhook",
    "apikey",
    "access",
    "production",
    "staging",
    "development",
    "testing",
    "todo",
    "hunter2",
];

const CURE: &str =
    "make one with `openssl rand -hex 32`, or let `ringback init` make one beside a new configuration (ringback.token)";

/// What somebody may know who knows the configuration: its values, none of which is a secret.
#[derive(Debug, Default)]
pub struct KnownValues(Vec<String>);

impl KnownValues {
    /// A value, and the words in it: of a URL the host's names and the path's.
    pub fn add(&mut self, value: &str) {
        let words = value.split(|c: char| !c.is_alphanumeric());
        for text in words.chain([value]) {
            let text = plain(text);
            if text.chars().count() >= SHORTEST_VALUE {
                self.0.push(text);
            }
        }
    }

    /// A number, also as it is dialled at home.
    pub fn add_number(&mut self, number: E164) {
        let digits = number.to_string();
        for beginning in [1, 2, 3, 4] {
            self.0.extend(digits.get(beginning..).map(plain));
        }
    }

    /// Whose account it is; the secret is none of it.
    pub fn add_account(&mut self, credentials: &Credentials) {
        self.add(&credentials.account.to_string());
        self.add(&credentials.username());
    }

    /// The longest values first, as tokens are compared with them.
    pub fn in_order(mut self) -> KnownValues {
        self.0.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        self.0.dedup();
        self
    }
}

/// Notes a fault with `fault` if the token, which is called `name`, can be guessed, and a warning if it is short.
pub fn is_strong(name: &str, token: &SecretString, faults: &Faults, fault: impl Fn(String)) {
    match weakness(token.expose_secret(), &KnownValues::default()) {
        Some(Weakness::Guessable(why)) => fault(format!("{name} {why}: {CURE}")),
        Some(Weakness::Short) => {
            faults.warn(format!("{name} has fewer than {SHORT} characters: {CURE}"));
        }
        None => {}
    }
}

/// Notes a fault if the token is made of what is known anyway: one that [`is_strong`] has not refused already.
/// `known` is [in order](KnownValues::in_order).
pub fn is_not_known(name: &str, token: &SecretString, known: &KnownValues, faults: &Faults) {
    let token = token.expose_secret();
    if matches!(weakness(token, &KnownValues::default()), Some(Weakness::Guessable(_))) {
        return;
    }
    if let Some(Weakness::Guessable(why)) = weakness(token, known) {
        faults.nowhere(format!("{name} {why}: {CURE}"));
    }
}

/// Notes a fault if the token is one of Twilio's secrets: it is shown to whoever operates the agent.
pub fn differs_from(called: &str, token: &SecretString, secret: &Secret, faults: &Faults) {
    let (theirs, name) = match secret {
        Secret::AuthToken(token) => (token, "Auth Token"),
        Secret::ApiKey { secret, .. } => (secret, "API key's secret"),
    };
    if theirs.expose_secret() == token.expose_secret() {
        faults.nowhere(format!(
            "{called} is the account's {name}, which opens the whole account: {CURE}, and write that"
        ));
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Weakness {
    Guessable(&'static str),
    Short,
}

/// `known` has the longest values first.
fn weakness(token: &str, known: &KnownValues) -> Option<Weakness> {
    let guessable = |why| Some(Weakness::Guessable(why));
    let length = token.chars().count();
    if length < SHORTEST {
        return guessable("is too short to be one");
    }
    if let Some(why) = regularity(token) {
        return guessable(why);
    }
    let plain = plain(token);
    let letters = plain.chars().count();
    if letters >= SHORTEST && known.0.iter().any(|value| value.contains(&plain)) {
        return guessable("is a value of the configuration, or a part of one, and no secret");
    }
    let without_known = without(&plain, known.0.iter().map(String::as_str));
    let is_left = |rest: &str| rest.chars().count() >= BESIDE_WORDS && regularity(rest).is_none();
    if without_known.len() < plain.len() && !is_left(&without_known) {
        return guessable("is made of values of the configuration, which are no secrets");
    }
    let words: Vec<String> = WORDS.iter().map(|word| self::plain(word)).collect();
    let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    let without_words = without(&without_known, words);
    if without_words.len() < without_known.len() && !is_left(&without_words) {
        return guessable("is among the first that anybody would try");
    }
    (length < SHORT).then_some(Weakness::Short)
}

/// What is regular in a text, so that it has less in it than its length says.
fn regularity(text: &str) -> Option<&'static str> {
    let chars: Vec<char> = text.chars().collect();
    let mut distinct = chars.clone();
    distinct.sort_unstable();
    distinct.dedup();
    let letters: Vec<char> = text.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect();
    let unit = period(&letters);
    // How often a character is not the one before it, or the next to that: 12345, edcba and aabbcc have one step.
    let steps = chars.windows(2).filter(|pair| u32::from(pair[0]).abs_diff(u32::from(pair[1])) > 1).count();
    if distinct.len() < FEWEST || unit * 2 <= letters.len() && unit < BESIDE_WORDS {
        Some("repeats a few characters, or a word")
    } else if steps < 2 || letters.len() >= SHORTEST && steps * 4 < letters.len() {
        Some("is among the first that anybody would try")
    } else {
        None
    }
}

/// The length of what a text repeats; its own if it repeats nothing.
fn period(letters: &[char]) -> usize {
    let repeats = |unit: &usize| letters.iter().skip(*unit).zip(letters).all(|(later, sooner)| later == sooner);
    (1..letters.len()).find(repeats).unwrap_or(letters.len())
}

/// Letters and digits in lower case, those alike that stand for each other.
fn plain(text: &str) -> String {
    let alike = |c: char| match c {
        '0' => 'o',
        '1' | 'l' | '|' => 'i',
        '3' => 'e',
        '4' | '@' => 'a',
        '5' | '$' => 's',
        '7' => 't',
        c => c,
    };
    text.to_lowercase().chars().map(alike).filter(|c| c.is_alphanumeric()).collect()
}

/// A text without these words, also those that come together only once others are taken out.
fn without<'a>(text: &str, words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<&str> = words.into_iter().collect();
    let mut rest = text.to_owned();
    // Each round makes it shorter.
    while let Some(word) = words.iter().find(|word| rest.contains(**word)) {
        rest = rest.replacen(word, "", 1);
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> KnownValues {
        let mut known = KnownValues::default();
        for value in ["AC51b077ed00004000a000000000000001", "https://voice.acmecorp.example.com/ivr/start", "helpdesk"]
        {
            known.add(value);
        }
        known.add_number("+15005550100".parse().unwrap());
        known.in_order()
    }

    #[test]
    fn what_could_be_guessed_is_no_token() {
        for token in [
            "x",
            "12345678",
            "1234567890",
            "87654321",
            "1234567890123456789012345678901234567890",
            "abcdefgh",
            "abcdefghijklmnopqrstuvwxyz",
            "aaaaaaaaaaaaaaaaaaaaaaaa",
            "aabbccddeeffgghhiijjkk",
            "abababababab",
            "hunterhunterhunter",
            "Sesame-sesame-SESAME-sesame",
            "password",
            "Password1",
            "p@ssw0rd!2026",
            "passwordpasswordpassword",
            "changeme",
            "change-me",
            "CHANGE_ME_2026",
            "changeme-please-now",
            "changeMe_changeMe_secret",
            "chachangemengeme",
            "ch4ng3m3-ch4ng3m3-2026",
            "secret",
            "secret token",
            "ringback",
            "my-ringback-token-2026",
            "adm1nt0ken",
            "token123",
            "qwertyuiop-asdfghjkl-1",
        ] {
            let is = weakness(token, &KnownValues::default());
            assert!(matches!(is, Some(Weakness::Guessable(_))), "{token}: {is:?}");
        }
        for token in ["open sesame", "sesame", "blueh0rizon", "hunter"] {
            assert_eq!(weakness(token, &known()), Some(Weakness::Short), "{token}");
        }
    }

    #[test]
    fn what_is_known_anyway_is_no_token() {
        for token in [
            "AC51b077ed00004000a000000000000001",
            "ac51b077ed00004000a000000000000001",
            "AC51b077ed00004000a000000000000001!",
            "token-AC51b077ed00004000a000000000000001",
            "51b077ed00004000a00000000",
            "+15005550100",
            "15005550100",
            "500-555-0100",
            "(500) 555 0100 ringback",
            "0100 0010 5550 51005 +15005550100",
            "https://voice.acmecorp.example.com/ivr/start",
            "voice.acmecorp.example.com",
            "acmecorp-helpdesk-2026",
            "helpdeskhelpdeskhelpdesk",
        ] {
            let is = weakness(token, &known());
            assert!(matches!(is, Some(Weakness::Guessable(_))), "{token}: {is:?}");
        }
        // Beside what is a token by itself they do no harm.
        for token in ["0f3a9c5d7e1b2468", "helpdesk-0f3a9c5d7e1b2468", "ringback_token_q7Zp0Yx3VbN2mKfA"] {
            assert_eq!(weakness(token, &known()), None, "{token}");
        }
    }

    /// What `openssl rand` and `ringback init` make is taken, whatever comes up.
    #[test]
    fn what_is_made_by_chance_is_taken() {
        let mut x = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = || {
            // xorshift64*
            x ^= x >> 12;
            x ^= x << 25;
            x ^= x >> 27;
            x.wrapping_mul(0x2545_f491_4f6c_dd1d)
        };
        for _ in 0..2000 {
            let long = format!("{:016x}{:016x}{:016x}{:016x}", next(), next(), next(), next());
            assert_eq!(weakness(&long, &known()), None, "{long}");
            let is = weakness(&long[..24], &known());
            assert_eq!(is, None, "{}", &long[..24]);
        }
    }
}
