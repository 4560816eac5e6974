//! Lists of feedback in the bodies of requests.

use footlight::nn::suggest;
use serde_json::{Map, Value as Json};

use super::super::data::{EventKind, NamedEvent, time};
use super::refusal::{Refusal, Why};

/// The members of a feedback; a comment is passed over.
const MEMBERS: [&str; 6] = ["FeedbackType", "UserId", "ItemId", "Value", "Timestamp", "Comment"];
/// Longer names are refused, in bytes.
const LONGEST: usize = 512;
/// Faults that are told of one body.
const TOLD: usize = 10;

/// What a body says that users did; what says no time happened at `now`.
///
/// # Errors
/// A body that is no list of feedback; up to ten faults, each with its place.
pub(super) fn read(body: &[u8], now: i64) -> Result<Vec<NamedEvent>, Refusal> {
    each(body, |feedback| event(feedback, true, now))
}

/// The items of a history with what was done; each is the name of an item, or a feedback without a user.
///
/// # Errors
/// As [`read`].
pub(super) fn history(body: &[u8]) -> Result<Vec<(String, EventKind)>, Refusal> {
    each(body, |item| match item {
        Json::String(item) => Ok((named("item", item)?, EventKind::Play)),
        feedback => event(feedback, false, 0).map(|event| (event.item, event.kind)),
    })
}

fn each<T>(body: &[u8], read: impl Fn(&Json) -> Result<T, String>) -> Result<Vec<T>, Refusal> {
    let bad = |message: String| Refusal::new(Why::BadRequest, message).help("see /api/docs for an example");
    let list: Json = serde_json::from_slice(body).map_err(|error| bad(format!("the body is no JSON: {error}")))?;
    let Json::Array(list) = list else { return Err(bad("the body has to be a list".into())) };
    let (mut all, mut faults) = (Vec::with_capacity(list.len()), Vec::new());
    for (index, element) in list.iter().enumerate() {
        match read(element) {
            Ok(element) => all.push(element),
            Err(fault) => faults.push(format!("[{index}]: {fault}")),
        }
    }
    if faults.is_empty() {
        return Ok(all);
    }
    let more = faults.len().saturating_sub(TOLD);
    faults.truncate(TOLD);
    if more > 0 {
        faults.push(format!("and {more} more"));
    }
    Err(bad(faults.join("\n")))
}

fn event(feedback: &Json, has_user: bool, now: i64) -> Result<NamedEvent, String> {
    let Json::Object(members) = feedback else { return Err("it is no object".into()) };
    if let Some(unknown) = members.keys().find(|name| !MEMBERS.contains(&name.as_str())) {
        return Err(one_line(&suggest::unknown("member", unknown, &MEMBERS)));
    }
    let text = |name: &str| match members.get(name) {
        Some(Json::String(text)) => named(name, text),
        Some(_) => Err(format!("`{name}` is no text")),
        None => Err(format!("`{name}` is missing")),
    };
    let kind = text("FeedbackType")?;
    let unknown = || one_line(&suggest::unknown("FeedbackType", &kind, &EventKind::NAMES));
    let kind = EventKind::from_name(&kind).ok_or_else(unknown)?;
    let user = if has_user { text("UserId")? } else { String::new() };
    let value = value(members, kind)?;
    Ok(NamedEvent { user, item: text("ItemId")?, kind, value, time: moment(members.get("Timestamp"), now)? })
}

fn one_line(error: &footlight::nn::Error) -> String {
    error.to_string().split('\n').map(str::trim).collect::<Vec<_>>().join("; ")
}

fn named(what: &str, name: &str) -> Result<String, String> {
    match name.len() {
        0 => Err(format!("`{what}` is empty")),
        1..=LONGEST => Ok(name.into()),
        longer => Err(format!("`{what}` has {longer} bytes, {LONGEST} at most are taken")),
    }
}

fn value(members: &Map<String, Json>, kind: EventKind) -> Result<f32, String> {
    match members.get("Value") {
        None if kind == EventKind::Rating => Err("a rating needs a `Value`".into()),
        None => Ok(1.0),
        Some(value) => {
            let value = value.as_f64().map(|value| value as f32).filter(|value| value.is_finite());
            value.ok_or_else(|| "`Value` is no number".into())
        }
    }
}

