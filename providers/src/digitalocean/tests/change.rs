//! Changes that an attempt which was cut off had begun, and creations that failed meanwhile.

use super::*;

fn locked(status: &str, size: &str, locked: bool) -> Response<Bytes> {
    let mut shown: Value = serde_json::from_slice(droplet(status, size).body()).unwrap();
    shown["droplet"]["locked"] = value!(locked);
    ok(shown)
}

fn refused(message: &str) -> Response<Bytes> {
    let body = value!({ "id": "unprocessable_entity", "message": message });
    json(422, &body)
}

fn actions(what: &str, status: &str) -> Response<Bytes> {
    ok(value!({
        "actions": [{ "id": 1, "status": status, "type": what }],
        "meta": { "total": 1 },
        "links": {},
    }))
}

async fn resized(script: &Script) -> Result<DropletAttrs, kplan_model::ProviderError> {
    let known = known("7", Object::new(), Object::new());
    droplets(script)
        .update(&known, &droplet_args(), &changed(&["size"]), &permit())
        .await
}

#[tokio::test(start_paused = true)]
async fn a_droplet_that_is_at_something_is_waited_for() {
    let resizing = || locked("off", "s-1vcpu-2gb", true);
    let script = Script::answers([
        resizing(),
        resizing(),
        droplet("off", "s-2vcpu-4gb"),
        done(1),
        droplet("active", "s-2vcpu-4gb"),
    ]);
    resized(&script).await.unwrap();
    assert_eq!(script.body(3), value!({ "type": "power_on" }));
    let script = Script::new(move |_| Ok(resizing()));
    let error = resized(&script).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Busy);
}

/// A resize of an attempt that was cut off ends between the look and the call.
#[tokio::test(start_paused = true)]
async fn what_came_about_meanwhile_is_done() {
    let script = Script::answers([
        droplet("off", "s-1vcpu-2gb"),
        refused("The droplet is already set to this size."),
        droplet("off", "s-2vcpu-4gb"),
        refused("The droplet is already on."),
        droplet("active", "s-2vcpu-4gb"),
        droplet("active", "s-2vcpu-4gb"),
    ]);
    let attrs = resized(&script).await.unwrap();
    assert_eq!(
        (attrs.size.as_str(), attrs.power.as_str()),
        ("s-2vcpu-4gb", "on")
    );
}

#[tokio::test(start_paused = true)]
async fn a_refused_resize_leaves_the_power_on() {
    let script = Script::answers([
        droplet("off", "s-1vcpu-2gb"),
        refused("This size is not available because it has a smaller disk."),
        droplet("off", "s-1vcpu-2gb"),
        done(3),
    ]);
    let error = resized(&script).await.unwrap_err();
    assert!(error.message.contains("smaller disk"), "{error}");
    assert_eq!(script.body(3), value!({ "type": "power_on" }));
}

#[tokio::test]
async fn a_creation_that_failed_is_found_among_the_actions() {
    let known = known("7", Object::new(), Object::new());
    // The clock of these tests stands at 2023-11-14T22:13:20Z.
    let made = |at: &str| {
        let answer = locked("new", "s-2vcpu-4gb", false);
        let mut shown: Value = serde_json::from_slice(answer.body()).unwrap();
        shown["droplet"]["created_at"] = value!(at);
        ok(shown)
    };
    let new = || made("2023-11-14T22:11:00Z");
    for (answer, status) in [
        (actions("create", "errored"), "errored"),
        (actions("create", "in-progress"), "new"),
        (actions("rename", "errored"), "new"),
    ] {
        let script = Script::answers([new(), answer]);
        let read = droplets(&script).read(&known).await.unwrap().unwrap();
        assert_eq!(read.status, status);
        let failed = matches!(droplets(&script).readiness(&read), Readiness::Failed(_));
        assert_eq!(failed, status == "errored");
    }
    // Nobody asks while it is being made, or could be.
    for answer in [
        locked("new", "s-2vcpu-4gb", true),
        made("2023-11-14T22:12:00Z"),
    ] {
        let script = Script::answers([answer]);
        let read = droplets(&script).read(&known).await.unwrap().unwrap();
        assert_eq!(read.status, "new");
    }
    // Where nobody may read its actions, it is what it is said to be.
    let denied = json(403, &value!({ "id": "forbidden", "message": "no" }));
    let script = Script::answers([new(), denied]);
    let read = droplets(&script).read(&known).await.unwrap().unwrap();
    assert_eq!(read.status, "new");
}
