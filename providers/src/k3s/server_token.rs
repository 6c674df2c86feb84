//! `server_token`: a server token that is to come, known to all living servers before it is exchanged.
//!
//! Until then K3s starts with the old one, and from the exchange on, on any server, with the new one
//! alone. A server that is started again in between has to find both (`super::token`). So a job on
//! each writes them beside the configuration, and the exchange waits until all of them ended well.
//! Servers that are made meanwhile get both with their bundle.

use super::configure::{self, Order};
use super::node::{NodeApi, give, is_passing, permitted, provider_id};
pub use super::token::SCRIPT;
use super::token::Tokens;
use crate::kubernetes::Kubernetes;
use crate::kubernetes::object::Type;
use crate::kubernetes::session::Session;
use kplan_model::{
    CreateFailed, Field, FieldSet, Found, FoundAs, Input, Kind, KindInfo, Known, ObjectCodec as _,
    Permit, ProviderError, Readiness, RemoteId, ReplaceOrder, Resource, Secret, Typical, Wanted,
};
use serde_json::Value;

kplan_model::object! {
    /// A server that is there already.
    pub struct LivingServer {
        /// Its node's name.
        pub node: String,
        /// Its droplet.
        pub droplet_id: String,
    }
}

kplan_model::object! {
    /// What is asked for.
    pub struct ServerTokenArgs {
        /// Since when the token has to be new, in milliseconds since 1970.
        pub after: i64,
        /// The servers that do not have it yet; none where all do.
        pub servers: Vec<LivingServer>,
        /// The digest every token pins.
        pub token_hash: Input<String>,
        /// The secret of the token from before.
        pub before: Option<Input<Secret>>,
        /// The secret of the token to come.
        pub token: Input<Secret>,
        /// The cluster's API.
        pub api: NodeApi,
    }
}

kplan_model::object! {
    /// What is known of it.
    pub struct ServerTokenAttrs {
        /// Since when the token that all servers know has to be new, in milliseconds since 1970; 0
        /// where they were not seen knowing any.
        pub after: i64,
        /// The nodes that were not seen knowing it yet.
        pub left: Vec<String>,
        /// What they wait for.
        pub waiting: Option<String>,
        /// Why it will not be known to all without another apply.
        pub failed: Option<String>,
    }
}

static FIELDS: &[Field] = &[
    Field::in_place(
        "after",
        "Since when the token has to be new, in milliseconds since 1970.",
    ),
    Field::ignored("servers", "The servers that do not have it yet."),
    Field::ignored("token_hash", "The digest every token pins."),
    Field::ignored("before", "The secret of the token from before.").secret(),
    Field::ignored("token", "The secret of the token to come.").secret(),
    Field::ignored("api", "Where the cluster is asked.").reaches(),
    Field::computed("left", "The nodes that were not seen knowing it yet."),
    Field::computed("waiting", "What they wait for."),
    Field::computed(
        "failed",
        "Why it will not be known to all without another apply.",
    ),
];

static INFO: KindInfo = KindInfo {
    kind: Kind::new("server_token"),
    terraform: "kplan_server_token",
    doc: "A new token of servers, told to all of them before it is exchanged.",
    fields: FIELDS,
    replace: ReplaceOrder::DeleteFirst,
    identity: &[],
    holds: None,
    // The programs of a job take a second each.
    typical: Typical {
        create: 15,
        update: 15,
        delete: 1,
    },
    max_parallel: 1,
    alike: &[],
    import: None,
    operations: &[],
};

/// The kind.
pub struct ServerToken(pub Kubernetes);

/// Whether the cluster has this very server: one of its name may be its successor, which has both
/// tokens, and one that is gone needs none.
fn is_there(nodes: &[Value], server: &LivingServer) -> bool {
    let id = Value::from(provider_id(&server.droplet_id));
    nodes.iter().any(|node| {
        let name = node.pointer("/metadata/name").and_then(Value::as_str);
        name == Some(&server.node) && node.pointer("/spec/providerID") == Some(&id)
    })
}

fn tokens(args: &ServerTokenArgs) -> Result<Option<Tokens>, ProviderError> {
    let Some(before) = &args.before else {
        return Ok(None);
    };
    let hash = args.token_hash.known()?;
    Tokens::new(hash, before.known()?, args.token.known()?).map(Some)
}

fn known_to_all(args: &ServerTokenArgs) -> ServerTokenAttrs {
    ServerTokenAttrs {
        after: args.after,
        left: Vec::new(),
        waiting: None,
        failed: None,
    }
}

