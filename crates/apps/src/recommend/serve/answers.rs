//! What the routes answer. Lists have the shape that clients of Gorse know, unless reasons are asked for.

use std::sync::RwLockReadGuard;

use footlight::nn::suggest;
use http_body_util::Full;
use hyper::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::{Response, StatusCode};
use serde_json::{Value as Json, json};

use super::super::{Query, Reason, Recommendation, Recommender, Update};
use super::call::Call;
use super::refusal::{Refusal, Why};
use super::routes::Answer;
use super::{Shared, feedback};

pub(super) type Reply = Result<Answer, Refusal>;

/// Items with reasons in one answer, at most.
const EXPLAINED: usize = 100;
/// A page may run what it holds and ask this server, nothing else.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; img-src data:; base-uri \
     'none'; form-action 'none'; frame-ancestors 'none'",
);

/// An answer of a type.
pub(super) fn typed(status: StatusCode, kind: &'static str, body: impl Into<hyper::body::Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

pub(super) fn json(status: StatusCode, body: &Json) -> Reply {
    Ok(typed(status, "application/json", body.to_string()))
}

pub(super) fn page(html: &'static str) -> Reply {
    let mut answer = typed(StatusCode::OK, "text/html; charset=utf-8", html);
    answer.headers_mut().insert(CONTENT_SECURITY_POLICY, POLICY);
    Ok(answer)
}

fn ok(body: impl Into<Json>) -> Reply {
    json(StatusCode::OK, &body.into())
}

impl Shared {
    fn recommender(&self) -> RwLockReadGuard<'_, Recommender> {
        self.recommender.read().expect("no update panics")
    }
}

/// Feedback that counts from now on.
pub(super) fn acknowledged(update: &Update) -> Reply {
    let unknown: usize = update.unknown_items.iter().map(|(_, count)| count).sum();
    let mut body = json!({ "RowAffected": update.added + unknown });
    if unknown > 0 {
        let items: Vec<Json> =
            update.unknown_items.iter().map(|(item, count)| json!({ "ItemId": item, "Events": count })).collect();
        body["UnknownItems"] = items.into();
    }
    ok(body)
}

/// `GET /api/recommend/{user}`.
pub(super) fn recommend(shared: &Shared, call: &Call) -> Reply {
    let recommender = shared.recommender();
    let user = call.argument();
    if recommender.data().users.get(user).is_none() {
        let message = format!("user `{}` is not known among {}", suggest::shown(user), recommender.data().users.len());
        return Err(Refusal::new(Why::UnknownUser, message)
            .help("send feedback of the user, or a history to /api/session/recommend"));
    }
    let items = answered(shared, &recommender, call, Query::of_user(user))?;
    if call.flag("because") {
        return ok(items.iter().map(|item| explained(&recommender, item)).collect::<Vec<_>>());
    }
    ok(items.into_iter().map(|item| item.item).collect::<Vec<_>>())
}

/// `POST /api/session/recommend`.
pub(super) fn session(shared: &Shared, call: &Call) -> Reply {
    let history = feedback::history(&call.body)?;
    let recommender = shared.recommender();
    for (item, _) in &history {
        known(&recommender, item)?;
    }
    let liked = history.iter().filter(|(_, kind)| kind.is_positive()).map(|(item, _)| item.as_str());
    let left = history.iter().filter(|(_, kind)| kind.is_seen() && !kind.is_positive()).map(|(item, _)| item.as_str());
    let items = answered(shared, &recommender, call, Query::of_history(liked).exclude(left))?;
    if call.flag("because") {
        return ok(items.iter().map(|item| explained(&recommender, item)).collect::<Vec<_>>());
    }
    ok(items.iter().map(|item| scored(&item.item, item.score)).collect::<Vec<_>>())
}

