//! Twilio's refusals: an HTTP status and a code of Twilio's own.

use serde::Serialize;

/// As Twilio's hosts label what they send.
pub const JSON: &str = "application/json;charset=utf-8";

/// A request that is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    pub status: u16,
    pub code: u32,
    pub message: String,
}

impl ApiError {
    pub fn new(status: u16, code: u32, message: &str) -> ApiError {
        ApiError { status, code, message: message.to_owned() }
    }

    /// Not Twilio's own words, but something's on the way: `body` as it is.
    pub fn foreign(status: u16, body: &str) -> ApiError {
        ApiError::new(status, 0, body)
    }

    pub fn bad_request(code: u32, message: &str) -> ApiError {
        ApiError::new(400, code, message)
    }

    pub fn not_found(path: &str) -> ApiError {
        ApiError::new(404, 20404, &format!("The requested resource {path} was not found"))
    }

    pub fn authenticate() -> ApiError {
        ApiError::new(401, 20003, "Authenticate")
    }

    pub fn too_many() -> ApiError {
        ApiError::new(429, 20429, "Too Many Requests")
    }

    pub fn method_not_allowed() -> ApiError {
        ApiError::new(405, 20004, "Method not allowed")
    }

    /// The content type and body that go with it.
    pub fn body(&self) -> (&'static str, Vec<u8>) {
        if self.code == 0 {
            return ("text/html", self.message.clone().into_bytes());
        }
        #[derive(Serialize)]
        struct Body<'a> {
            code: u32,
            message: &'a str,
            more_info: String,
            status: u16,
        }
        let more_info = format!("https://www.twilio.com/docs/errors/{}", self.code);
        let body = Body { code: self.code, message: &self.message, more_info, status: self.status };
        (JSON, serde_json::to_vec(&body).expect("strings and numbers can be written"))
    }
}