impl ServerToken {
    async fn nodes(&self, args: &ServerTokenArgs) -> Result<(Session, Vec<Value>), ProviderError> {
        let look = |session: Session| async move {
            let nodes = session.list(&Type::new("v1", "Node"), "").await?;
            Ok(nodes.to_vec())
        };
        permitted(&self.0, &args.api.access()?, look).await
    }

    /// Has every living server told.
    async fn tell(
        &self,
        args: &ServerTokenArgs,
        permit: &Permit,
    ) -> Result<ServerTokenAttrs, ProviderError> {
        let Some(tokens) = tokens(args)? else {
            return Ok(known_to_all(args));
        };
        let (session, nodes) = self.nodes(args).await?;
        let there = args.servers.iter().filter(|it| is_there(&nodes, it));
        let left: Vec<String> = there.map(|server| server.node.clone()).collect();
        for node in &left {
            give(&session, &Order::tokens(node, &tokens), permit).await?;
        }
        Ok(if left.is_empty() {
            known_to_all(args)
        } else {
            unknown_to(left)
        })
    }

    /// Who of those that did not know it does by now.
    async fn look(
        &self,
        args: &ServerTokenArgs,
        before: &ServerTokenAttrs,
        tokens: &Tokens,
    ) -> Result<ServerTokenAttrs, ProviderError> {
        let (session, nodes) = self.nodes(args).await?;
        let (mut trouble, mut over) = (None, false);
        let mut left = Vec::new();
        for server in args.servers.iter().filter(|it| is_there(&nodes, it)) {
            if !before.left.contains(&server.node) {
                continue;
            }
            let order = Order::tokens(&server.node, tokens);
            let job = session.get(&order.object()).await?;
            let job = job.filter(|job| order.is(job));
            if job.as_ref().is_some_and(configure::is_done) {
                continue;
            }
            over |= job.as_ref().is_some_and(configure::is_over);
            trouble = trouble.or_else(|| job.as_ref().and_then(configure::trouble));
            left.push(server.node.clone());
        }
        if left.is_empty() {
            return Ok(known_to_all(args));
        }
        let attrs = unknown_to(left);
        Ok(ServerTokenAttrs {
            failed: trouble.filter(|_| over),
            ..attrs
        })
    }
}

fn unknown_to(left: Vec<String>) -> ServerTokenAttrs {
    let names = left.join(", ");
    ServerTokenAttrs {
        after: 0,
        waiting: Some(format!(
            "waits until these servers know the token that is to come: {names}"
        )),
        failed: None,
        left,
    }
}

impl Resource for ServerToken {
    type Args = ServerTokenArgs;
    type Attrs = ServerTokenAttrs;

    const INFO: &'static KindInfo = &INFO;
    const GONE_AT_ONCE: bool = true;

    async fn read(&self, known: &Known) -> Result<Option<ServerTokenAttrs>, ProviderError> {
        let args = ServerTokenArgs::from_object(&known.args)?;
        let attrs = ServerTokenAttrs::from_object(&known.attrs)?;
        let Some(tokens) = tokens(&args)?.filter(|_| !attrs.left.is_empty()) else {
            return Ok(Some(attrs));
        };
        match self.look(&args, &attrs, &tokens).await {
            // A cluster that does not answer at the moment says nothing new.
            Err(error) if is_passing(error.kind) => Ok(Some(ServerTokenAttrs {
                waiting: Some(error.message),
                ..attrs
            })),
            seen => seen.map(Some),
        }
    }

    /// It is about servers that are there anyhow: telling them again changes nothing.
    async fn find(
        &self,
        _wanted: Wanted<'_, ServerTokenArgs>,
    ) -> Result<Vec<Found<ServerTokenAttrs>>, ProviderError> {
        Ok(Vec::new())
    }

    async fn create(
        &self,
        wanted: Wanted<'_, ServerTokenArgs>,
        permit: &Permit,
    ) -> Result<Found<ServerTokenAttrs>, CreateFailed<ServerTokenAttrs>> {
        let attrs = self.tell(wanted.args, permit).await?;
        Ok(Found {
            id: RemoteId::new(format!("{}/server-token", wanted.owner.id())),
            created_at: None,
            attrs,
            role: FoundAs::Asked,
        })
    }

    async fn update(
        &self,
        _known: &Known,
        args: &ServerTokenArgs,
        _changed: &FieldSet,
        permit: &Permit,
    ) -> Result<ServerTokenAttrs, ProviderError> {
        self.tell(args, permit).await
    }

    /// The servers stay as they are.
    async fn delete(&self, _known: &Known, _permit: &Permit) -> Result<(), ProviderError> {
        Ok(())
    }

