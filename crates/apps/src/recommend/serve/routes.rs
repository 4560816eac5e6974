//! The routes: what each takes and answers. Requests are checked against this table, and the OpenAPI document is made of it.

use hyper::body::Bytes;
use hyper::header::{ALLOW, HeaderValue};
use hyper::{Response, StatusCode};

use super::answers::{self, Reply};
use super::call::Call;
use super::refusal::{Refusal, Why};
use super::{Shared, openapi};

/// What a parameter of the query holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Holds {
    /// A whole number from 1.
    Count { default: usize, most: usize },
    /// `true` or `false`, which is the default.
    Flag,
    /// A text.
    Text,
    /// A text; it may be given several times.
    Texts,
}

/// A parameter of the query.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Parameter {
    pub name: &'static str,
    pub holds: Holds,
    pub about: &'static str,
}

/// What a body is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// A list of feedback.
    Feedback,
    /// A list of feedback or of items.
    History,
}

/// How a request is answered.
#[derive(Clone, Copy)]
pub(super) enum Action {
    /// At once.
    Instant(fn(&Shared, &Call) -> Reply),
    /// By a thread that computes.
    Computed(fn(&Shared, &Call) -> Reply),
    /// Once it is on disk.
    Feedback,
}

/// One path.
pub(super) struct Route {
    pub methods: &'static [&'static str],
    /// Segments in braces hold for any.
    pub path: &'static str,
    pub about: &'static str,
    pub parameters: &'static [Parameter],
    pub body: Option<Body>,
    /// An answer; a text that is no JSON tells its type.
    pub example: &'static str,
    /// Whether it is answered without the token.
    pub is_open: bool,
    pub action: Action,
}

const N: Parameter =
    Parameter { name: "n", holds: Holds::Count { default: 10, most: 1000 }, about: "How many items, at most." };
const CATEGORY: Parameter = Parameter { name: "category", holds: Holds::Text, about: "Only items of this category." };
const EXCLUDE: Parameter =
    Parameter { name: "exclude", holds: Holds::Texts, about: "An item that is left out; may be given several times." };
const BECAUSE: Parameter = Parameter {
    name: "because",
    holds: Holds::Flag,
    about: "Answer objects of item, title, score and reasons, whose contributions sum to the score; the item of a reason is \
            null for what the score is without any history. For 100 items at most.",
};
const SEARCH: Parameter = Parameter {
    name: "search",
    holds: Holds::Text,
    about: "Words of the title; without them the items most often used.",
};

pub(super) static ROUTES: &[Route] = &[
    Route {
        methods: &["POST", "PUT"],
        path: "/api/feedback",
        about: "Add what users did. It is on disk before it is acknowledged, and counts in the next answer.",
        parameters: &[],
        body: Some(Body::Feedback),
        example: r#"{"RowAffected": 2}"#,
        is_open: false,
        action: Action::Feedback,
    },
    Route {
        methods: &["GET"],
        path: "/api/recommend/{user}",
        about: "Items for a user, the best first, without those that were seen.",
        parameters: &[N, CATEGORY, EXCLUDE, BECAUSE],
        body: None,
        example: r#"["24", "34", "10"]"#,
        is_open: false,
        action: Action::Computed(answers::recommend),
    },
    Route {
        methods: &["POST"],
        path: "/api/session/recommend",
        about: "Items for somebody of whom nothing is known but the history in the body, the last item at last.",
        parameters: &[N, CATEGORY, EXCLUDE, BECAUSE],
        body: Some(Body::History),
        example: r#"[{"Id": "24", "Score": 0.83}]"#,
        is_open: false,
        action: Action::Computed(answers::session),
    },
    Route {
        methods: &["GET"],
        path: "/api/item/{id}/neighbors",
        about: "Items that are like one.",
        parameters: &[N],
        body: None,
        example: r#"[{"Id": "24", "Score": 0.83}]"#,
        is_open: false,
        action: Action::Computed(answers::neighbors),
    },
    Route {
        methods: &["GET"],
        path: "/api/item/{id}",
        about: "What is known of an item.",
        parameters: &[],
        body: None,
        example: r#"{"ItemId": "24", "Title": "Sunrise (1927)", "Categories": ["Romance", "Drama"]}"#,
        is_open: false,
        action: Action::Computed(answers::item),
    },
    Route {
        methods: &["GET"],
        path: "/api/items",
        about: "Search the catalogue.",
        parameters: &[N, SEARCH],
        body: None,
        example: r#"[{"ItemId": "24", "Title": "Sunrise (1927)", "Categories": ["Romance", "Drama"]}]"#,
        is_open: false,
        action: Action::Computed(answers::items),
    },
    Route {
        methods: &["GET"],
        path: "/api/categories",
        about: "All categories.",
        parameters: &[],
        body: None,
        example: r#"["Comedy", "Drama"]"#,
        is_open: false,
        action: Action::Instant(answers::categories),
    },
    Route {
        methods: &["GET"],
        path: "/api/health/live",
        about: "Whether the server runs.",
        parameters: &[],
        body: None,
        example: r#"{"Live": true}"#,
        is_open: true,
        action: Action::Instant(answers::live),
    },
    Route {
        methods: &["GET"],
        path: "/api/health/ready",
        about: "Whether it can be asked; with status 503 if the last feedback could not be written.",
        parameters: &[],
        body: None,
        example: r#"{"Ready": true}"#,
        is_open: true,
        action: Action::Instant(answers::ready),
    },
    Route {
        methods: &["GET"],
        path: "/metrics",
        about: "Requests, their times, and feedback, as Prometheus reads them.",
        parameters: &[],
        body: None,
        example: "text/plain; version=0.0.4",
        is_open: false,
        action: Action::Instant(answers::metrics),
    },
    Route {
        methods: &["GET"],
        path: "/api/openapi.json",
        about: "This document.",
        parameters: &[],
        body: None,
        example: r#"{"openapi": "3.1.0"}"#,
        is_open: true,
        action: Action::Instant(|_, _| answers::json(StatusCode::OK, &openapi::document())),
    },
    Route {
        methods: &["GET"],
        path: "/api/docs",
        about: "This document, to be read and tried.",
        parameters: &[],
        body: None,
        example: "text/html; charset=utf-8",
        is_open: true,
        action: Action::Instant(|_, _| answers::page(include_str!("docs.html"))),
    },
    Route {
        methods: &["GET"],
        path: "/",
        about: "A page to search, like and see recommendations change.",
        parameters: &[],
        body: None,
        example: "text/html; charset=utf-8",
        is_open: true,
        action: Action::Instant(|_, _| answers::page(include_str!("page.html"))),
    },
];

