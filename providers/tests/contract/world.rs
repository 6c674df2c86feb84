//! One sandbox in this process, and clients of it.

use kplan_conformance::{Exceptions, required_document};
use kplan_model::{
    Address, Found, Known, Object, Owner, Permit, Readiness, Secret, Timestamp, Value, WantedObject,
};
use kplan_providers::digitalocean::DigitalOcean;
use kplan_providers::http::{
    ClientConfig, Rate, ServiceTransport, Statistics, Transport, TransportError,
};
use kplan_providers::registry;
use kplan_providers::spaces::{Spaces, SpacesConfig};
use kplan_sandbox::{Clock, Config, Fault, FaultRule, Sandbox};
use std::convert::Infallible;
use std::io::BufReader;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How many times faster than DigitalOcean's the sandbox's clock runs.
const SCALE: u32 = 60;

/// Loses the answer of the next call after it was made, when told to.
struct Lossy<T> {
    inner: T,
    armed: Arc<AtomicBool>,
}

impl<T: Transport> Transport for Lossy<T> {
    fn call(
        &self,
        request: http::Request<bytes::Bytes>,
    ) -> kplan_model::BoxFuture<'static, Result<http::Response<bytes::Bytes>, TransportError>> {
        let changes =
            request.method() != http::Method::GET && request.method() != http::Method::HEAD;
        let lose = changes && self.armed.swap(false, Ordering::SeqCst);
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await;
            if lose {
                Err(TransportError::Lost("dropped by the test".to_owned()))
            } else {
                answer
            }
        })
    }
}

/// How the sandbox is called.
struct Way {
    per_page: u32,
    statistics: Arc<Statistics>,
    now: kplan_providers::http::Now,
}

impl Way {
    fn config(&self, sandbox: &Sandbox) -> ClientConfig {
        ClientConfig {
            base_url: "https://api.digitalocean.com".to_owned(),
            token: Secret::new("dop_v1_contract"),
            transport: Arc::new(ServiceTransport::new(sandbox.service())),
            rate: Rate::DIGITALOCEAN,
            scale: SCALE,
            statistics: Arc::clone(&self.statistics),
            now: Arc::clone(&self.now),
            on_event: None,
            per_page: self.per_page,
            seed: 5,
        }
    }
}