/// When it happened, see [`time::of_text`]; an empty text is as none.
fn moment(said: Option<&Json>, now: i64) -> Result<i64, String> {
    let seconds = match said {
        None | Some(Json::Null) => Some(now),
        Some(Json::String(text)) if text.is_empty() => Some(now),
        Some(Json::String(text)) => time::of_text(text),
        Some(number) => number.as_f64().and_then(time::of_number),
    };
    seconds.ok_or_else(|| "`Timestamp` is neither seconds since 1970 nor such as 2026-11-26T12:00:00Z".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feedback_is_read_as_it_is_meant() {
        let body = r#"[
            {"FeedbackType": "like", "UserId": "ann", "ItemId": "7"},
            {"FeedbackType": "rating", "UserId": "bob", "ItemId": "8", "Value": 4.5, "Timestamp": 86400, "Comment": ""},
            {"FeedbackType": "skip", "UserId": "bob", "ItemId": "9", "Timestamp": "1970-01-02"},
            {"FeedbackType": "play", "UserId": "bob", "ItemId": "9", "Timestamp": "1970-01-02T01:00:00+01:00"},
            {"FeedbackType": "play", "UserId": "bob", "ItemId": "9", "Timestamp": ""},
            {"FeedbackType": "play", "UserId": "bob", "ItemId": "9", "Timestamp": 172800000000}
        ]"#;
        let read = read(body.as_bytes(), 42).unwrap();
        let told: Vec<_> = read.iter().map(|event| (event.kind.name(), event.value, event.time)).collect();
        let day = 86_400;
        assert_eq!(
            told,
            [
                ("like", 1.0, 42),
                ("rating", 4.5, day),
                ("skip", 1.0, day),
                ("play", 1.0, day),
                ("play", 1.0, 42),
                ("play", 1.0, 2000 * day)
            ]
        );
        assert_eq!((read[0].user.as_str(), read[0].item.as_str()), ("ann", "7"));
    }

    #[test]
    fn a_history_is_made_of_items_or_feedback() {
        let body = r#"["7", {"FeedbackType": "dislike", "ItemId": "8"}]"#;
        assert_eq!(
            history(body.as_bytes()).unwrap(),
            [("7".into(), EventKind::Play), ("8".into(), EventKind::Dislike)]
        );
    }

    #[test]
    fn every_fault_of_a_body_is_told_with_its_place() {
        let long = format!(r#"[{{"FeedbackType": "like", "UserId": "{}", "ItemId": "7"}}]"#, "u".repeat(513));
        for (body, told) in [
            ("[{", "the body is no JSON: EOF while parsing an object at line 1 column 2"),
            ("{}", "the body has to be a list"),
            ("[7]", "[0]: it is no object"),
            (
                r#"[{"FeedbackType": "like", "UserID": "a"}]"#,
                "[0]: unknown member `UserID`; known: FeedbackType, UserId",
            ),
            (r#"[{"FeedbackType": "likes", "UserId": "a"}]"#, "[0]: unknown FeedbackType `likes`; known: impression"),
            (r#"[{"FeedbackType": "like", "UserId": 7}]"#, "[0]: `UserId` is no text"),
            (r#"[{"FeedbackType": "like", "UserId": ""}]"#, "[0]: `UserId` is empty"),
            (r#"[{"FeedbackType": "like", "UserId": "a"}]"#, "[0]: `ItemId` is missing"),
            (r#"[{"FeedbackType": "rating", "UserId": "a", "ItemId": "1"}]"#, "[0]: a rating needs a `Value`"),
            (r#"[{"FeedbackType": "like", "UserId": "a", "ItemId": "1", "Value": 1e99}]"#, "[0]: `Value` is no number"),
            (
                r#"[{"FeedbackType": "like", "UserId": "a", "ItemId": "1", "Timestamp": "now"}]"#,
                "[0]: `Timestamp` is neither",
            ),
            (long.as_str(), "[0]: `UserId` has 513 bytes, 512 at most are taken"),
        ] {
            let refusal = read(body.as_bytes(), 0).unwrap_err();
            assert!(refusal.why == Why::BadRequest && refusal.message.starts_with(told), "{body}: {}", refusal.message);
        }
        let refusal = read(format!("[{}7]", "7,".repeat(11)).as_bytes(), 0).unwrap_err();
        assert_eq!((refusal.message.lines().count(), refusal.message.lines().last()), (11, Some("and 2 more")));
    }
}