fn answered(
    shared: &Shared,
    recommender: &Recommender,
    call: &Call,
    mut query: Query,
) -> Result<Vec<Recommendation>, Refusal> {
    for item in call.all("exclude") {
        known(recommender, item)?;
    }
    if let Some(category) = call.text("category") {
        let all: Vec<&str> = shared.catalogue.categories.iter().map(String::as_str).collect();
        if !all.iter().any(|known| known.eq_ignore_ascii_case(category)) {
            return Err(Refusal::unknown(Why::UnknownCategory, "category", category, &all));
        }
        query = query.category(category);
    }
    let (n, because) = (call.count("n"), call.flag("because"));
    if because && n > EXPLAINED {
        let message = format!("`n={n}`: with because=true {EXPLAINED} at most");
        return Err(Refusal::new(Why::BadRequest, message));
    }
    Ok(recommender.recommend(&query.exclude(call.all("exclude")).k(n).because(because))?)
}

fn known(recommender: &Recommender, item: &str) -> Result<u32, Refusal> {
    recommender.data().items.get(item).ok_or_else(|| {
        let known = recommender.data().items.len();
        Refusal::new(Why::UnknownItem, format!("item `{}` is not known among {known}", suggest::shown(item)))
            .help("search for its name by /api/items?search=TITLE")
    })
}

fn scored(item: &str, score: f32) -> Json {
    json!({ "Id": item, "Score": score })
}

/// An item with its reasons, as `footlight recommend for --because --json` prints it.
fn explained(recommender: &Recommender, recommendation: &Recommendation) -> Json {
    let Recommendation { item, score, because } = recommendation;
    let reason = |Reason { item, contribution }: &Reason| json!({ "item": item, "contribution": contribution });
    let because: Vec<Json> = because.iter().map(reason).collect();
    json!({ "item": item, "title": recommender.title(item), "score": score, "because": because })
}

/// `GET /api/item/{id}/neighbors`.
pub(super) fn neighbors(shared: &Shared, call: &Call) -> Reply {
    let recommender = shared.recommender();
    known(&recommender, call.argument())?;
    let similar = recommender.similar(call.argument(), call.count("n"))?;
    ok(similar.iter().map(|similar| scored(&similar.item, similar.score)).collect::<Vec<_>>())
}

/// `GET /api/item/{id}`.
pub(super) fn item(shared: &Shared, call: &Call) -> Reply {
    let recommender = shared.recommender();
    let index = known(&recommender, call.argument())?;
    ok(described(&recommender, index))
}

/// `GET /api/items`.
pub(super) fn items(shared: &Shared, call: &Call) -> Reply {
    let found = shared.catalogue.search(call.text("search").unwrap_or_default(), call.count("n"));
    let recommender = shared.recommender();
    ok(found.into_iter().map(|index| described(&recommender, index)).collect::<Vec<_>>())
}

fn described(recommender: &Recommender, index: u32) -> Json {
    let name = recommender.data().items.name(index);
    let categories = &recommender.data().catalogue[index as usize].categories;
    json!({ "ItemId": name, "Title": recommender.title(name), "Categories": categories })
}

/// `GET /api/categories`.
pub(super) fn categories(shared: &Shared, _: &Call) -> Reply {
    ok(shared.catalogue.categories.clone())
}

/// `GET /api/health/live`.
pub(super) fn live(_: &Shared, _: &Call) -> Reply {
    ok(json!({ "Live": true }))
}

/// `GET /api/health/ready`.
pub(super) fn ready(shared: &Shared, _: &Call) -> Reply {
    match shared.intake.is_broken() {
        false => ok(json!({ "Ready": true })),
        true => json(
            StatusCode::SERVICE_UNAVAILABLE,
            &json!({ "Ready": false, "StoreError": "the last feedback could not be written" }),
        ),
    }
}

/// `GET /metrics`.
pub(super) fn metrics(shared: &Shared, _: &Call) -> Reply {
    let (users, items) = {
        let recommender = shared.recommender();
        (recommender.data().users.len(), recommender.data().items.len())
    };
    let text = shared.metrics.print(&[
        ("footlight_users", "Users who are known.", users),
        ("footlight_items", "Items that can be recommended.", items),
    ]);
    Ok(typed(StatusCode::OK, "text/plain; version=0.0.4", text))
}