/// One sandbox in this process, and clients of it.
pub(crate) struct World {
    pub(crate) sandbox: Sandbox,
    pub(crate) spaces: Spaces,
    pub(crate) registry: kplan_model::Registry,
    pub(crate) owner: Owner,
    pub(crate) statistics: Arc<Statistics>,
    way: Way,
    lose_s3: Arc<AtomicBool>,
    record: tempfile::NamedTempFile,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::open(200, true)
    }

    /// A world whose lists come in pages of that many items.
    pub(crate) fn with_pages(per_page: u32) -> Self {
        Self::open(per_page, true)
    }

    /// A world of an account that was never used: no region has a default VPC yet.
    pub(crate) fn of_new_account() -> Self {
        Self::open(200, false)
    }

    fn open(per_page: u32, default_vpcs: bool) -> Self {
        let record = tempfile::NamedTempFile::new().unwrap();
        let config = Config {
            time_scale: f64::from(SCALE),
            seed: 11,
            token: "dop_v1_contract".to_owned(),
            record: Some(record.path().to_owned()),
            default_vpcs,
            ..Config::default()
        };
        // Timestamps that every test sees again; paused time starts no later than the runtime.
        let start: jiff::Timestamp = "2026-08-01T00:00:00Z".parse().unwrap();
        let sandbox = in_runtime(|| {
            Sandbox::open_at(&config, Clock::starting_at(f64::from(SCALE), start)).unwrap()
        });
        let clock = in_runtime(|| Clock::starting_at(f64::from(SCALE), start));
        let now: kplan_providers::http::Now =
            Arc::new(move || Timestamp(clock.now().as_millisecond()));
        let statistics = Arc::new(Statistics::default());
        let way = Way {
            per_page,
            statistics: Arc::clone(&statistics),
            now: Arc::clone(&now),
        };
        let digitalocean = DigitalOcean::new(way.config(&sandbox));
        let lose_s3 = Arc::new(AtomicBool::new(false));
        let store = sandbox.spaces();
        let service = tower::service_fn(move |request| {
            let store = store.clone();
            async move { Ok::<_, Infallible>(store.handle(request).await) }
        });
        let spaces = Spaces::new(SpacesConfig {
            endpoint: Some("http://127.0.0.1:9000".to_owned()),
            keys: None,
            transport: Arc::new(Lossy {
                inner: ServiceTransport::new(service),
                armed: Arc::clone(&lose_s3),
            }),
            statistics: Arc::clone(&statistics),
            now,
            scale: SCALE,
        });
        Self {
            way,
            registry: registry::cloud(&digitalocean, &spaces),
            sandbox,
            spaces,
            owner: Owner {
                cluster: "demo".to_owned(),
                suffix: "3f9a1c2e".to_owned(),
            },
            statistics,
            lose_s3,
            record,
        }
    }

    /// What another connection to the account is made of.
    pub(crate) fn config(&self) -> ClientConfig {
        self.way.config(&self.sandbox)
    }

    /// Carries out the next changing call of that path, and loses its answer.
    pub(crate) fn lose_answer(&self, path: &str) {
        self.fail_next(path, &[Fault::LostResponse]);
    }

    /// Lets the next changing call of that path go wrong in all these ways.
    pub(crate) fn fail_next(&self, path: &str, faults: &[Fault]) {
        if path == "s3" {
            self.lose_s3.store(true, Ordering::SeqCst);
            return;
        }
        let rule = |fault: &Fault| FaultRule {
            method: Some("POST".to_owned()),
            path: Some(path.to_owned()),
            nth: None,
            probability: None,
            times: Some(1),
            fault: fault.clone(),
        };
        self.sandbox
            .set_faults(faults.iter().map(rule).collect(), None);
    }

    pub(crate) fn entry(&self, address: &Address) -> &kplan_model::Entry {
        self.registry.get(address.kind()).unwrap()
    }

    pub(crate) fn wanted<'a>(&'a self, address: &'a Address, args: &'a Object) -> WantedObject<'a> {
        WantedObject {
            owner: &self.owner,
            address,
            args,
        }
    }

    /// A change that somebody makes by hand, past kplan; gives the answer.
    pub(crate) async fn by_hand(
        &self,
        method: &str,
        path: &str,
        body: &serde_json::Value,
    ) -> serde_json::Value {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let request = http::Request::builder()
            .method(method)
            .uri(format!("https://api.digitalocean.com{path}"))
            .header("authorization", "Bearer dop_v1_contract")
            .header("content-type", "application/json")
            .body(bytes::Bytes::from(body))
            .unwrap();
        let transport = ServiceTransport::new(self.sandbox.service());
        let answer = transport.call(request).await.unwrap();
        assert!(answer.status().is_success(), "{method} {path}: {answer:?}");
        serde_json::from_slice(answer.body()).unwrap_or_default()
    }

    /// Makes something and waits until it is ready.
    pub(crate) async fn make(&self, address: &str, args: Object) -> Known {
        let address: Address = address.parse().unwrap();
        let permit = permit(&address);
        let wanted = self.wanted(&address, &args);
        let found = self
            .entry(&address)
            .mutate
            .create(wanted, &permit)
            .await
            .unwrap();
        let known = known(&address, args, found);
        self.ready(&known).await
    }

    /// Waits until something is ready; its attributes are those read last.
    pub(crate) async fn ready(&self, known: &Known) -> Known {
        let entry = self.entry(&known.address);
        let mut known = known.clone();
        for _ in 0..500 {
            if let Some(attrs) = entry.observe.read(&known).await.unwrap() {
                known.attrs = attrs;
                match entry.observe.readiness(&known.attrs).unwrap() {
                    Readiness::Ready => return known,
                    Readiness::Failed(why) => panic!("{}: {why}", known.address),
                    Readiness::Waiting(_) => {}
                }
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        panic!("{} is not ready: {:?}", known.address, known.attrs);
    }

    /// Holds every exchange against DigitalOcean's own document, where it is at hand.
    pub(crate) fn judge(&self) {
        let Some(document) = required_document().unwrap() else {
            return;
        };
        let lines = BufReader::new(std::fs::File::open(self.record.path()).unwrap());
        let mut report = document.check_lines(lines).unwrap();
        Exceptions::bundled().unwrap().apply(&mut report);
        assert!(report.violations.is_empty(), "{report}");
    }
}

/// Opens something that starts a tokio clock, also outside a runtime.
fn in_runtime<T>(open: impl FnOnce() -> T) -> T {
    if tokio::runtime::Handle::try_current().is_ok() {
        return open();
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let _guard = runtime.enter();
    open()
}

/// Our record of something found.
pub(crate) fn known(address: &Address, args: Object, found: Found<Object>) -> Known {
    Known {
        address: address.clone(),
        id: found.id,
        args,
        attrs: found.attrs,
    }
}

/// The reference's value, as the engine would fill it in.
pub(crate) fn attr(known: &Known, name: &str) -> String {
    match known.attrs.get(name) {
        Some(Value::Str(text)) => text.to_string(),
        other => panic!("{}.{name} is {other:?}", known.address),
    }
}

/// A permit for an address.
pub(crate) fn permit(address: &Address) -> Permit {
    kplan_model::testing::permit(address).unwrap()
}
