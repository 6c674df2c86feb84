//! Where clients reach a cluster, and where its numbers are.

use serde_json::{Value, json};

use crate::http::{Request, Response};

use super::{ADMIN, Database, Engine, FIRST_DATABASE, PORT};

/// Where Prometheus asks; the document's example.
const METRICS_PORT: u16 = 9273;

pub(super) fn connection(database: &Database, host: &str) -> Value {
    let password = database
        .users
        .iter()
        .find(|u| u.primary)
        .map(|u| u.password.as_str())
        .unwrap_or_default();
    let (scheme, mode) = match database.engine {
        Engine::Pg => ("postgresql", "sslmode=require"),
        Engine::Mysql => ("mysql", "ssl-mode=REQUIRED"),
    };
    json!({
        "uri": format!("{scheme}://{ADMIN}:{password}@{host}:{PORT}/{FIRST_DATABASE}?{mode}"),
        "database": FIRST_DATABASE,
        "host": host,
        "port": PORT,
        "user": ADMIN,
        "password": password,
        "ssl": true,
    })
}

/// The primary's, and one for its standby nodes; none before the cluster was online.
pub(super) fn metrics_endpoints(database: &Database) -> Vec<Value> {
    let mut hosts = vec![database.host.clone()];
    if database.num_nodes > 1 {
        hosts.push(database.standby_host());
    }
    hosts.retain(|_| database.online_since.is_some());
    let endpoint = |host: String| json!({ "host": host, "port": METRICS_PORT });
    hosts.into_iter().map(endpoint).collect()
}

/// An answer without the passwords of databases, for tokens that may not see them.
pub(crate) fn discreet(mut reply: Response, request: &Request) -> Response {
    let databases = request.path.starts_with("/v2/databases");
    if databases && !request.access.allows("database:view_credentials") {
        reply.body.iter_mut().for_each(hide);
    }
    reply
}

/// Takes passwords out, wherever they stand. Bodies are as deep as the view that made them.
fn hide(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(hide),
        Value::Object(map) => {
            let password = map.remove("password");
            if let (Some(Value::String(password)), Some(Value::String(uri))) =
                (password, map.get_mut("uri"))
            {
                *uri = uri.replace(&format!(":{password}@"), "@");
            }
            map.values_mut().for_each(hide);
        }
        _ => {}
    }
}
