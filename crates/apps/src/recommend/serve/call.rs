//! A request that was read and checked against its route.

use footlight::nn::suggest;
use hyper::body::Bytes;

use super::refusal::{Refusal, Why};
use super::routes::{Holds, Route};

/// What is asked.
pub(super) struct Call {
    pub route: &'static Route,
    pub body: Bytes,
    arguments: Vec<String>,
    query: Vec<(String, String)>,
}

impl Call {
    /// # Errors
    /// Parameters that the route does not have, that hold something else, or are given twice.
    pub fn new(route: &'static Route, arguments: Vec<String>, query: &str, body: Bytes) -> Result<Call, Refusal> {
        let query: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        for (index, (name, value)) in query.iter().enumerate() {
            let Some(parameter) = route.parameters.iter().find(|parameter| parameter.name == name) else {
                let known: Vec<&str> = route.parameters.iter().map(|parameter| parameter.name).collect();
                return Err(Refusal::unknown(Why::BadRequest, "parameter", name, &known));
            };
            let bad = |wanted: &str| {
                let message = format!("`{name}={}`: {wanted}", suggest::shown(value));
                Err(Refusal::new(Why::BadRequest, message))
            };
            if parameter.holds != Holds::Texts && query[..index].iter().any(|(other, _)| other == name) {
                return bad("it may be given once");
            }
            match parameter.holds {
                Holds::Count { most, .. } if !value.parse().is_ok_and(|n| (1..=most).contains(&n)) => {
                    return bad(&format!("a whole number from 1 to {most} is needed"));
                }
                Holds::Flag if !["true", "false"].contains(&value.as_str()) => return bad("true or false is needed"),
                _ => {}
            }
        }
        Ok(Call { route, body, arguments, query })
    }

    /// What stands in the place of the braces of the path.
    pub fn argument(&self) -> &str {
        &self.arguments[0]
    }

    /// All values of a parameter.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.query.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The value of a parameter.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether a flag is set.
    pub fn flag(&self, name: &str) -> bool {
        self.text(name) == Some("true")
    }

    /// A count, or its default.
    pub fn count(&self, name: &str) -> usize {
        let default = self.route.parameters.iter().find(|parameter| parameter.name == name);
        let default = default.map_or(0, |parameter| match parameter.holds {
            Holds::Count { default, .. } => default,
            _ => 0,
        });
        self.text(name).and_then(|value| value.parse().ok()).unwrap_or(default)
    }
}

#[cfg(test)]
mod tests {
    use super::super::routes;
    use super::*;

    fn call(query: &str) -> Result<Call, Refusal> {
        let (route, arguments) = routes::find("GET", "/api/recommend/7").unwrap();
        Call::new(route, arguments, query, Bytes::new())
    }

    #[test]
    fn parameters_are_read() {
        let call = call("n=3&exclude=a%2Cb&exclude=c+d&because=true").map_err(|refusal| refusal.message).unwrap();
        assert_eq!((call.argument(), call.count("n"), call.flag("because")), ("7", 3, true));
        assert_eq!(call.all("exclude").collect::<Vec<_>>(), ["a,b", "c d"]);
        assert_eq!(self::call("").map(|call| (call.count("n"), call.flag("because"))).ok(), Some((10, false)));
    }

    #[test]
    fn parameters_that_are_none_are_told() {
        for (query, told) in [
            ("n=0", "`n=0`: a whole number from 1 to 1000 is needed"),
            ("n=1001", "`n=1001`: a whole number from 1 to 1000 is needed"),
            ("n=-1", "`n=-1`: a whole number from 1 to 1000 is needed"),
            ("n=1&n=2", "`n=2`: it may be given once"),
            ("because=yes", "`because=yes`: true or false is needed"),
            ("excude=1", "unknown parameter `excude`\n  known: n, category, exclude, because"),
        ] {
            let refusal = call(query).map(drop).unwrap_err();
            assert_eq!((refusal.why, refusal.message.as_str()), (Why::BadRequest, told));
        }
    }
}
