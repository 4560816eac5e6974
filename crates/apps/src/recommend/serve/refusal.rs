//! What a request is told that cannot be answered.

use footlight::nn::suggest;
use footlight::{Error, ErrorKind};
use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue};
use serde_json::{Value as Json, json};

/// Why a request is refused; stable, to be matched on by clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    BadRequest,
    Unauthorized,
    ForeignSite,
    UnknownUser,
    UnknownItem,
    UnknownCategory,
    NotFound,
    MethodNotAllowed,
    TooSlow,
    TooLarge,
    Busy,
    Store,
    Internal,
}

impl Why {
    /// The name in the answer, and the status.
    pub fn told(self) -> (&'static str, StatusCode) {
        match self {
            Why::BadRequest => ("bad_request", StatusCode::BAD_REQUEST),
            Why::Unauthorized => ("unauthorized", StatusCode::UNAUTHORIZED),
            Why::ForeignSite => ("foreign_site", StatusCode::FORBIDDEN),
            Why::UnknownUser => ("unknown_user", StatusCode::NOT_FOUND),
            Why::UnknownItem => ("unknown_item", StatusCode::NOT_FOUND),
            Why::UnknownCategory => ("unknown_category", StatusCode::NOT_FOUND),
            Why::NotFound => ("not_found", StatusCode::NOT_FOUND),
            Why::MethodNotAllowed => ("method_not_allowed", StatusCode::METHOD_NOT_ALLOWED),
            Why::TooSlow => ("too_slow", StatusCode::REQUEST_TIMEOUT),
            Why::TooLarge => ("too_large", StatusCode::PAYLOAD_TOO_LARGE),
            Why::Busy => ("busy", StatusCode::SERVICE_UNAVAILABLE),
            Why::Store => ("store", StatusCode::SERVICE_UNAVAILABLE),
            Why::Internal => ("internal", StatusCode::INTERNAL_SERVER_ERROR),
        }
    }
}

/// A request that is not answered.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Refusal {
    pub why: Why,
    pub message: String,
    pub help: Option<String>,
    /// A header that belongs to the answer.
    pub header: Option<Box<(HeaderName, HeaderValue)>>,
}

impl Refusal {
    pub fn new(why: Why, message: impl Into<String>) -> Refusal {
        Refusal { why, message: message.into(), help: None, header: None }
    }

    pub fn help(mut self, help: impl Into<String>) -> Refusal {
        self.help = Some(help.into());
        self
    }

    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Refusal {
        self.header = Some(Box::new((name, value)));
        self
    }

    /// A `what` that is none of the legal ones.
    pub fn unknown(why: Why, what: &str, name: &str, legal: &[&str]) -> Refusal {
        Refusal { why, ..Refusal::from(Error::from(suggest::unknown(what, name, legal))) }
    }

    /// `{"error": {"kind", "message", "help"}}`; the help is left out where there is none.
    pub fn to_json(&self) -> Json {
        let mut error = json!({ "kind": self.why.told().0, "message": self.message });
        if let Some(help) = &self.help {
            error["help"] = json!(help);
        }
        json!({ "error": error })
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        let why = if error.kind() == ErrorKind::Config { Why::BadRequest } else { Why::Internal };
        Refusal { why, message: error.message().into(), help: error.help_text().map(str::to_string), header: None }
    }
}
