//! Pagination as DigitalOcean does it: `page`, `per_page`, `links` and `meta.total`.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{Request, Response};

const DEFAULT_PER_PAGE: usize = 20;
/// DigitalOcean's largest page.
const MAX_PER_PAGE: usize = 200;

/// Answers one page of `rows` under `key`; only what is on the page is rendered. Rows younger
/// than the request's horizon are left out.
pub(crate) fn list<'a, T: ?Sized + 'a>(
    request: &Request,
    key: &str,
    rows: impl IntoIterator<Item = &'a T>,
    created_at: impl Fn(&T) -> Timestamp,
    view: impl Fn(&T) -> Value,
) -> Response {
    let horizon = request.visible_before;
    let rows: Vec<&T> = rows
        .into_iter()
        .filter(|row| horizon.is_none_or(|horizon| created_at(row) <= horizon))
        .collect();
    let per_page = number(request, "per_page")
        .unwrap_or(DEFAULT_PER_PAGE)
        .min(MAX_PER_PAGE);
    let page = number(request, "page").unwrap_or(1);
    let last = rows.len().div_ceil(per_page).max(1);
    let start = (page - 1).saturating_mul(per_page);
    let shown: Vec<Value> = rows
        .iter()
        .skip(start)
        .take(per_page)
        .map(|row| view(row))
        .collect();
    let mut body = Map::new();
    body.insert(key.to_owned(), Value::Array(shown));
    body.insert("links".to_owned(), links(request, page, per_page, last));
    body.insert("meta".to_owned(), json!({ "total": rows.len() }));
    Response::ok(Value::Object(body))
}

fn number(request: &Request, name: &str) -> Option<usize> {
    request
        .query(name)?
        .parse()
        .ok()
        .filter(|number| *number > 0)
}

fn links(request: &Request, page: usize, per_page: usize, last: usize) -> Value {
    if last == 1 {
        return json!({});
    }
    let link = |target: usize| {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in &request.query {
            if name != "page" && name != "per_page" {
                query.append_pair(name, value);
            }
        }
        query.append_pair("page", &target.to_string());
        query.append_pair("per_page", &per_page.to_string());
        Value::String(format!(
            "{}{}?{}",
            request.base_url,
            request.path,
            query.finish()
        ))
    };
    let mut pages = Map::new();
    if page > 1 {
        pages.insert("first".to_owned(), link(1));
        pages.insert("prev".to_owned(), link(page - 1));
    }
    if page < last {
        pages.insert("next".to_owned(), link(page + 1));
        pages.insert("last".to_owned(), link(last));
    }
    json!({ "pages": pages })
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    fn page_of(target: &str, count: u64) -> Value {
        let mut request = Request::new(Method::GET, target);
        request.base_url = "http://localhost:1".to_owned();
        let rows: Vec<u64> = (0..count).collect();
        let at = |row: &u64| Timestamp::from_second(i64::try_from(*row).unwrap()).unwrap();
        list(&request, "things", &rows, at, |row| json!(row))
            .body
            .unwrap()
    }

    #[test]
    fn one_page_has_no_links() {
        let body = page_of("/v2/things", 20);
        assert_eq!(body["links"], json!({}));
        assert_eq!(body["meta"]["total"], 20);
    }

    #[test]
    fn pages_link_to_their_neighbours_and_keep_the_filter() {
        let body = page_of("/v2/things?tag_name=a%3Ab&page=2&per_page=2", 5);
        assert_eq!(body["things"], json!([2, 3]));
        let pages = &body["links"]["pages"];
        assert_eq!(
            pages["next"],
            "http://localhost:1/v2/things?tag_name=a%3Ab&page=3&per_page=2"
        );
        assert_eq!(pages["last"], pages["next"]);
        assert_eq!(pages["prev"], pages["first"]);
    }

    #[test]
    fn a_page_holds_at_most_two_hundred_and_after_the_last_nothing() {
        assert_eq!(
            page_of("/v2/things?per_page=1000", 250)["things"]
                .as_array()
                .unwrap()
                .len(),
            200
        );
        assert_eq!(page_of("/v2/things?page=9", 25)["things"], json!([]));
    }

    #[test]
    fn a_stale_list_does_not_know_the_young() {
        let mut request = Request::new(Method::GET, "/v2/things");
        request.visible_before = Some(Timestamp::from_second(1).unwrap());
        let at = |row: &i64| Timestamp::from_second(*row).unwrap();
        let body = list(&request, "things", &[0, 1, 2], at, |row| json!(row))
            .body
            .unwrap();
        assert_eq!(body["things"], json!([0, 1]));
        assert_eq!(body["meta"]["total"], 2);
    }
}