/// The route of a path, and what stands in the place of its braces.
pub(super) fn find(method: &str, path: &str) -> Result<(&'static Route, Vec<String>), Refusal> {
    let method = if method == "HEAD" { "GET" } else { method };
    let mut others = Vec::new();
    for route in ROUTES {
        let Some(arguments) = arguments(route.path, path)? else { continue };
        if route.methods.contains(&method) {
            return Ok((route, arguments));
        }
        others.extend_from_slice(route.methods);
    }
    if others.is_empty() {
        let message = format!("nothing is at `{}`", footlight::nn::suggest::shown(path));
        return Err(Refusal::new(Why::NotFound, message).help("see /api/docs"));
    }
    let message = format!("`{path}` takes {}", others.join(" and "));
    let allowed = HeaderValue::from_str(&others.join(", ")).expect("methods are letters");
    Err(Refusal::new(Why::MethodNotAllowed, message).header(ALLOW, allowed))
}

/// What stands in the place of the braces of `pattern`, if `path` is one of its paths.
fn arguments(pattern: &str, path: &str) -> Result<Option<Vec<String>>, Refusal> {
    let mut arguments = Vec::new();
    let (mut wanted, mut got) = (pattern.split('/'), path.split('/'));
    loop {
        match (wanted.next(), got.next()) {
            (None, None) => return Ok(Some(arguments)),
            (Some(wanted), Some(got)) if wanted.starts_with('{') && !got.is_empty() => {
                let text = percent_encoding::percent_decode_str(got).decode_utf8();
                let text = text.map_err(|_| Refusal::new(Why::BadRequest, format!("`{got}` is no UTF-8")))?;
                arguments.push(text.into_owned());
            }
            (wanted, got) if wanted == got => {}
            _ => return Ok(None),
        }
    }
}

/// An answer as the network carries it.
pub(super) type Answer = Response<http_body_util::Full<Bytes>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_found_with_what_stands_in_them() {
        let found = |path| find("GET", path).map(|(route, arguments)| (route.path, arguments));
        assert_eq!(found("/").unwrap(), ("/", vec![]));
        assert_eq!(found("/api/item/a%2Fb%20c/neighbors").unwrap(), ("/api/item/{id}/neighbors", vec!["a/b c".into()]));
        assert_eq!(found("/api/item/7").unwrap(), ("/api/item/{id}", vec!["7".into()]));
        for path in ["", "/api", "/api/recommend/", "/api/recommend/7/", "//", "/api/item//neighbors"] {
            assert_eq!(found(path).unwrap_err().why, Why::NotFound, "{path}");
        }
        assert_eq!(found("/api/item/%ff").unwrap_err().why, Why::BadRequest);
        let error = find("DELETE", "/api/feedback").map(drop).unwrap_err();
        assert_eq!((error.why, error.message.as_str()), (Why::MethodNotAllowed, "`/api/feedback` takes POST and PUT"));
    }

    #[test]
    fn no_path_stands_behind_another_that_answers_it() {
        for (index, route) in ROUTES.iter().enumerate() {
            let path = route.path.replace(['{', '}'], "");
            for method in route.methods {
                let first = ROUTES.iter().position(|other| std::ptr::eq(other, find(method, &path).unwrap().0));
                assert_eq!(first, Some(index), "{method} {path}");
            }
        }
    }
}
