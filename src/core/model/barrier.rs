//! What keeps Twilio from doing anything for us: where logs cannot be read for it, no command can write either.

/// Why Twilio is asked in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Barrier {
    Credentials,
    Unreachable,
}

impl Barrier {
    const ALL: [Barrier; 2] = [Barrier::Credentials, Barrier::Unreachable];

    /// As errors say it, and so the details of orders that failed.
    pub const fn text(self) -> &'static str {
        match self {
            Barrier::Credentials => "Twilio does not accept the credentials",
            Barrier::Unreachable => "cannot reach Twilio",
        }
    }

    /// The barrier that an error tells of, which may have been kept as a text.
    pub fn told_in(error: &str) -> Option<Barrier> {
        Barrier::ALL.into_iter().find(|b| error.contains(b.text()))
    }

    /// What to mend, and when that is noticed.
    pub const fn mend(self) -> &'static str {
        match self {
            Barrier::Credentials => {
                "Mend the credentials: TWILIO_AUTH_TOKEN (or the file of twilio.auth_token_file), or TWILIO_API_KEY \
                 with TWILIO_API_SECRET (or the file of twilio.api_secret_file), of the account TWILIO_ACCOUNT_SID. \
                 New ones are taken up when the agent is restarted; old ones that Twilio accepts again are noticed at the \
                 next poll"
            }
            Barrier::Unreachable => {
                "Mend this machine's way to Twilio: the network, DNS, HTTPS_PROXY and twilio.base_url. Ringback asks \
                 again by itself and notices at the next poll"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_known_by_its_text() {
        for barrier in Barrier::ALL {
            assert_eq!(Barrier::told_in(&format!("list_calls: {} (HTTP 401)", barrier.text())), Some(barrier));
        }
        assert_eq!(Barrier::told_in("list_calls: Twilio failed (HTTP 500)"), None);
    }
}