    fn readiness(&self, attrs: &ServerTokenAttrs) -> Readiness {
        match (&attrs.failed, &attrs.waiting) {
            (Some(why), _) => Readiness::Failed(why.clone()),
            (None, Some(what)) => Readiness::Waiting(what.clone()),
            (None, None) => Readiness::Ready,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::k3s::pki::tests::PKI;
    use crate::k3s::testing::permit;
    use crate::kubernetes::testing::{Fake, status};
    use kplan_model::Address;
    use serde_json::json;
    use std::sync::{Arc, Mutex};

    const JOBS: &str = "/apis/batch/v1/namespaces/kube-system/jobs/";

    /// A cluster with one node, of droplet 1, and the job that was made for it.
    fn cluster(job: &Arc<Mutex<Option<Value>>>) -> Fake {
        let job = Arc::clone(job);
        Fake::new(move |asked| {
            let path = asked.path.split('?').next().unwrap();
            let mut job = job.lock().unwrap();
            match (asked.method.as_str(), path) {
                ("GET", "/api/v1/nodes") => {
                    let node = json!({
                        "metadata": { "name": "a" },
                        "spec": { "providerID": "digitalocean://1" },
                    });
                    Some((200, json!({ "items": [node], "metadata": {} })))
                }
                ("GET", path) if path.starts_with(JOBS) => match job.as_ref() {
                    Some(job) => Some((200, job.clone())),
                    None => status(404, "NotFound", "no"),
                },
                ("PATCH", path) if path.starts_with(JOBS) => {
                    let mut made = asked.body.clone();
                    made["metadata"]["uid"] = json!("1f");
                    *job = Some(made.clone());
                    Some((200, made))
                }
                ("PATCH", path) if path.contains("/secrets/") => Some((200, asked.body.clone())),
                other => panic!("nobody expected {other:?}"),
            }
        })
    }

    fn server(node: &str, droplet: &str) -> LivingServer {
        LivingServer {
            node: node.to_owned(),
            droplet_id: droplet.to_owned(),
        }
    }

    fn args(servers: Vec<LivingServer>) -> ServerTokenArgs {
        ServerTokenArgs {
            after: 7,
            servers,
            token_hash: PKI.token_hash.clone().into(),
            before: Some(Secret::new("old").into()),
            token: Secret::new("new").into(),
            api: NodeApi {
                endpoint: "203.0.113.7".to_owned().into(),
                server_ca: PKI.certificates.server_ca.clone().into(),
                client_ca: PKI.certificates.client_ca.clone().into(),
                client_ca_key: PKI.server_keys.client_ca.clone().into(),
            },
        }
    }

    fn known(args: &ServerTokenArgs, attrs: &ServerTokenAttrs) -> Known {
        Known {
            address: Address::new(Kind::new("server_token"), "main"),
            id: RemoteId::new("t"),
            args: args.to_object(),
            attrs: attrs.to_object(),
        }
    }

    #[tokio::test]
    async fn servers_that_are_there_know_it_when_their_jobs_ended_well() {
        let job = Arc::default();
        let kind = ServerToken(cluster(&job).kubernetes());
        // The second was replaced since, and the third is gone.
        let args = args(vec![server("a", "1"), server("a", "2"), server("c", "3")]);
        let permit = permit("server_token.main");
        let told = kind.tell(&args, &permit).await.unwrap();
        assert_eq!(
            (told.after, told.left.as_slice()),
            (0, &["a".to_owned()][..])
        );
        let read = async |attrs| kind.read(&known(&args, attrs)).await.unwrap().unwrap();
        assert_eq!(read(&told).await, told);
        let end = |condition: &str| {
            let mut job = job.lock().unwrap();
            let condition = json!({ "type": condition, "status": "True" });
            job.as_mut().unwrap()["status"] = json!({ "failed": 1, "conditions": [condition] });
        };
        end("Failed");
        let failed = read(&told).await;
        assert!(
            matches!(kind.readiness(&failed), Readiness::Failed(why) if why.contains("gave up"))
        );
        end("Complete");
        let done = read(&told).await;
        assert_eq!((done.after, kind.readiness(&done)), (7, Readiness::Ready));
        // Another order's success says nothing.
        job.lock().unwrap().as_mut().unwrap()["metadata"]["annotations"] = json!({});
        assert_eq!(read(&told).await, told);
    }

    #[tokio::test]
    async fn where_all_have_it_nobody_is_asked() {
        let kind = ServerToken(Fake::new(|_| None).kubernetes());
        let mut args = args(Vec::new());
        args.before = None;
        let told = kind
            .tell(&args, &permit("server_token.main"))
            .await
            .unwrap();
        assert_eq!((told.after, kind.readiness(&told)), (7, Readiness::Ready));
    }
}
